package restore

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"vaultik/actors"
	"vaultik/vault/chunk"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
	"vaultik/vault/plan"
)

// restoreWriter makes entries in the target. It is a leaf; each of its jobs may
// be done again after a crash with the same outcome.
type restoreWriter struct {
	run     *restoreRun
	done    writingDone // of the job under way
	compare localReader
	touch   *actors.Touch
}

// localReader compares what the target has with the snapshot's chunks.
type localReader struct {
	run    *restoreRun
	hasher *chunk.Hasher
	buf    []byte // localBuffer bytes, or a whole chunk that is to be written elsewhere

	item *restoreItem // whose file is open
	file *os.File
}

func newRestoreWriter(run *restoreRun) actors.Work[writing, writingDone] {
	w := &restoreWriter{
		run: run, touch: run.watch.Touch(),
		compare: localReader{run: run, hasher: chunk.NewHasher(run.spec.Root.Secret.ChunkID())},
	}
	return w.write
}

func (w *restoreWriter) write(_ int, job writing) writingDone {
	w.done = writingDone{}
	defer w.touch.Leave()
	for _, it := range job.Place {
		if w.stopped() {
			return w.done
		}
		w.touch.Enter(absIn(w.run.abs, it.Path))
		w.run.faults.Writer()
		w.placed(w.place(it))
	}
	if len(job.Check) > 0 {
		w.check(job.Check)
	}
	for i := range job.Pieces {
		if w.stopped() {
			return w.done
		}
		w.touch.Enter(absIn(w.run.abs, job.Pieces[i].To.Path))
		w.run.faults.Writer()
		w.piece(job.Frame.B, &job.Pieces[i])
	}
	for i := range job.Finish {
		if w.stopped() && (job.Finish[i].Dir == nil || w.run.ctx.Err() != nil) {
			return w.done
		}
		w.touch.Enter(absIn(w.run.abs, job.Finish[i].path()))
		w.run.faults.Writer()
		w.placed(w.finish(&job.Finish[i]))
	}
	return w.done
}

// stopped reports whether the job ends, so that results do not matter any more.
func (w *restoreWriter) stopped() bool { return w.run.full.Load() || w.run.ctx.Err() != nil }

func (w *restoreWriter) targetFull(err error) {
	w.done.Full = err
	w.run.full.Store(true) // the other writers stop too
}

func (w *restoreWriter) placed(o outcome) {
	if o.Err != nil && w.run.takesNoMore(o.Err, o.size()) {
		w.targetFull(o.Err)
		return
	}
	if w.run.dry {
		w.run.wouldBeRefused(&o)
	}
	if o.Err != nil && o.Status != plan.StatusIgnored {
		o.Status = plan.StatusFailed
	}
	w.done.Placed = append(w.done.Placed, o)
}

// piece writes one chunk. A file of one chunk is complete with it.
func (w *restoreWriter) piece(frame []byte, p *writePiece) {
	b := frame[p.Off : p.Off+p.Len] // checked with the id
	if p.Whole {
		w.placed(w.file(p.To, p.Source, b, p.At))
		return
	}
	w.failed(p.To, w.run.parts.write(w.run.target, p.To, p.Source, b, p.At))
}

// failed notes that a piece could not be written, if err says so.
func (w *restoreWriter) failed(it *restoreItem, err error) {
	switch {
	case err == nil:
	case w.run.takesNoMore(err, it.Entry.Size):
		w.targetFull(err)
	default:
		w.done.Failed = append(w.done.Failed, outcome{Item: it, Err: err})
	}
}

// file makes a file of at most one chunk.
func (w *restoreWriter) file(it *restoreItem, from plan.Source, b []byte, at int64) outcome {
	o := outcome{Item: it, Status: plan.AsPlanned, Written: int64(len(b))}
	var f *vfs.File
	if f, o.Err = openFor(w.run.target, it, from); o.Err != nil {
		return o
	}
	defer f.Abort()
	if len(b) > 0 {
		_, o.Err = f.WriteAt(b, at)
	}
	if o.Err == nil {
		o.Attrs, o.Err = f.Commit(&it.Entry)
	}
	o.Half = o.Err != nil && f.Unfinished()
	return o
}

// place compares an item with what is there, and makes it if it has no chunks.
func (w *restoreWriter) place(it *restoreItem) outcome {
	o := outcome{Item: it, New: plan.StatusRestored}
	if !it.Fresh {
		if o = compareItem(w.run, it); o.Status != 0 {
			return o
		}
	}
	if w.run.dry {
		return w.wouldPlace(o)
	}
	if it.Content {
		return o
	}
	o.Status = o.New
	t, e := w.run.target, &it.Entry
	switch e.Type {
	case page.File:
		if o.Source == plan.SourceInPlace && o.There.Size == 0 {
			return w.keep(it, &o.There)
		}
		status := o.Status
		o = w.file(it, o.Source, nil, 0)
		o.Status = status
	case page.Symlink:
		o.Attrs, o.Err = t.Symlink(it.Path, e)
	default:
		o.Attrs, o.Err = t.Special(it.Path, e)
		if errors.Is(o.Err, vfs.ErrSocket) {
			o.Status = plan.StatusIgnored
		}
	}
	return o
}

