package backup_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vaultik/actors"
	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/internal/testtree"
	vfs "vaultik/vault/fs"
)

// numbered skips the test where inode numbers do not say which names are one file.
func numbered(t *testing.T, dir string) {
	t.Helper()
	st, err := vfs.Lstat(dir)
	jobtest.Must(t, err)
	if f := vfs.NewFileSystems(); !f.NumbersFiles(&st, dir) {
		t.Skip("the file system of the tests has no identity: " + f.Of(&st, dir))
	}
}

// oneFile makes a file of 5 MiB with names a to i, and z, another one.
func oneFile(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	numbered(t, dir)
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "a"), testtree.Bytes(1, 5<<20), 0o600))
	for _, name := range "bcdefghi" {
		jobtest.Must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, string(name))))
	}
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "z"), testtree.Bytes(2, 2<<20), 0o600))
	return dir
}

// inFile reports whether a path of oneFile is a name of its file, or of a copy of it.
func inFile(path string) bool {
	name := filepath.Base(path)
	return len(name) == 1 && name >= "a" && name < "z"
}

// A file of several names is read once, whatever its size, its holes, and where its names are; so
// it is when nothing but another name was added.
func TestBackup_NamesOfOneFile(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	var all int64
	for i, size := range []int{1, 300 << 10, 9 << 20} {
		first := filepath.Join(dir, fmt.Sprint("a", i))
		jobtest.Must(t, os.WriteFile(first, testtree.Bytes(uint64(i), int64(size)), 0o600))
		jobtest.Must(t, os.Truncate(first, int64(size+200<<10))) // ends in a hole
		all += int64(size)
	}
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "a3"), nil, 0o600))
	for i := range 1200 { // the names are in several batches and pages
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("m%04d", i)), nil, 0o600))
	}
	for i := range 4 {
		for j := range 9 {
			to := filepath.Join(dir, fmt.Sprintf("%c%d", "bcdefghyz"[j], i))
			jobtest.Must(t, os.Link(filepath.Join(dir, fmt.Sprint("a", i)), to))
		}
	}
	r := h.Backup(dir)
	numbered(t, dir)
	if r.BytesRead < all || r.BytesRead > all+1<<20 {
		t.Errorf("%d bytes read, of %d", r.BytesRead, all)
	}
	h.CheckTree(dir)
	h.VerifyClean()

	for i := range 3 {
		to := filepath.Join(dir, fmt.Sprint("new", i))
		jobtest.Must(t, os.Link(filepath.Join(dir, fmt.Sprint("a", i)), to))
	}
	h.Edit = later
	if r := h.Backup(dir); r.BytesRead > all+1<<20 {
		t.Errorf("one more name: %d bytes read, of %d", r.BytesRead, all)
	}
	h.CheckTree(dir)
	h.Edit = func(s *backup.Spec) { later(s); s.Reread = everything }
	r = h.Backup(dir)
	if r.BytesRead < all || r.BytesRead > all+1<<20 || r.Counts.Changed+r.Counts.New != 0 {
		t.Errorf("everything: %d bytes read, of %d; %+v", r.BytesRead, all, r.Counts)
	}
	h.CheckTree(dir)
	h.VerifyClean()
}

// What was stored of the first name and is lost before the snapshot is made is read again.
func TestBackup_NamesOfOneFileAreLost(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "a"), testtree.Bytes(1, 6<<20), 0o600))
	for i := range 9 {
		jobtest.Must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, fmt.Sprint("b", i))))
	}
	lost := false
	h.Edit = func(s *backup.Spec) {
		s.Faults.Boot = jobtest.Late() // the listing at the start is too old at the end
		s.Faults.OnCommitStart = func() {
			for _, key := range h.Keys("b/") {
				if !lost {
					jobtest.Must(t, h.Store.Delete(t.Context(), key))
				}
			}
			lost = true
		}
	}
	r := h.Backup(dir)
	if r.Rounds != 2 {
		t.Errorf("%d rounds", r.Rounds)
	}
	h.CheckTree(dir)
	h.VerifyClean()
}

