package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/internal/platform"
	"vaultik/messages"
	"vaultik/vault/chunk"
	"vaultik/vault/page"
)

// Limits of one ReadBack job.
const (
	readBackFiles = 64
	readBackRefs  = 1024
)

// ReadBackResult is what a target holds of what was restored to it.
type ReadBackResult struct {
	Files, Bytes int64             // that are as in the snapshot
	Differ       int64             // files that are not
	Different    []ReadBackProblem // the first 1,000 of them
	Unread       int64             // files that this user may not read: nothing is known of them
	UnreadAt     string            // the first of them
	Duration     time.Duration
}

// ReadBack reads the files of a finished restore from the target, past the page
// cache, and compares each chunk with its id. The store's data is not read again.
func ReadBack(ctx context.Context, s *actors.System, spec *Spec) (*ReadBackResult, error) {
	began := time.Now()
	if err := spec.check(); err != nil {
		return nil, err
	}
	run := newRestoreRun(spec)
	defer run.cancel(nil)
	if err := run.Open(ctx); err != nil {
		return nil, err
	}
	synced := run.spec.touch(run.abs)
	run.faults.Sync()
	err := run.target.Sync()
	if synced(); err != nil {
		run.Close()
		return nil, fmt.Errorf("sync the target: %w", err)
	}
	job := newReadBackJob(run)
	answer, abandoned, err := s.Run(ctx, &job.Job, job)
	run.cancel(actors.ErrInterrupted)
	if err != nil {
		return nil, err
	}
	if abandoned == "" { // else a call still uses what Close would free
		run.Close()
	}
	done := answer.(*readBackEnded)
	done.result.Duration = time.Since(began)
	return &done.result, done.err
}

type readBackEnded struct {
	result ReadBackResult
	err    error
}

// readBackWalked says that every file has been submitted, or why the walk ended.
type readBackWalked struct{ err error }

// readBackJob walks beside itself and counts what its readers find.
type readBackJob struct {
	actors.Job
	run      *restoreRun
	credit   *actors.Credit
	result   ReadBackResult
	sent     int // as the walk says at its end
	answered int
	walked   bool
}

func newReadBackJob(run *restoreRun) *readBackJob {
	j := &readBackJob{run: run, credit: actors.NewCredit(2 * runtime.GOMAXPROCS(0))}
	j.Name, j.Cancel, j.Watch = "readback", run.cancel, &run.watch
	j.Warn, j.Progress = run.spec.warn, run.spec.Progress
	j.HangAfter, j.HangTime = run.spec.HangAfter, run.faults.HangTime
	j.Answer = func(err error) any { return &readBackEnded{j.result, err} }
	return j
}

func (j *readBackJob) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actors.Start:
		j.start(c)
	case *readBackWalked:
		j.walked = true
		if m.err != nil {
			j.End(c, m.err)
		}
	case *messages.Finished[readBackBatch, readBackDone]:
		j.answered++
		j.credit.Release()
		j.found(m)
	default:
		j.Handle(c)
		return
	}
	if j.walked && j.answered == j.sent {
		j.End(c, nil)
	}
}

func (j *readBackJob) start(c actor.Context) {
	if !j.Begin(c) {
		return
	}
	run := j.run
	run.spec.Progress.SetPhase("read back")
	readers := actors.SpawnPool(&j.Job, c, actors.Pool[readBackBatch, readBackDone]{
		Name: "reader", Workers: runtime.GOMAXPROCS(0),
		NewWork: func() actors.Work[readBackBatch, readBackDone] { return newReadBack(run) },
	})
	j.Beside(c, func(a actors.Aside) any {
		w := &readBackWalk{run: run, submit: func(files []readBackFile) error {
			if err := j.credit.Acquire(run.ctx); err != nil {
				return err
			}
			j.sent++ // read by the job only after readBackWalked
			a.Submit(readers, &messages.Submit[readBackBatch]{Job: readBackBatch{Files: files}})
			return nil
		}}
		return &readBackWalked{w.walk()}
	})
}

func (j *readBackJob) found(m *messages.Finished[readBackBatch, readBackDone]) {
	if m.Err != nil {
		for _, f := range m.Job.Files {
			m.Result.Different = append(m.Result.Different,
				ReadBackProblem{Path: f.Path, Reason: m.Err.Error()})
		}
	}
	j.result.Files += m.Result.Files
	j.result.Bytes += m.Result.Bytes
	if j.result.Unread += m.Result.Unread; j.result.UnreadAt == "" {
		j.result.UnreadAt = m.Result.UnreadAt
	}
	p := j.run.spec.Progress
	p.FilesDone.Add(m.Result.Files)
	p.BytesDone.Add(m.Result.Bytes)
	for _, d := range m.Result.Different {
		j.result.Differ++
		if len(j.result.Different) < actors.MaxResultList {
			j.result.Different = append(j.result.Different, d)
		}
	}
}

