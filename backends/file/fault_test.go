package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/backends"
	"vaultik/internal/atomicfile"
)

// script records the steps of a store and fails those it is told to.
type script struct {
	steps []atomicfile.Step
	fail  map[atomicfile.Step]error
}

func (s *script) hook(step atomicfile.Step, _ string) error {
	s.steps = append(s.steps, step)
	return s.fail[step]
}

func (s *script) reset(fail map[atomicfile.Step]error) { s.steps, s.fail = nil, fail }

func openScripted(t *testing.T) (*Backend, *script, string) {
	t.Helper()
	root, s := t.TempDir(), &script{}
	b, err := open(root, backends.Options{}, s.hook)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b, s, root
}

func TestPut_Order(t *testing.T) {
	const mkdir, create, lock, write, sync, closed, link, rename, remove, syncdir = atomicfile.StepMkdir, atomicfile.StepCreate,
		atomicfile.StepLock, atomicfile.StepWrite, atomicfile.StepSync, atomicfile.StepClose, atomicfile.StepLink, atomicfile.StepRename,
		atomicfile.StepRemove, atomicfile.StepSyncDir
	b, s, _ := openScripted(t)
	for _, c := range []struct {
		key  string
		opts backends.PutOptions
		want []atomicfile.Step
	}{
		{"a/b/x", backends.PutOptions{}, []atomicfile.Step{mkdir, syncdir, mkdir, syncdir, create, lock, write, sync, closed, rename, syncdir}},
		{"a/b/y", backends.PutOptions{}, []atomicfile.Step{create, lock, write, sync, closed, rename, syncdir}},
		{"a/c/x", backends.PutOptions{}, []atomicfile.Step{mkdir, syncdir, create, lock, write, sync, closed, rename, syncdir}},
		{"a/c/y", backends.PutOptions{IfAbsent: true}, []atomicfile.Step{create, lock, write, sync, closed, link, remove, syncdir}},
		{"a/c/y", backends.PutOptions{IfAbsent: true}, []atomicfile.Step{syncdir}}, // exists, and is durable
	} {
		s.reset(nil)
		if _, err := b.Put(t.Context(), c.key, backends.Bytes([]byte("x"), nil), c.opts); err != nil && !errors.Is(err, backends.ErrExists) {
			t.Fatal(err)
		}
		if !slices.Equal(s.steps, c.want) {
			t.Errorf("Put %s %+v:\n%v, want\n%v", c.key, c.opts, s.steps, c.want)
		}
	}
}