// Nobody waits for the one that reads: it goes on only when the file after all the names was
// read by the other chunker.
func TestBackup_NamesDoNotWait(t *testing.T) {
	h, dir := jobtest.New(t), oneFile(t)
	after := make(chan struct{})
	reads := atomic.Int64{}
	h.Edit = func(s *backup.Spec) {
		s.Chunkers = 2
		s.Faults.OnRead = func(path string) {
			if strings.HasSuffix(path, "/z") {
				close(after)
				return
			}
			reads.Add(1)
			<-after
		}
	}
	r := h.BackupWithin(time.Minute, dir)
	if reads.Load() != 1 || r.BytesRead > 7<<20+1 || r.Counts.Files != 10 || !r.Complete {
		t.Errorf("read %d times, %+v", reads.Load(), r)
	}
	h.Edit = nil
	h.CheckTree(dir)
	h.VerifyClean()
}

// A chunker that panics after it has sent most of a file leaves the reading to another name;
// nothing is in the file twice. A file that makes each of them panic is named, by all its
// names, and the others are saved.
func TestBackup_NamesOfAFileThatPanics(t *testing.T) {
	h, dir := jobtest.New(t), oneFile(t)
	after := make(chan struct{})
	reads := atomic.Int64{}
	h.Edit = func(s *backup.Spec) {
		s.Chunkers = 2
		s.Faults.OnRead = func(path string) {
			if strings.HasSuffix(path, "/z") {
				close(after)
				return
			}
			if reads.Add(1) == 1 {
				<-after // the other names were put aside
				panic("injected")
			}
		}
	}
	r := h.BackupWithin(time.Minute, dir)
	if reads.Load() != 3 || r.Restarts != 1 || r.Counts.Files != 10 || !r.Complete {
		t.Errorf("read %d times, %+v", reads.Load(), r)
	}
	h.Edit = nil
	h.CheckTree(dir)

	h.Edit = func(s *backup.Spec) {
		later(s)
		s.Reread = everything
		s.Faults.OnRead = func(path string) {
			if !strings.HasSuffix(path, "/z") {
				panic("injected")
			}
		}
	}
	r = h.BackupWithin(time.Minute, dir)
	if r.Errors != 9 || r.Counts.Files != 1 || r.Complete {
		t.Errorf("%+v", r)
	}
	h.VerifyClean()
}

// A name is put aside, and then its batch panics: it is in the snapshot once, and whole.
func TestBackup_NamesInABatchThatPanics(t *testing.T) {
	h, dir := jobtest.New(t), t.TempDir()
	numbered(t, dir)
	for name, size := range map[string]int64{"a": 300 << 10, "aa": 900 << 10, "w": 100 << 10} {
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, name), testtree.Bytes(1, size), 0o600))
	}
	jobtest.Must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
	after, once := make(chan struct{}), atomic.Int64{}
	h.Edit = func(s *backup.Spec) {
		s.Chunkers = 2
		s.Faults.OnRead = func(path string) {
			switch {
			case strings.HasSuffix(path, "/w") && once.Add(1) == 1:
				close(after)
				panic("injected")
			case strings.HasSuffix(path, "/a"):
				<-after // the other name was put aside
			}
		}
	}
	r := h.BackupWithin(time.Minute, dir)
	if r.Restarts != 1 || r.Counts.Files != 4 || !r.Complete {
		t.Errorf("%+v", r)
	}
	h.Edit = nil
	h.CheckTree(dir)
	h.VerifyClean()
}

// Whoever changes a file while it is read, once or always, finds every name of it with
// contents that it had.
func TestBackup_NamesOfAFileThatChanges(t *testing.T) {
	for _, times := range []int64{1, 2, 1000} {
		h, dir := jobtest.New(t), oneFile(t)
		reads := atomic.Int64{}
		h.Edit = func(s *backup.Spec) {
			s.Faults.OnRead = func(path string) {
				if n := reads.Add(1); !strings.HasSuffix(path, "/z") && n <= times {
					f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0) //nolint:gosec // of the test
					jobtest.Must(t, err)
					_, err = f.WriteString("more")
					jobtest.Must(t, errors.Join(err, f.Close()))
				}
			}
		}
		r := h.BackupWithin(time.Minute, dir)
		if r.Counts.Files != 10 || r.Errors != 0 {
			t.Errorf("%d times: %+v", times, r)
		}
		for path, e := range h.ReadBack() {
			if inFile(path) &&
				(e.Size < 5<<20 || (e.Size-5<<20)%4 != 0) {
				t.Errorf("%d times: %s: %+v", times, path, e)
			}
		}
		h.Edit = later
		h.Backup(dir)
		h.CheckTree(dir)
		h.VerifyClean()
	}
}

