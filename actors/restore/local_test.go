package restore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
	"vaultik/internal/testtree"
	"vaultik/messages"
	"vaultik/vault/chunk"
	vfs "vaultik/vault/fs"
	"vaultik/vault/layout"
	"vaultik/vault/plan"
)

// localHost has small chunks and blobs, so that files of a megabyte have many.
func localHost(t *testing.T) *jobtest.Host {
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) {
		s.Chunks = chunk.ParamsFor(16 << 10)
		s.BlobSize = 4 << 20
	}
	return h
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st syscall.Stat_t
	jobtest.Must(t, syscall.Lstat(path, &st))
	return st.Ino
}

// removeQuietly removes a file and leaves its directory its time.
func removeQuietly(t *testing.T, path string) {
	t.Helper()
	st, err := os.Stat(filepath.Dir(path))
	jobtest.Must(t, err)
	jobtest.Must(t, os.Remove(path))
	jobtest.Must(t, os.Chtimes(filepath.Dir(path), time.Time{}, st.ModTime()))
}

// statuses collects what is said of each file, by its base name.
func statuses(s *restore.Spec) map[string]messages.Status {
	m := map[string]messages.Status{}
	s.OnItem = func(path string, st messages.Status, _ string) { m[filepath.Base(path)] = st }
	return m
}