// Directories that another handle has made may not be durable yet.
func TestPut_SyncsForeignDirectories(t *testing.T) {
	b, s, root := openScripted(t)
	if err := os.MkdirAll(filepath.Join(root, "a/b"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, b, "a/b/x", "x")
	n := 0
	for _, step := range s.steps {
		if step == atomicfile.StepSyncDir {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d directories synced, want root, a and a/b: %v", n, s.steps)
	}
}

// Every failing step fails the Put and leaves nothing behind.
func TestPut_FailingSteps(t *testing.T) {
	kinds := map[unix.Errno]error{
		unix.ENOSPC: backends.ErrNoSpace, unix.EDQUOT: backends.ErrNoSpace, unix.EROFS: backends.ErrReadOnly,
		unix.EACCES: backends.ErrPermission, unix.EIO: unix.EIO, unix.ESTALE: unix.ESTALE,
	}
	steps := []atomicfile.Step{
		atomicfile.StepMkdir, atomicfile.StepCreate, atomicfile.StepLock, atomicfile.StepWrite, atomicfile.StepSync,
		atomicfile.StepClose, atomicfile.StepRename, atomicfile.StepLink, atomicfile.StepSyncDir,
	}
	for _, step := range steps {
		for errno, kind := range kinds {
			b, s, root := openScripted(t)
			s.reset(map[atomicfile.Step]error{step: errno})
			opts := backends.PutOptions{IfAbsent: step == atomicfile.StepLink}
			_, err := b.Put(t.Context(), "a/x", backends.Bytes([]byte("new"), nil), opts)
			if !errors.Is(err, kind) || !errors.Is(err, errno) {
				t.Errorf("%s fails with %v: Put returned %v, want %v", step, errno, err, kind)
			}
			if want := errno == unix.EIO || errno == unix.ESTALE; backends.Retryable(err) != want {
				t.Errorf("%s fails with %v: retryable %v", step, errno, !want)
			}
			if errors.Is(kind, backends.ErrNoSpace) && (!strings.Contains(err.Error(), root) || !strings.Contains(err.Error(), "free in")) {
				t.Errorf("full store: %v must name the path and what is free", err)
			}
			if list, err := backends.List(t.Context(), b, ""); err != nil || len(list) != 0 {
				t.Errorf("%s fails with %v: listed %v, %v", step, errno, list, err)
			}
			wantFiles(t, root)
			s.reset(nil)
			put(t, b, "a/x", "again")
			wantFiles(t, root, "a/x")
		}
	}
}

// With an old object there, it stays, or the new one is whole.
func TestPut_FailingStepsKeepOld(t *testing.T) {
	for _, step := range []atomicfile.Step{
		atomicfile.StepCreate, atomicfile.StepLock, atomicfile.StepWrite, atomicfile.StepSync, atomicfile.StepClose, atomicfile.StepRename, atomicfile.StepSyncDir,
	} {
		b, s, root := openScripted(t)
		put(t, b, "a/x", "old")
		s.reset(map[atomicfile.Step]error{step: unix.EIO})
		if _, err := b.Put(t.Context(), "a/x", backends.Bytes([]byte("new"), nil), backends.PutOptions{}); !errors.Is(err, unix.EIO) {
			t.Errorf("%s fails: Put returned %v", step, err)
		}
		want := "old"
		if step == atomicfile.StepSyncDir {
			want = "new"
		}
		if got, err := os.ReadFile(filepath.Join(root, "a/x")); err != nil || string(got) != want {
			t.Errorf("%s fails: object is %q, %v; want %q", step, got, err, want)
		}
		wantFiles(t, root, "a/x")
	}
}

// Cancelled when everything but the name is done.
func TestPut_CancelledLate(t *testing.T) {
	root := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	b, err := open(root, backends.Options{}, func(step atomicfile.Step, _ string) error {
		if step == atomicfile.StepClose {
			cancel()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	if _, err := b.Put(ctx, "a/x", backends.Bytes([]byte("x"), nil), backends.PutOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled Put: %v", err)
	}
	wantFiles(t, root)
}

// A source that fails as a store could says nothing about the store.
func TestPut_SourceErrorsAreNotOurs(t *testing.T) {
	b, _, _ := openScripted(t)
	for _, errno := range []unix.Errno{unix.ENOSPC, unix.EACCES, unix.ENOENT, unix.EIO} {
		_, err := b.Put(t.Context(), "x", brokenSource{errno}, backends.PutOptions{})
		for _, kind := range []error{backends.ErrNoSpace, backends.ErrPermission, backends.ErrNotFound, backends.ErrContainerNotFound} {
			if errors.Is(err, kind) {
				t.Errorf("source fails with %v: Put says %v", errno, kind)
			}
		}
		if !errors.Is(err, errno) || backends.Retryable(err) {
			t.Errorf("source fails with %v: %v", errno, err)
		}
	}
}

type brokenSource struct{ err error }

func (brokenSource) Size() int64                        { return 1 }
func (brokenSource) SHA256() []byte                     { return nil }
func (s brokenSource) Open() (io.ReadSeekCloser, error) { return nil, s.err }

// Directories that vanish while they are listed are not missed.
func TestList_DirectoryGone(t *testing.T) {
	b, _, root := openScripted(t)
	for _, d := range "abcdef" {
		for _, n := range "xyz" {
			put(t, b, fmt.Sprintf("d/%c/%c/o", d, n), "x")
		}
	}
	seen := 0
	err := b.ListStream(t.Context(), "d/", func(backends.ObjectInfo) error {
		seen++
		return os.RemoveAll(filepath.Join(root, "d"))
	})
	if err != nil || seen != 1 {
		t.Errorf("list of what vanishes: %d objects, %v; want 1", seen, err)
	}
}

// A failure in the middle of a large object.
func TestPut_FullInTheMiddle(t *testing.T) {
	root, writes := t.TempDir(), 0
	b, err := open(root, backends.Options{}, func(step atomicfile.Step, _ string) error {
		if step == atomicfile.StepWrite {
			if writes++; writes == 4 {
				return unix.ENOSPC
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	_, err = b.Put(t.Context(), "x", backends.Bytes(make([]byte, 8<<20), nil), backends.PutOptions{})
	if !errors.Is(err, backends.ErrNoSpace) || backends.Retryable(err) {
		t.Errorf("Put into a full store: %v", err)
	}
	wantFiles(t, root)
}

// Where nothing can be linked, a rename that replaces nothing does.
func TestPut_NoHardLinks(t *testing.T) {
	b, s, root := openScripted(t)
	s.reset(map[atomicfile.Step]error{atomicfile.StepLink: unix.EPERM})
	ifAbsent := backends.PutOptions{IfAbsent: true}
	if _, err := b.Put(t.Context(), "x", backends.Bytes([]byte("1"), nil), ifAbsent); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), "x", backends.Bytes([]byte("2"), nil), ifAbsent); !errors.Is(err, backends.ErrExists) {
		t.Errorf("second Put: %v", err)
	}
	wantFiles(t, root, "x")
	if info, err := b.Info(t.Context()); err != nil || !info.ConditionalPut {
		t.Errorf("ability where only links are missing: %v, %v", info.ConditionalPut, err)
	}
	s.fail[atomicfile.StepRename] = unix.EINVAL
	other, err := open(root, backends.Options{}, s.hook)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if info, err := other.Info(t.Context()); err != nil || info.ConditionalPut {
		t.Errorf("ability where neither works: %v, %v", info.ConditionalPut, err)
	}
	wantFiles(t, root, "x")
	if _, err := b.Put(t.Context(), "y", backends.Bytes([]byte("2"), nil), ifAbsent); !errors.Is(err, backends.ErrUnsupported) {
		t.Errorf("Put where neither works: %v", err)
	}
	wantFiles(t, root, "x")
}

func TestDelete_Fails(t *testing.T) {
	b, s, root := openScripted(t)
	put(t, b, "a/x", "x")
	s.reset(map[atomicfile.Step]error{atomicfile.StepRemove: unix.EACCES})
	if err := b.Delete(t.Context(), "a/x"); !errors.Is(err, backends.ErrPermission) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Delete: %v", err)
	}
	wantFiles(t, root, "a/x")
}

func put(t *testing.T, b backends.Backend, key, content string) {
	t.Helper()
	if _, err := b.Put(t.Context(), key, backends.Bytes([]byte(content), nil), backends.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

// wantFiles checks that these files, and no other, lie below root, temporary ones
// included.
func wantFiles(t *testing.T, root string, want ...string) {
	t.Helper()
	var got []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			got = append(got, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("files in the store: %v, %v; want %v", got, err, want)
	}
}

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 9999: "9999 B", 10_000: "9 KiB", 5 << 30: "5120 MiB", 1 << 62: "4096 PiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("bytesText(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestReader_FileShrinks(t *testing.T) {
	b, _, root := openScripted(t)
	put(t, b, "x", strings.Repeat("x", 100_000))
	r, _, err := b.Get(t.Context(), "x", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if err := os.Truncate(filepath.Join(root, "x"), 50_000); err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(r); err == nil || buf.Len() != 50_000 {
		t.Errorf("shrunk object: %d bytes, %v; want an error", buf.Len(), err)
	}
}