// Where the first name is gone when it is to be read, the others are read, once.
func TestBackup_NamesWithoutTheFirst(t *testing.T) {
	h, dir := jobtest.New(t), oneFile(t)
	sub := filepath.Join(dir, "0")
	jobtest.Must(t, os.Mkdir(sub, 0o700))
	jobtest.Must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(sub, "a")))
	gone := sync.OnceFunc(func() { jobtest.Must(t, os.Rename(sub, filepath.Join(t.TempDir(), "0"))) })
	h.Edit = func(s *backup.Spec) {
		s.Chunkers = 2
		s.Faults.OnChunk = func(path string) {
			if strings.HasSuffix(path, "/0/a") {
				gone()
			}
		}
	}
	r := h.BackupWithin(time.Minute, dir)
	if r.Counts.Files != 10 || r.BytesRead != 7<<20 {
		t.Errorf("%+v", r)
	}
	h.Edit = nil
	h.Backup(dir)
	h.CheckTree(dir)
	h.VerifyClean()
}

// A backup that is asked to stop while one reads, and one in which that call never returns,
// end; the next one saves every name, and reads the file once.
func TestBackup_NamesInterrupted(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		t.Run(fmt.Sprintf("hangs %v", hangs), func(t *testing.T) {
			defer goleak.VerifyNone(t, append(jobtest.LeakOptions, goleak.IgnoreCurrent())...)
			h, dir := jobtest.New(t), oneFile(t)
			soft, stop := context.WithCancel(context.Background())
			after, resume := make(chan struct{}), make(chan struct{})
			s := h.Spec(dir)
			s.Chunkers, s.Faults.HangTime = 2, 100*time.Millisecond
			s.Warn = func(string) {}
			s.Faults.OnRead = func(path string) {
				if strings.HasSuffix(path, "/z") {
					close(after)
					return
				}
				<-after
				stop()
				if hangs {
					<-resume
				}
			}
			r, err := backup.Run(t.Context(), soft, h.System, s)
			close(resume)
			if !errors.Is(err, actors.ErrInterrupted) || (r.Abandoned != "") != hangs {
				t.Errorf("%v, %+v", err, r)
			}
			r = h.BackupWithin(time.Minute, dir)
			if r.Counts.Files != 10 || !r.Complete || r.BytesRead > 7<<20 {
				t.Errorf("%+v", r)
			}
			h.CheckTree(dir)
			h.VerifyClean()
			h.CloseIndex()
		})
	}
}

// Each name of a file has the references of a copy of it, which has one name.
func TestBackup_NamesHaveTheSameReferences(t *testing.T) {
	h, dir := jobtest.New(t), oneFile(t)
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "y"), testtree.Bytes(1, 5<<20), 0o600))
	for _, name := range []string{"a", "y"} {
		jobtest.Must(t, os.Truncate(filepath.Join(dir, name), 20<<20)) // ends in a hole
	}
	if r := h.Backup(dir); r.BytesRead != 2*5<<20+2<<20 {
		t.Errorf("%d bytes read", r.BytesRead)
	}
	all := map[string]int{}
	for path, e := range h.ReadBack() {
		if !inFile(path) {
			continue
		}
		text := ""
		for _, r := range e.Refs {
			text += fmt.Sprintf("%d %x %v", r.Hole, r.ID, r.Span)
			if r.Blob != nil {
				text += fmt.Sprintf(" %x", r.Blob.Name)
			}
		}
		all[text]++
	}
	if len(all) != 1 {
		t.Errorf("%d different lists of references", len(all))
	}
}