// A file in doubt is read: if its contents are right it stays, and gets its time
// back; otherwise it is replaced, and what was right of it is not fetched.
func TestRestore_InDoubt(t *testing.T) {
	h := localHost(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	testtree.Make(t, dir, `
file touched size=600000 data=0:600000:1
file small text=small
file edited size=600000 data=0:600000:2
file longer size=600000 data=0:600000:3
file linked size=600000 data=0:600000:4
file sparse size=9000000 data=0:300000:5 data=5000000:300000:6
file nohole size=9000000 data=0:300000:7
file onlyhole size=9000000
`)
	h.Backup(dir)
	all := h.Restore(h.RestoreSpec(dir, out))
	before := map[string]uint64{}
	for _, name := range strings.Fields(names(t, out)) {
		p := filepath.Join(out, name)
		before[name] = inode(t, p)
		f, err := os.OpenFile(p, os.O_RDWR, 0)
		jobtest.Must(t, err)
		switch name {
		case "edited":
			_, err = f.WriteAt([]byte("edited"), 300_000)
		case "longer":
			_, err = f.WriteAt([]byte("longer"), 600_000)
		case "nohole":
			_, err = f.WriteAt([]byte("data"), 7_000_000)
		case "onlyhole":
			_, err = f.WriteAt([]byte("data"), 7)
		case "linked":
			err = os.Link(p, filepath.Join(out, "sibling"))
		}
		jobtest.Must(t, err)
		jobtest.Must(t, f.Close())
		jobtest.Must(t, os.Chtimes(p, time.Time{}, time.Unix(1, 0)))
	}
	s := h.RestoreSpec(dir, out)
	got := statuses(s)
	r := h.Restore(s)
	for name, want := range map[string]messages.Status{
		"touched": "unchanged", "small": "unchanged", "sparse": "unchanged",
		"edited": "replaced", "longer": "replaced", "linked": "replaced", "nohole": "replaced", "onlyhole": "replaced",
	} {
		p := filepath.Join(out, name)
		if got[name] != want || (inode(t, p) == before[name]) != (want == "unchanged") {
			t.Errorf("%s is %s, not %s; inode %d, was %d", name, got[name], want, inode(t, p), before[name])
		}
	}
	if st, err := os.Lstat(filepath.Join(out, "sibling")); err != nil || st.ModTime() != time.Unix(1, 0) {
		t.Errorf("the other name of a replaced file: %v %v", st.ModTime(), err)
	}
	removeQuietly(t, filepath.Join(out, "sibling"))
	jobtest.SameTree(t, dir, out)
	if r.Failed != 0 || r.BytesRead > all.BytesRead*2/3 || r.BytesReused < 2_500_000 {
		t.Errorf("%d of %d bytes were fetched again: %+v", r.BytesRead, all.BytesRead, r)
	}
}

// In place, a file keeps its inode and its other names; only what differs is
// fetched, and holes are made again.
func TestRestore_InPlace(t *testing.T) {
	h := localHost(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	testtree.Make(t, dir, `
file image size=20000000 data=0:8000000:1 data=11000000:9000000:2
file longer size=500000 data=0:500000:3
file shorter size=500000 data=0:500000:4
file same size=500000 data=0:500000:5
file empty text=""
file readonly text=right mode=400
file a size=300000 data=0:300000:6
hardlink b a
symlink type same
`)
	h.Backup(dir)
	all := h.Restore(h.RestoreSpec(dir, out))
	edit := func(name, text string, at int64) {
		f, err := os.OpenFile(filepath.Join(out, name), os.O_RDWR, 0)
		jobtest.Must(t, err)
		_, err = f.WriteAt([]byte(text), at)
		jobtest.Must(t, err)
		jobtest.Must(t, f.Close())
	}
	edit("image", "changed", 1_000_000)
	edit("image", "no hole any more", 9_000_000)
	edit("longer", "longer", 500_000)
	jobtest.Must(t, os.Truncate(filepath.Join(out, "shorter"), 499_000))
	edit("empty", "not", 0)
	edit("readonly", "wrong", 0)
	edit("a", "changed", 1000)
	jobtest.Must(t, os.Chtimes(filepath.Join(out, "same"), time.Time{}, time.Unix(1, 0)))
	jobtest.Must(t, os.Link(filepath.Join(out, "longer"), filepath.Join(out, "sibling")))
	jobtest.Must(t, os.Remove(filepath.Join(out, "type")))
	jobtest.Must(t, os.WriteFile(filepath.Join(out, "type"), []byte("a file"), 0o600))
	before := map[string]uint64{}
	for _, name := range strings.Fields(names(t, out)) {
		before[name] = inode(t, filepath.Join(out, name))
	}
	s := h.RestoreSpec(dir, out)
	s.InPlace = true
	got := statuses(s)
	r := h.Restore(s)
	for name, want := range map[string]messages.Status{
		"image": "changed", "longer": "changed", "shorter": "changed", "empty": "changed", "readonly": "changed",
		"same": "unchanged", "a": "changed", "b": "unchanged", "type": "replaced",
	} {
		if got[name] != want || (inode(t, filepath.Join(out, name)) == before[name]) != (name != "type") {
			t.Errorf("%s is %s, not %s", name, got[name], want)
		}
	}
	a, err := os.ReadFile(filepath.Join(out, "sibling"))
	jobtest.Must(t, err)
	if len(a) != 500_000 {
		t.Errorf("the other name of a file that was changed in place has %d bytes", len(a))
	}
	removeQuietly(t, filepath.Join(out, "sibling"))
	jobtest.SameTree(t, dir, out)
	if r.Failed != 0 || r.Changed != 6 || r.BytesRead > all.BytesRead*2/3 || r.BytesWritten > 600_000 || len(r.Half) > 0 {
		t.Errorf("%d of %d bytes were fetched: %+v", r.BytesRead, all.BytesRead, r)
	}

	// With always, also what size and time say nothing of is found.
	st, err := os.Stat(filepath.Join(out, "same"))
	jobtest.Must(t, err)
	edit("same", "secretly", 100)
	jobtest.Must(t, os.Chtimes(filepath.Join(out, "same"), time.Time{}, st.ModTime()))
	s = h.RestoreSpec(dir, out)
	s.InPlace, s.Overwrite = true, restore.OverwriteAlways
	if r := h.Restore(s); r.Changed != 1 || r.Failed != 0 || inode(t, filepath.Join(out, "same")) != before["same"] {
		t.Errorf("%+v", r)
	}
	jobtest.SameTree(t, dir, out)
}

// Files of the snapshot that are names of one file in the target: what is changed
// in place for one is not another's any more.
func TestRestore_InPlace_linked(t *testing.T) {
	h := localHost(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	testtree.Make(t, dir, `
file a size=500000 data=0:500000:1
file b size=500000 data=0:500000:2
file c size=500000 data=0:500000:3
hardlink d c
file small text=s
file z text=z
`)
	h.Backup(dir)
	h.Restore(h.RestoreSpec(dir, out))
	for name, to := range map[string]string{"b": "a", "d": "a", "z": "small"} {
		jobtest.Must(t, os.Remove(filepath.Join(out, name)))
		jobtest.Must(t, os.Link(filepath.Join(out, to), filepath.Join(out, name)))
	}
	beside := filepath.Join(t.TempDir(), "beside")
	jobtest.Must(t, os.Link(filepath.Join(out, "a"), beside))
	for _, mode := range []restore.Overwrite{restore.OverwriteIfChanged, restore.OverwriteAlways} {
		s := h.RestoreSpec(dir, out)
		s.InPlace, s.Overwrite = true, mode
		if r := h.Restore(s); r.Failed > 0 || inode(t, filepath.Join(out, "a")) != inode(t, beside) {
			t.Errorf("%s: %+v", mode, r)
		}
		jobtest.Must(t, os.Remove(beside))
		jobtest.SameTree(t, dir, out)
		jobtest.Must(t, os.Link(filepath.Join(out, "a"), beside))
		jobtest.Must(t, os.Remove(filepath.Join(out, "b")))
		jobtest.Must(t, os.Link(filepath.Join(out, "a"), filepath.Join(out, "b")))
	}
}

// A file that is replaced by another one while it is changed in place must not
// become one of both.
func TestRestore_InPlace_swapped(t *testing.T) {
	h := localHost(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "image"), testtree.Bytes(1, 4<<20), 0o600))
	h.Backup(dir)
	data := testtree.Bytes(1, 4<<20)
	copy(data[3<<20:], "changed")
	jobtest.Must(t, os.MkdirAll(out, 0o700))
	jobtest.Must(t, os.WriteFile(filepath.Join(out, "image"), data, 0o600))
	jobtest.Must(t, os.WriteFile(filepath.Join(out, "other"), testtree.Bytes(2, 4<<20), 0o600))
	s := h.RestoreSpec(dir, out)
	s.InPlace = true
	var once sync.Once
	s.Faults.OnDownload = func() { // when all was compared, and before the first change
		once.Do(func() { jobtest.Must(t, os.Rename(filepath.Join(out, "other"), filepath.Join(out, "image"))) })
	}
	r := h.Restore(s)
	st, err := os.Stat(filepath.Join(out, "image"))
	jobtest.Must(t, err)
	if r.Failed != 1 || st.Size() != 4<<20+1 || !errors.Is(r.Problems[0].Err, vfs.ErrSwapped) || !strings.Contains(r.Problems[0].Reason, plan.HalfDone) {
		t.Errorf("%d bytes, %+v", st.Size(), r)
	}
	s = h.RestoreSpec(dir, out)
	s.InPlace = true
	h.Restore(s)
	jobtest.SameTree(t, dir, out)
}

// Wherever a restore in place ends early, the file does not look complete, and the next one repairs it.
func TestRestore_InPlace_interrupted(t *testing.T) {
	h := localHost(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "image"), testtree.Bytes(1, 4<<20), 0o600))
	h.Backup(dir)
	old := testtree.Bytes(2, 4<<20)
	halves := 0
	for _, at := range []int64{1, 2, 100, 200, 250, 300, 400} {
		jobtest.Must(t, os.MkdirAll(out, 0o700))
		jobtest.Must(t, os.WriteFile(filepath.Join(out, "image"), old, 0o600))
		st, err := os.Stat(filepath.Join(dir, "image")) // it could not look more complete
		jobtest.Must(t, err)
		jobtest.Must(t, os.Chtimes(filepath.Join(out, "image"), st.ModTime(), st.ModTime()))
		s := h.RestoreSpec(dir, out)
		s.InPlace, s.Overwrite = true, restore.OverwriteAlways
		r := h.Interrupted(s, at)
		now, err := os.ReadFile(filepath.Join(out, "image"))
		jobtest.Must(t, err)
		switch {
		case bytes.Equal(now, old):
			if len(r.Half) > 0 {
				t.Errorf("at %d: nothing was changed: %+v", at, r)
			}
		case bytes.Equal(now, testtree.Bytes(1, 4<<20)): // just before its end
		case len(now) != 4<<20+1 || len(r.Half) != 1:
			t.Errorf("at %d: changed in part, and %d bytes long: %+v", at, len(now), r)
		}
		s = h.RestoreSpec(dir, out)
		s.InPlace = len(now) != 4<<20 // otherwise it looks complete, as it did before or does now
		if r := h.Restore(s); s.InPlace && (r.Changed != 1 || len(r.Half) > 0) {
			t.Errorf("at %d, then: %+v", at, r)
		}
		if s.InPlace {
			halves++
			jobtest.SameTree(t, dir, out)
		}
	}
	if halves < 2 {
		t.Errorf("only %d were left changed in part", halves)
	}
}

