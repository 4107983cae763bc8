package actors

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/vault/chunk"
	"vaultik/vault/snapshot"
)

// TestBackup_RandomEdits: any tree, changed in any way between backups, with
// interruptions and lost indexes: each snapshot comes back as the tree was then,
// at once and when all are made; and all that is stored is as it should be.
func TestBackup_RandomEdits(t *testing.T) {
	first := testsize.Seed(t)
	for n := range testsize.Seeds(t, 10) {
		seed := first + uint64(n)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			e := newEditor(t, seed)
			e.run()
			t.Logf("seed %d: %s", seed, e.done())
		})
	}
}

// editor is one random history of a tree and its backups.
type editor struct {
	*rand.Rand
	t     *testing.T
	h     *testHost
	dir   string
	outs  string
	made  int            // names, so that each is new
	count map[string]int // by kind of event
	log   []string       // of the edits since the last backup
}

func newEditor(t *testing.T, seed uint64) *editor {
	e := &editor{Rand: rand.New(rand.NewPCG(seed, 0x65646974)), t: t, h: newTestHost(t), dir: t.TempDir(), outs: t.TempDir(), count: map[string]int{}}
	average := []int{64 << 10, 256 << 10, 1 << 20}[e.IntN(3)]
	blobs := []int64{1 << 20, 4 << 20, 15 << 20}[e.IntN(3)]
	e.h.edit = func(s *BackupSpec) {
		s.Chunks, s.BlobSize = chunk.ParamsFor(average), max(blobs, 2*int64(s.Chunks.Max))
	}
	makeOdd(t, e.dir, seed, 20+e.IntN(200))
	if e.IntN(3) == 0 {
		must(t, os.WriteFile(filepath.Join(e.dir, "large"), testtree.Bytes(seed, e.Int64N(12<<20)), 0o600))
	}
	return e
}