// compareItem decides what becomes of an item that may exist already. The
// status is 0 if it is to be made, and New is what that will be.
func compareItem(run *restoreRun, it *restoreItem) outcome {
	t, e := run.target, &it.Entry
	o := outcome{Item: it, New: plan.StatusReplaced}
	st, err := t.Lstat(it.Path)
	if err == nil && st.Type == e.Type && run.mode != OverwriteNever && !run.spec.quick {
		o.Anew, o.Foreign = t.Distrust(it.Path, &st, e)
		if it.Apart && st.Nlink > 1 {
			o.Anew = "is also another file of the snapshot"
		}
	}
	inPlace := err == nil && !o.Foreign && run.changes(it, &st)
	if run.mode == OverwriteIfChanged || run.mode == OverwriteIfNewer {
		same, why := t.Same(it.Path, e)
		switch {
		case same && o.Anew != "":
			why = o.Anew
		case same && run.spec.InPlace && st.Type == page.File && !inPlace:
			why = "is also another file of the snapshot"
		case same && it.Dir.Doubt && e.Type == page.File && e.Size > 0 && !run.spec.quick:
			o.Doubt = true
			why = "is from an unfinished restore"
		case same:
			return run.stays(it)
		}
		o.Why = why
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		o.New, o.Why = plan.StatusRestored, ""
	case run.dry && errors.Is(err, os.ErrPermission) && t.Barred(it.Path):
		o.Why = "cannot be looked at before the restore opens its directory"
	case err != nil:
		o.Status, o.Err = plan.StatusFailed, err
	case run.keeps(it, &st, o.Anew):
		o.Status, o.Why = plan.StatusKept, run.whyKept()
	default:
		o.There = st
		if o.Err = inTheWay(run, it, &st); o.Err != nil {
			o.Status = plan.StatusFailed
		}
	}
	if o.Status == 0 && e.Type == page.File {
		useLocal(run, it, &o, inPlace)
	}
	return o
}

// size is how many bytes were to be written, at most.
func (o *outcome) size() int64 {
	if o.Item == nil {
		return 0
	}
	return o.Item.Entry.Size
}

// stays is the outcome for an item that is up to date.
func (r *restoreRun) stays(it *restoreItem) outcome {
	o := outcome{Item: it, Status: plan.StatusUnchanged}
	if r.dry {
		o.Why, o.Fixed = r.corrections(it.Path, &it.Entry)
	} else {
		o.Attrs, o.Err = r.target.SetFileMeta(it.Path, &it.Entry)
	}
	return o
}

// changes reports whether a file that is there is to be changed in place: if that was
// asked for, or if it is mounted there by itself, as /etc/hosts is in a container, so that
// nothing can take its place. Where it stands under the names of several files of the
// snapshot the first one gets it: what is changed for one would be wrong for the others.
func (r *restoreRun) changes(it *restoreItem, there *vfs.Stat) bool {
	if !r.spec.InPlace && !there.Mount || it.Entry.Type != page.File || there.Type != page.File {
		return false
	}
	if there.Nlink < 2 {
		return true
	}
	first, taken := r.taken.LoadOrStore([2]uint64{there.Dev, there.Ino}, it.Path)
	return !taken || first == it.Path
}

// keeps reports whether an existing file is kept; anew is why it may not become the snapshot's.
func (r *restoreRun) keeps(it *restoreItem, there *vfs.Stat, anew string) bool {
	switch order := there.Mtime.Time().Compare(it.Entry.Mtime.Time()); r.mode {
	case OverwriteNever:
		return true
	case OverwriteIfNewer: // of the same time it is the snapshot's file, if it is whole
		return order > 0 || order == 0 && !it.Dir.Doubt && anew == ""
	}
	return false
}

func (r *restoreRun) whyKept() string {
	if r.mode == OverwriteNever {
		return "it exists"
	}
	return "it is not older"
}

// useLocal decides where chunks of a file that is to be made may be found in the target.
func useLocal(run *restoreRun, it *restoreItem, o *outcome, inPlace bool) {
	e, there := &it.Entry, &o.There
	if run.spec.quick {
		if inPlace {
			o.New = plan.StatusChanged
		}
		return
	}
	switch {
	case inPlace:
		o.New, o.Source = plan.StatusChanged, plan.SourceInPlace
	case !o.Doubt && run.target.HasPart(it.Path, e.Size):
		o.Source = plan.FromPart
	case there.Type == page.File && (it.Content || o.Doubt):
		o.Source = plan.FromFile
		o.Keep = o.Anew == "" && (o.Doubt ||
			run.mode != OverwriteAlways && there.Size == e.Size && there.Nlink == 1)
	}
}

