package actors

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"vaultik/messages"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
)

// restoreWriter makes entries in the target. It is a leaf; each of its jobs may
// be done again after a crash with the same outcome.
type restoreWriter struct {
	run  *restoreRun
	done messages.WritingDone // of the job under way
}

func newRestoreWriter(run *restoreRun) work[messages.Writing, messages.WritingDone] {
	w := &restoreWriter{run: run}
	return w.write
}

func (w *restoreWriter) write(_ int, job messages.Writing) messages.WritingDone {
	w.done = messages.WritingDone{}
	for _, it := range job.Place {
		if w.stopped() {
			return w.done
		}
		w.run.faults.writer()
		w.placed(w.place(it))
	}
	for i := range job.Pieces {
		if w.stopped() {
			return w.done
		}
		w.run.faults.writer()
		w.piece(job.Frame.Buf.B, &job.Pieces[i])
	}
	for i := range job.Finish {
		if w.stopped() {
			return w.done
		}
		w.run.faults.writer()
		w.placed(w.finish(&job.Finish[i]))
	}
	return w.done
}

// stopped reports whether the job ends, so that results do not matter any more.
func (w *restoreWriter) stopped() bool { return w.done.Full != nil || w.run.ctx.Err() != nil }

func (w *restoreWriter) placed(o messages.Outcome) {
	if targetFull(o.Err) {
		w.done.Full = o.Err
		return
	}
	if o.Err != nil && o.Status != messages.StatusIgnored {
		o.Status = messages.StatusFailed
	}
	w.done.Placed = append(w.done.Placed, o)
}

// piece writes one chunk. A file of one chunk is complete with it.
func (w *restoreWriter) piece(frame []byte, p *messages.WritePiece) {
	b := frame[p.Off : p.Off+p.Len] // checked with the id
	if p.Whole {
		attrs, err := w.file(p.To, b, p.At)
		w.placed(messages.Outcome{Item: p.To, Status: statusAsPlanned, Err: err, Written: int64(len(b)), Attrs: attrs})
		return
	}
	err := w.run.parts.write(w.run.target, p.To, b, p.At)
	switch {
	case targetFull(err):
		w.done.Full = err
	case err != nil:
		w.done.Failed = append(w.done.Failed, messages.Outcome{Item: p.To, Err: err})
	}
}

// file makes a file of at most one chunk.
func (w *restoreWriter) file(it *messages.RestoreItem, b []byte, at int64) (vfs.MetaProblems, error) {
	f, err := w.run.target.CreateTemp(it.Path, it.Entry.Size)
	if err != nil {
		return nil, err
	}
	defer f.Abort()
	if len(b) > 0 {
		if _, err := f.WriteAt(b, at); err != nil {
			return nil, err
		}
	}
	return f.Commit(&it.Entry)
}

// place compares an item with what is there, and makes it if it has no chunks.
func (w *restoreWriter) place(it *messages.RestoreItem) messages.Outcome {
	o := messages.Outcome{Item: it, New: messages.StatusRestored}
	if !it.Fresh {
		if o = compareItem(w.run, it); o.Status != "" {
			return o
		}
	}
	if it.Content {
		return o
	}
	o.Status = o.New
	t, e := w.run.target, &it.Entry
	switch e.Type {
	case page.File:
		o.Attrs, o.Err = w.file(it, nil, 0)
	case page.Symlink:
		o.Attrs, o.Err = t.Symlink(it.Path, e)
	default:
		o.Attrs, o.Err = t.Special(it.Path, e)
		if errors.Is(o.Err, vfs.ErrSocket) {
			o.Status = messages.StatusIgnored
		}
	}
	return o
}

// compareItem decides what becomes of an item that may be there already. The
// status is "" if it is to be made, and New is what that will be.
func compareItem(run *restoreRun, it *messages.RestoreItem) messages.Outcome {
	t, e := run.target, &it.Entry
	o := messages.Outcome{Item: it, New: messages.StatusReplaced}
	if run.mode == OverwriteIfChanged || run.mode == OverwriteIfNewer {
		if same, _ := t.Same(it.Path, e); same {
			o.Status = messages.StatusUnchanged
			o.Attrs, o.Err = t.SetFileMeta(it.Path, e)
			return o
		}
	}
	st, err := t.Lstat(it.Path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		o.New = messages.StatusRestored
	case err != nil:
		o.Status, o.Err = messages.StatusFailed, err
	case run.mode == OverwriteNever, run.mode == OverwriteIfNewer && !e.Mtime.Time().After(st.Mtime.Time()):
		o.Status = messages.StatusKept
	}
	return o
}

// finish does the last step of an entry.
func (w *restoreWriter) finish(f *messages.FinishEntry) messages.Outcome {
	run := w.run
	switch {
	case f.Commit != nil:
		return w.commit(f.Commit)
	case f.Abort != nil:
		run.parts.abort(f.Abort)
		return messages.Outcome{Item: f.Abort, Status: messages.StatusFailed}
	case f.Link != nil:
		return w.link(f.Link, f.To)
	}
	o := messages.Outcome{Dir: f.Dir}
	o.Attrs, o.Err = run.target.SetDirMeta(f.Dir.Path, &f.Dir.Entry)
	return o
}

func (w *restoreWriter) commit(it *messages.RestoreItem) messages.Outcome {
	attrs, err := w.run.parts.commit(it)
	return messages.Outcome{Item: it, Status: statusAsPlanned, Attrs: attrs, Err: err}
}

// link makes an item another name of a file that is in its place.
func (w *restoreWriter) link(it *messages.RestoreItem, to string) messages.Outcome {
	run, t := w.run, w.run.target
	o := messages.Outcome{Item: it, Status: messages.StatusRestored}
	if !it.Fresh {
		st, err := t.Lstat(it.Path)
		if err == nil {
			o.Status = messages.StatusReplaced
			if run.mode == OverwriteNever || run.mode == OverwriteIfNewer && !it.Entry.Mtime.Time().After(st.Mtime.Time()) {
				o.Status = messages.StatusKept
			}
			if same, err := t.Lstat(to); err == nil && st.SameFile(&same) {
				o.Status = messages.StatusUnchanged
			}
		}
	}
	if o.Status == messages.StatusKept || o.Status == messages.StatusUnchanged {
		return o
	}
	o.Err = t.Link(to, it.Path)
	// The file system has no links, or no more of this file, or not across its parts.
	for _, err := range []error{unix.EMLINK, unix.EPERM, unix.EXDEV, unix.EOPNOTSUPP} {
		if errors.Is(o.Err, err) {
			return messages.Outcome{Item: it, NoLink: true}
		}
	}
	return o
}

// splitWriting isolates what makes a writer panic.
func splitWriting(j messages.Writing) []messages.Writing {
	var parts []messages.Writing
	for i := range j.Place {
		parts = append(parts, messages.Writing{Place: j.Place[i : i+1]})
	}
	for i := range j.Finish {
		parts = append(parts, messages.Writing{Finish: j.Finish[i : i+1]})
	}
	for i := range j.Pieces {
		parts = append(parts, messages.Writing{Frame: j.Frame, Pieces: j.Pieces[i : i+1]})
	}
	return parts
}