func (e *editor) done() string {
	var words []string
	for k, n := range e.count {
		words = append(words, fmt.Sprint(n, " ", k))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func (e *editor) run() {
	t, h := e.t, e.h
	last := 2 + e.IntN(4)
	for k := range last {
		e.accident()
		if r := h.backup(e.dir); r.Errors != 0 || !r.Complete {
			t.Fatalf("backup %d: %+v", k, r)
		}
		e.keep()
		e.log = nil
		if k < last-1 {
			for range 1 + e.IntN(15) {
				e.edit()
			}
		}
	}
	h.verifyClean()
	e.restoreAll()
	h.closeIndex()
}

// keep restores the newest snapshot, compares it with the tree, and keeps it.
func (e *editor) keep() {
	t, h := e.t, e.h
	e.count["backups"]++
	out := filepath.Join(e.outs, fmt.Sprint(h.head.Seq))
	if r := h.restore(h.restoreSpec(e.dir, out)); r.Failed != 0 || r.Damaged || len(r.Meta) > 0 {
		t.Errorf("restore %d: %+v", h.head.Seq, r)
	}
	sameTree(t, e.dir, out)
	if t.Failed() {
		t.Fatalf("snapshot %d, after %q", h.head.Seq, e.log)
	}
}

// restoreAll restores every snapshot again, now that there are later ones.
func (e *editor) restoreAll() {
	t, h := e.t, e.h
	all, problems, err := h.opened.Manifests(t.Context(), snapshot.Filter{})
	must(t, err)
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	if len(all) != e.count["backups"] {
		t.Errorf("%d snapshots, not %d", len(all), e.count["backups"])
	}
	for _, m := range all {
		ids, _, err := h.opened.Identities(t.Context(), m.Manifest, h.identity)
		must(t, err)
		root, err := h.opened.Root(t.Context(), m.Manifest, ids)
		must(t, err)
		again := filepath.Join(e.outs, fmt.Sprint(m.Seq, " again"))
		h.restore(&RestoreSpec{Store: h.store, Root: root, Identities: ids, From: strings.TrimPrefix(e.dir, "/"), Target: again})
		sameTree(t, filepath.Join(e.outs, fmt.Sprint(m.Seq)), again)
		e.count["restored again"]++
	}
}

// accident is what may happen before a backup.
func (e *editor) accident() {
	t, h := e.t, e.h
	switch e.IntN(8) {
	case 0:
		e.note("lost index", "")
		h.closeIndex()
		must(t, os.RemoveAll(h.indexDir))
		h.openIndex()
	case 1:
		e.note("reopened index", "")
		h.closeIndex()
		h.openIndex()
	case 2, 3: // the job is told to stop, gently or not, when some files were read
		soft, stopSoft := context.WithCancelCause(context.Background())
		hard, stopHard := context.WithCancelCause(context.Background())
		stop, what := stopSoft, "interrupted"
		if e.IntN(2) == 0 {
			stop, what = stopHard, "aborted"
		}
		e.note(what, "")
		at, n := 1+e.Int64N(60), atomic.Int64{}
		s := h.spec(e.dir)
		why := errors.New("enough")
		s.faults.onChunk = func(string) {
			if n.Add(1) == at {
				stop(why)
			}
		}
		_, err := h.system.Backup(hard, soft, s)
		switch {
		case err == nil: // it had read all of that
			e.keep()
		case !errors.Is(err, ErrInterrupted) && !errors.Is(err, why):
			t.Fatalf("%s: %v", what, err)
		}
		stopSoft(nil)
		stopHard(nil)
	case 4: // a worker stumbles
		e.note("panic", "")
		s, n := h.spec(e.dir), atomic.Int64{}
		s.faults.onChunk = func(string) {
			if n.Add(1)%17 == 0 {
				panic("injected")
			}
		}
		_, err := h.system.Backup(t.Context(), context.Background(), s)
		must(t, err)
		e.keep()
	}
}

func (e *editor) note(what, path string) {
	e.count[what]++
	if path != "" {
		what += fmt.Sprintf(" %q", strings.TrimPrefix(path, e.dir))
	}
	e.log = append(e.log, what)
}

// paths lists what is in the tree, without its top.
func (e *editor) paths(keep func(d fs.DirEntry) bool) []string {
	var all []string
	must(e.t, filepath.WalkDir(e.dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && p != e.dir && keep(d) {
			all = append(all, p)
		}
		return err
	}))
	return all
}

func (e *editor) pick(keep func(d fs.DirEntry) bool) string {
	all := e.paths(keep)
	if len(all) == 0 {
		return ""
	}
	return all[e.IntN(len(all))]
}

func anything(fs.DirEntry) bool     { return true }
func regular(d fs.DirEntry) bool    { return d.Type().IsRegular() }
func directory(d fs.DirEntry) bool  { return d.IsDir() }
func changeable(d fs.DirEntry) bool { return d.IsDir() || d.Type().IsRegular() }
func (e *editor) someDir() string {
	return append(e.paths(directory), e.dir)[e.IntN(len(e.paths(directory))+1)]
}
func (e *editor) newName() string        { e.made++; return fmt.Sprintf("%c%d-made", 'a'+e.IntN(26), e.made) }
func (e *editor) content(n int64) []byte { return testtree.Bytes(e.Uint64(), e.Int64N(n)) }

// edit changes one thing.
func (e *editor) edit() {
	t := e.t
	switch e.IntN(12) {
	case 0:
		p := filepath.Join(e.someDir(), e.newName())
		e.note("added", p)
		must(t, os.WriteFile(p, e.content(300<<10), 0o640))
	case 1:
		p := filepath.Join(e.someDir(), e.newName())
		e.note("added tree", p)
		must(t, os.Mkdir(p, 0o755))
		makeOdd(t, p, e.Uint64(), 1+e.IntN(30))
	case 2:
		if p := e.pick(anything); p != "" {
			e.note("deleted", p)
			must(t, os.RemoveAll(p))
		}
	case 3, 4:
		e.change()
	case 5, 6:
		e.rename()
	case 7:
		if p := e.pick(changeable); p != "" {
			e.note("chmod", p)
			must(t, os.Chmod(p, fs.FileMode(0o700|e.IntN(0o100))))
		}
	case 8:
		if p := e.pick(anything); p != "" {
			e.note("touched", p)
			ts := unix.NsecToTimespec(e.Int64N(2e18))
			must(t, unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
		}
	case 9, 10:
		e.replace()
	case 11:
		if p := e.pick(regular); p != "" {
			to := filepath.Join(e.someDir(), e.newName())
			e.note("linked", p)
			must(t, os.Link(p, to))
		}
	}
}

// change writes to a file; in one case of three size and mtime stay.
func (e *editor) change() {
	t := e.t
	p := e.pick(regular)
	if p == "" {
		return
	}
	st, err := os.Stat(p)
	must(t, err)
	f, err := os.OpenFile(p, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	switch n := st.Size(); {
	case n == 0 || e.IntN(3) == 0:
		e.note("appended", p)
		_, err = f.WriteAt(e.content(100<<10), n)
	case e.IntN(4) == 0:
		e.note("truncated", p)
		err = f.Truncate(e.Int64N(n))
	default:
		b := []byte{0}
		at := e.Int64N(n)
		_, err = f.ReadAt(b, at)
		must(t, err)
		b[0]++
		_, err = f.WriteAt(b, at)
		if err == nil && e.IntN(2) == 0 {
			e.note("changed in secret", p)
			err = os.Chtimes(p, time.Time{}, st.ModTime())
		} else {
			e.note("changed", p)
		}
	}
	must(t, err)
}

// rename moves something to another name or directory, or over a file.
func (e *editor) rename() {
	p := e.pick(anything)
	if p == "" {
		return
	}
	to := filepath.Join(e.someDir(), e.newName())
	if q := e.pick(regular); e.IntN(4) == 0 && q != "" {
		if st, err := os.Lstat(p); err == nil && !st.IsDir() {
			to = q
		}
	}
	if to == p || strings.HasPrefix(to, p+"/") {
		return
	}
	e.note("renamed", p)
	must(e.t, os.Rename(p, to))
}

// replace puts something of another type in the place of what was there.
func (e *editor) replace() {
	t := e.t
	p := e.pick(anything)
	if p == "" {
		return
	}
	was, err := os.Lstat(p)
	must(t, err)
	must(t, os.RemoveAll(p))
	kinds := map[fs.FileMode]func() error{
		0:                func() error { return os.WriteFile(p, e.content(50<<10), 0o600) },
		fs.ModeDir:       func() error { return os.Mkdir(p, 0o711) },
		fs.ModeSymlink:   func() error { return os.Symlink("elsewhere", p) },
		fs.ModeNamedPipe: func() error { return unix.Mkfifo(p, 0o620) },
	}
	delete(kinds, was.Mode().Type())
	types := []fs.FileMode{0, fs.ModeDir, fs.ModeSymlink, fs.ModeNamedPipe}
	types = slices.DeleteFunc(types, func(m fs.FileMode) bool { return kinds[m] == nil })
	typ := types[e.IntN(len(types))]
	e.note("replaced by another type", p)
	must(t, kinds[typ]())
	if typ == fs.ModeDir {
		must(t, os.WriteFile(filepath.Join(p, "inside"), e.content(1000), 0o600))
	}
}