// finish does the last step of an entry.
func (w *restoreWriter) finish(f *finishEntry) outcome {
	run := w.run
	switch {
	case run.dry:
		return w.wouldFinish(f)
	case f.Link != nil:
		return w.link(f)
	case f.Last == plan.Commit:
		return w.commit(f)
	case f.Last == plan.Abort:
		return outcome{Item: f.Item, Status: plan.StatusFailed, Half: run.parts.abort(f.Item)}
	case f.Last == plan.Keep:
		return w.keep(f.Item, &f.There)
	}
	o := outcome{Dir: f.Dir}
	if f.Dir.Parts && f.Dir.Counts {
		// A part that cannot be removed is harmless, and only takes space.
		o.Removed, _ = run.target.RemoveParts(f.Dir.Path())
	}
	o.Attrs, o.Err = run.target.SetDirMeta(f.Dir.Path(), &f.Dir.Entry)
	return o
}

func (w *restoreWriter) commit(f *finishEntry) outcome {
	it := f.Item
	o := outcome{Item: it, Status: plan.AsPlanned}
	switch inPlace := f.Source == plan.SourceInPlace; {
	case inPlace && !w.run.parts.begun(it):
		if f.There.Size == it.Entry.Size {
			return w.keep(it, &f.There)
		}
		if o.Err = w.untouched(it, &f.There); o.Err != nil {
			return o
		}
	case inPlace:
		// What was compared must be what was changed, or the file is of both.
		if st, err := w.run.target.Lstat(it.Path); err != nil || !st.SameFile(&f.There) {
			w.run.parts.disown(it)
			o.Err, o.Half = fmt.Errorf("%s: %w", it.Path, vfs.ErrSwapped), w.run.parts.half(it)
			return o
		}
	}
	if o.Attrs, o.Err = w.run.parts.commit(w.run.target, it, f.Source); o.Err != nil {
		o.Half = w.run.parts.half(it)
	}
	return o
}

// keep gives a file that has the right contents the right attributes.
func (w *restoreWriter) keep(it *restoreItem, there *vfs.Stat) outcome {
	o := outcome{Item: it, Status: plan.StatusUnchanged}
	if o.Err = w.untouched(it, there); o.Err == nil {
		o.Attrs, o.Err = w.run.target.KeepFile(it.Path, &it.Entry)
	}
	return o
}

// untouched fails if the existing file is no longer the one that was compared.
func (w *restoreWriter) untouched(it *restoreItem, there *vfs.Stat) error {
	st, err := w.run.target.Lstat(it.Path)
	if err == nil && (!st.SameFile(there) || st.Ctime != there.Ctime || st.Size != there.Size) {
		err = fmt.Errorf("%s: %w", it.Path, vfs.ErrSwapped)
	}
	return err
}

// linkStatus is what becomes of an item that is to be another name of a file.
func (w *restoreWriter) linkStatus(f *finishEntry) outcome {
	it, run, t := f.Item, w.run, w.run.target
	o := outcome{Item: it, Status: plan.StatusRestored}
	if it.Fresh {
		return o
	}
	st, err := t.Lstat(it.Path)
	if err != nil {
		return o
	}
	o.There = st
	why := "is a different file"
	anew := ""
	if f.Link.Anew { // the others of its names have left it
		anew = why
	} else if st.Type == it.Entry.Type {
		anew, _ = t.Distrust(it.Path, &st, &it.Entry)
	}
	same, err := t.Lstat(f.Link.Path)
	switch {
	case err == nil && st.SameFile(&same) && !(run.dry && f.Link.Anew):
		o.Status = plan.StatusUnchanged
	case run.keeps(it, &st, anew):
		o.Status, o.Why = plan.StatusKept, run.whyKept()
	case run.dry && anew == "" && t.Unlinked(it.Path, &st) && isSame(t, it):
		return run.stays(it)
	default:
		o.Status, o.Why, o.Err = plan.StatusReplaced, why, inTheWay(run, it, &st)
	}
	return o
}

func isSame(t *vfs.Target, it *restoreItem) bool {
	same, _ := t.Same(it.Path, &it.Entry)
	return same
}

// link makes an item another name of a file that is in its place.
func (w *restoreWriter) link(f *finishEntry) outcome {
	it, t := f.Item, w.run.target
	o := w.linkStatus(f)
	if o.Status == plan.StatusKept || o.Status == plan.StatusUnchanged || o.Err != nil {
		return o
	}
	o.Err = t.Link(f.Link.Path, it.Path, &it.Entry)
	// The file system has no links, or no more of this file, or not across its parts.
	for _, err := range []error{syscall.EMLINK, syscall.EPERM, syscall.EXDEV, syscall.EOPNOTSUPP} {
		if errors.Is(o.Err, err) {
			return outcome{Item: it, NoLink: true}
		}
	}
	return o
}

// splitWriting isolates what makes a writer panic.
func splitWriting(j writing) []writing {
	var parts []writing
	for i := range j.Place {
		parts = append(parts, writing{Place: j.Place[i : i+1]})
	}
	for i := range j.Finish {
		parts = append(parts, writing{Finish: j.Finish[i : i+1]})
	}
	for i := range j.Check {
		parts = append(parts, writing{Check: j.Check[i : i+1]})
	}
	for i := range j.Pieces {
		parts = append(parts, writing{Frame: j.Frame, Pieces: j.Pieces[i : i+1]})
	}
	return parts
}