// What the store has lost of a file that is changed in place cannot be undone, and is said.
func TestRestore_InPlace_damaged(t *testing.T) {
	h := localHost(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "other"), []byte("other"), 0o600))
	h.Backup(dir)
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "image"), testtree.Bytes(1, 4<<20), 0o600))
	h.Backup(dir)
	var largest string // not that of the pages
	var b []byte
	for _, k := range h.Objects(layout.KindBlob) {
		if now := h.Get(k); len(now) > len(b) {
			largest, b = k, now
		}
	}
	for i := len(b) / 4; i < len(b)/2; i++ {
		b[i] ^= 1
	}
	jobtest.Must(t, h.Store.Delete(t.Context(), largest))
	h.Put(largest, b)
	jobtest.Must(t, os.MkdirAll(out, 0o700))
	jobtest.Must(t, os.WriteFile(filepath.Join(out, "image"), testtree.Bytes(2, 4<<20), 0o600))
	for _, inPlace := range []bool{false, true} {
		s := h.RestoreSpec(dir, out)
		s.InPlace = inPlace
		r := h.Restore(s)
		now, err := os.ReadFile(filepath.Join(out, "image"))
		jobtest.Must(t, err)
		if r.Failed != 1 || filepath.Base(r.Problems[0].Path) != "image" || strings.Contains(r.Problems[0].Reason, "one byte too long") != inPlace {
			t.Errorf("in place %v: %+v", inPlace, r)
		}
		if bytes.Equal(now, testtree.Bytes(2, 4<<20)) == inPlace || inPlace && len(now) != 4<<20+1 {
			t.Errorf("in place %v: %d bytes", inPlace, len(now))
		}
		if b, _ := os.ReadFile(filepath.Join(out, "other")); string(b) != "other" {
			t.Errorf("the other file is %q", b)
		}
		jobtest.NoTemps(t, out)
	}
}