// readBackWalk finds the files that the restore was asked for.
type readBackWalk struct {
	run      *restoreRun
	submit   func([]readBackFile) error
	files    []readBackFile
	refs     int
	included string // a directory that Include chose, with all below it
}

func (w *readBackWalk) walk() error {
	for _, top := range w.run.part.Tops {
		if err := w.run.Below(top, w.entry); err != nil {
			return err
		}
	}
	return w.flush()
}

func (w *readBackWalk) entry(e *page.Entry) error {
	spec := w.run.spec
	if spec.Exclude != nil && spec.Exclude(e.Path, e.Type) {
		if e.Type == page.Dir {
			return page.SkipSubtree
		}
		return nil
	}
	if spec.Include != nil && (w.included == "" || !page.Within(w.included, e.Path)) {
		if !spec.Include(e.Path, e.Type) {
			return nil
		}
		if e.Type == page.Dir {
			w.included = e.Path
		}
	}
	if e.Type != page.File {
		return nil
	}
	f := readBackFile{Path: e.Path, Place: w.run.part.Place(e.Path), Size: e.Size}
	at := int64(0)
	f.Unread = w.run.tree.Refs(w.run.ctx, e, func(r page.Ref) error {
		f.Refs = append(f.Refs, r)
		at += r.Length()
		if w.refs++; w.refs < readBackRefs {
			return nil
		}
		w.files = append(w.files, f)
		f.Off, f.Refs = at, nil
		return w.flush()
	})
	if w.run.ctx.Err() != nil {
		return context.Cause(w.run.ctx)
	}
	f.Last = true
	if w.files = append(w.files, f); len(w.files) < readBackFiles {
		return nil
	}
	return w.flush()
}

func (w *readBackWalk) flush() error {
	if len(w.files) == 0 {
		return nil
	}
	files := w.files
	w.files, w.refs = nil, 0
	return w.submit(files)
}

// newReadBack makes a leaf that reads files of the target.
func newReadBack(run *restoreRun) actors.Work[readBackBatch, readBackDone] {
	r := &readBack{run: run, hasher: chunk.NewHasher(run.spec.Root.Secret.ChunkID())}
	touch := run.watch.Touch()
	return func(_ int, job readBackBatch) (done readBackDone) {
		defer touch.Leave()
		for i := range job.Files {
			f := &job.Files[i]
			touch.Enter(absIn(run.abs, f.Place))
			n, err := r.file(f)
			done.Bytes += n
			switch {
			case run.ctx.Err() != nil:
				return done
			case errors.Is(err, os.ErrPermission) && f.Unread == nil:
				if done.UnreadAt == "" {
					done.UnreadAt = f.Path
				}
				if f.Last {
					done.Unread++
				}
			case err != nil:
				done.Different = append(done.Different,
					ReadBackProblem{Path: f.Path, Reason: err.Error()})
			case f.Last:
				done.Files++
			}
		}
		return done
	}
}

type readBack struct {
	run    *restoreRun
	hasher *chunk.Hasher
	buf    []byte
}

func (r *readBack) file(m *readBackFile) (n int64, err error) {
	if m.Unread != nil {
		return 0, m.Unread
	}
	f, st, err := r.run.target.OpenOwn(m.Place)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	if m.Last && st.Size != m.Size {
		return 0, fmt.Errorf("has %d bytes instead of %d", st.Size, m.Size)
	}
	platform.DropCache(f) // what the disk has, not what was just written
	at := m.Off
	for i := range m.Refs {
		ref := &m.Refs[i]
		if err := r.part(f, at, ref); err != nil {
			return n, err
		}
		at += ref.Length()
		n += ref.Length()
		if r.run.ctx.Err() != nil {
			return n, context.Cause(r.run.ctx)
		}
	}
	return n, nil
}

// part compares one chunk, or a hole. Where the target has a hole too, nothing is read.
func (r *readBack) part(f *os.File, at int64, ref *page.Ref) error {
	if ref.Hole > 0 {
		return r.hole(f, at, ref.Hole)
	}
	n := int64(ref.Span.Len)
	b := r.room(n)
	if _, err := f.ReadAt(b, at); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("ends before byte %d", at+n)
		}
		return err
	}
	if r.hasher.ID(b) != ref.ID {
		return fmt.Errorf("differs within bytes %d to %d", at, at+n)
	}
	return nil
}

// hole fails unless n bytes of f are zeros.
func (r *readBack) hole(f *os.File, at, n int64) error {
	zero, err := zeros(r.run.ctx, f, at, n, r.room(localBuffer))
	if err == nil && !zero {
		err = fmt.Errorf("differs within bytes %d to %d", at, at+n)
	}
	return err
}

// room is a buffer of n bytes.
func (r *readBack) room(n int64) []byte {
	if int64(cap(r.buf)) < n {
		r.buf = make([]byte, n)
	}
	return r.buf[:n]
}
