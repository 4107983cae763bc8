package backup_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vaultik/internal/testsize"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"vaultik/actors"
	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/internal/testfuse"
	"vaultik/internal/testtree"
	"vaultik/messages"
)

// TestBackup_BadFiles: a file that cannot be read is named, and the others are saved.
func TestBackup_BadFiles(t *testing.T) {
	h := jobtest.New(t)
	data := testtree.Bytes(1, 3<<20)
	late := func(off int64, n int) ([]byte, error) {
		if off >= 2<<20 {
			return nil, unix.EIO
		}
		return data[off : off+int64(n)], nil
	}
	m := testfuse.New(t, filepath.Join(t.TempDir(), "m"), map[string]testfuse.File{
		"a-good": testfuse.Bytes(data), "empty": testfuse.Bytes(nil), "unsized": testfuse.Unsized(data), "z-good": testfuse.Bytes(data[:10]),
		"eio":    {Size: 3 << 20, Read: late},
		"small":  {Size: 30, Read: func(int64, int) ([]byte, error) { return nil, unix.EIO }},
		"zero":   {Read: func(int64, int) ([]byte, error) { return nil, unix.EIO }},
		"estale": {Stat: func() error { return unix.ESTALE }},
		"closed": {Size: 10, Open: func() error { return unix.EACCES }},
		"nulled": {Open: func() error { return unix.EACCES }},
		"short":  {Size: 30, Read: func(off int64, _ int) ([]byte, error) { return data[min(off, 7):7], nil }},
	})
	reasons := map[string]string{}
	h.Edit = func(s *backup.Spec) {
		s.OnItem = func(path string, _ messages.Status, reason string) { reasons[filepath.Base(path)] = reason }
	}
	r := h.Backup(m.Dir)
	for name, want := range map[string]string{
		"eio": "input/output error", "small": "input/output error", "zero": "input/output error", "estale": "stale",
		"closed": "permission denied", "short": "changed while being read", "a-good": "", "z-good": "", "unsized": "", "empty": "",
	} {
		if got, told := reasons[name]; !told || !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if m.Polled.Load() {
		t.Error("the runtime polls files: one that hangs would hold one of its processors")
	}
	if r.Errors != 5 || r.Complete || r.Counts.Files != 6 {
		t.Errorf("%+v", r)
	}
	got := h.ReadBack()
	for name, size := range map[string]int{"a-good": 3 << 20, "empty": 0, "unsized": 3 << 20, "z-good": 10, "short": 7, "nulled": 0} {
		if e, ok := got[m.Dir[1:]+"/"+name]; !ok || e.Size != int64(size) {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if e := got[m.Dir[1:]+"/unsized"]; e.Sum != got[m.Dir[1:]+"/a-good"].Sum {
		t.Errorf("a file that says it is empty was not read: %+v", e)
	}
	h.Edit = func(s *backup.Spec) { s.Fixed = true }
	h.Backup(m.Dir)
	if e := h.ReadBack()[m.Dir[1:]+"/unsized"]; e.Size != 0 {
		t.Errorf("read beyond its size: %+v", e)
	}
	h.Edit = nil
	h.Backup(m.Dir)
	if e := h.ReadBack()[m.Dir[1:]+"/unsized"]; e.Size != 3<<20 {
		t.Errorf("its content is taken for known: %+v", e)
	}
	h.VerifyClean()
}

// TestBackup_MountThatDies: what was read is saved, everything else is named, also
// the directories; and the next backup finds it again.
func TestBackup_MountThatDies(t *testing.T) {
	h := jobtest.New(t)
	top := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(top, "a-local"), []byte("local"), 0o600))
	jobtest.Must(t, os.WriteFile(filepath.Join(top, "z-local"), []byte("local"), 0o600))
	files := map[string]testfuse.File{}
	for _, n := range strings.Split("abcdefgh", "") {
		files[n] = testfuse.Bytes([]byte(n))
	}
	var mount atomic.Pointer[testfuse.Mount]
	dead := make(chan struct{})
	die := sync.OnceFunc(func() { mount.Load().Die(); close(dead) })
	files["d"] = testfuse.File{Size: 9, Read: func(int64, int) ([]byte, error) {
		go die()
		<-dead // the answer to this comes too late
		return nil, unix.EIO
	}}
	mount.Store(testfuse.New(t, filepath.Join(top, "m"), files))
	h.Edit = func(s *backup.Spec) { s.Chunkers = 1 }
	r := h.Backup(top)
	if r.Complete || r.Errors == 0 || r.Counts.Files < 4 {
		t.Errorf("%+v", r)
	}
	got := h.ReadBack()
	for _, n := range []string{"a-local", "m/a", "z-local"} {
		if _, ok := got[top[1:]+"/"+n]; !ok {
			t.Errorf("%s was not saved", n)
		}
	}
	if r := h.Backup(top); r.Complete || r.Errors != 1 || r.Counts.Files != 2 { // the mount point itself
		t.Errorf("dead: %+v", r)
	}
	h.VerifyClean()
}

// TestBackup_Hang: a call that never returns is named; the backup goes on with all
// else, and ends when it is asked to.
func TestBackup_Hang(t *testing.T) {
	testsize.Long(t)
	for _, where := range []string{"read", "open", "stat"} {
		t.Run(where, func(t *testing.T) {
			defer goleak.VerifyNone(t, append(jobtest.LeakOptions, goleak.IgnoreCurrent())...)
			h := jobtest.New(t)
			data := testtree.Bytes(1, 2<<20)
			var m *testfuse.Mount
			var armed atomic.Bool
			stall := func(at string) error {
				if where == at && armed.Load() {
					m.Stall()
				}
				return nil
			}
			good, bad := testfuse.Bytes(data), testfuse.Unsized([]byte("content"))
			good.Stat = func() error { return stall("stat") } // it is found, and then not described
			bad.Open = func() error { return stall("read") }
			m = testfuse.New(t, filepath.Join(t.TempDir(), "m"), map[string]testfuse.File{"a": good, "hangs": bad})
			armed.Store(true)
			want := m.Dir + "/hangs"
			if where == "stat" {
				want = m.Dir + "/a"
			}
			soft, stop := context.WithCancel(context.Background())
			s := h.Spec(m.Dir)
			s.Chunkers = 1 // one file after the other
			s.Faults.HangTime = 600 * time.Millisecond
			s.Faults.OnChunk = func(path string) {
				if strings.HasSuffix(path, "hangs") {
					_ = stall("open")
				}
			}
			var mu sync.Mutex
			var warned []string
			s.Warn = func(text string) {
				mu.Lock()
				defer mu.Unlock()
				if warned = append(warned, text); len(warned) == 1 {
					if p := s.Progress.Current.Load(); p == nil || *p != want {
						t.Errorf("progress does not show it")
					}
					stop()
				}
			}
			r, err := backup.Run(t.Context(), soft, h.System, s)
			if !errors.Is(err, actors.ErrInterrupted) || r.Abandoned != want {
				t.Errorf("%v, %+v", err, r)
			}
			mu.Lock()
			if len(warned) != 2 || !strings.Contains(warned[0], want+`" not responding for`) || !strings.Contains(warned[1], "continuing without it") {
				t.Errorf("%q", warned)
			}
			mu.Unlock()
			if where != "stat" && r.BytesStored < 2<<20 {
				t.Errorf("what was read is not stored: %+v", r)
			}
			armed.Store(false)
			m.Resume()
			if r := h.Backup(m.Dir); !r.Complete || where != "stat" && r.BytesStored > 1<<20 {
				t.Errorf("afterwards: %+v", r)
			}
			h.VerifyClean()
			h.CloseIndex()
			m.Unmount()
		})
	}
}

// TestBackup_LargeHole: of a file of 1 TiB only its data are read.
func TestBackup_LargeHole(t *testing.T) {
	h, dir := jobtest.New(t), t.TempDir()
	f, err := os.Create(filepath.Join(dir, "disk"))
	jobtest.Must(t, err)
	jobtest.Must(t, f.Truncate(1<<40))
	for i := range int64(4) {
		_, err := f.WriteAt(testtree.Bytes(uint64(i), 256<<10), i*(200<<30)+4096) //nolint:gosec // small
		jobtest.Must(t, err)
	}
	jobtest.Must(t, f.Close())
	r := h.Backup(dir)
	if r.BytesRead < 1<<20 || r.BytesRead > 2<<20 || r.Counts.Bytes != 1<<40 || r.BytesStored > 2<<20 {
		t.Errorf("%+v", r)
	}
	h.VerifyClean()
}

// TestBackup_FixedSize: a file that only grows is saved as long as it was, once.
func TestBackup_FixedSize(t *testing.T) {
	h, dir := jobtest.New(t), motionTree(t)
	reads := 0
	grow := func(f *actors.Faults) {
		f.OnRead = func(path string) {
			if strings.HasSuffix(path, "/b") {
				reads++
				g, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
				jobtest.Must(t, err)
				_, err = g.Write(bytes.Repeat([]byte("x"), 100))
				jobtest.Must(t, err)
				jobtest.Must(t, g.Close())
			}
		}
	}
	h.Edit = nil
	said := jobtest.Items{}
	h.Edit = func(s *backup.Spec) {
		s.Fixed = true
		s.OnItem = func(path string, st messages.Status, _ string) { said[filepath.Base(path)] = st }
		grow(&s.Faults)
	}
	r := h.Backup(dir)
	if said["b"] != messages.StatusNew || !r.Complete || reads != 1 {
		t.Errorf("%v, read %d times, %+v", said, reads, r)
	}
	if e := h.ReadBack()[dir[1:]+"/b"]; e.Size != 700<<10 {
		t.Errorf("size %d", e.Size)
	}
	if h.Backup(dir); said["b"] != messages.StatusChanged || reads != 2 {
		t.Errorf("%v, read %d times", said, reads)
	}
	h.Edit = nil
	h.Backup(dir)
	h.CheckTree(dir)
}