// A large file that an interrupted restore has begun is gone on with.
func TestRestore_GoesOnWithinAFile(t *testing.T) {
	h := localHost(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "image"), testtree.Bytes(1, 20<<20), 0o600))
	testtree.Make(t, dir, "file sparse size=30000000 data=1000000:2000000:3 data=20000000:3000000:4")
	h.Backup(dir)
	spec := func() *restore.Spec {
		s := h.RestoreSpec(dir, out)
		s.Bounds = restore.DefaultBounds()
		s.Bounds.Large = 1 << 20
		return s
	}
	whole := h.Restore(spec())
	jobtest.Must(t, os.RemoveAll(out))
	parts := func() (all []string) {
		found, err := filepath.Glob(filepath.Join(out, ".vaultik-part-*"))
		jobtest.Must(t, err)
		return found
	}
	r := h.Interrupted(spec(), 1000)
	if len(parts()) == 0 || int(r.Parts) != len(parts()) {
		t.Fatalf("%d parts: %+v", len(parts()), r)
	}
	for _, p := range parts() { // whatever became of it meanwhile
		f, err := os.OpenFile(p, os.O_RDWR, 0)
		jobtest.Must(t, err)
		_, err = f.WriteAt([]byte("damaged by a crash"), 19_000_000)
		jobtest.Must(t, err)
		jobtest.Must(t, f.Close())
	}
	rest := h.Restore(spec())
	if rest.Failed != 0 || rest.Parts != 0 || len(parts()) != 0 || rest.BytesReused < r.BytesWritten/2 ||
		rest.BytesRead > whole.BytesRead || rest.BytesWritten > whole.BytesWritten-rest.BytesReused { // what of a blob is missing, in how many pieces, is luck
		t.Errorf("of %d bytes, %d were read, then %d, %d reused: %+v", whole.BytesRead, r.BytesRead, rest.BytesRead, rest.BytesReused, rest)
	}
	jobtest.SameTree(t, dir, out)

	// What nobody will go on with is removed; a part of another process is left alone, as is what is not ours.
	mine, busy := filepath.Join(out, ".vaultik-part-AAAAAAAAAAAAAAAAAAAAAAAAAA"), filepath.Join(out, ".vaultik-part-BBBBBBBBBBBBBBBBBBBBBBBBBB")
	foreign := filepath.Join(out, ".vaultik-part-CCCCCCCCCCCCCCCCCCCCCCCCCC")
	for _, p := range []string{mine, busy} {
		jobtest.Must(t, os.WriteFile(p, []byte("part"), 0o600))
	}
	jobtest.Must(t, os.WriteFile(foreign, []byte("part"), 0o600))
	jobtest.Must(t, os.Chmod(foreign, 0o644))
	f, err := os.Open(busy)
	jobtest.Must(t, err)
	defer f.Close()
	jobtest.Must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	h.Restore(spec())
	if got := parts(); len(got) != 2 || got[0] != busy || got[1] != foreign {
		t.Errorf("left: %q", got)
	}
}
