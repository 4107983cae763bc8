package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

func wantFile(t *testing.T, path, content string, perm fs.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != content {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, content)
	}
	if st, err := os.Lstat(path); err != nil || st.Mode() != perm {
		t.Errorf("%s has mode %v, want %v (%v)", path, st.Mode(), perm, err)
	}
}

func TestWriteFile(t *testing.T) {
	old := unix.Umask(0o077) // must not matter
	defer unix.Umask(old)
	dir := t.TempDir()
	path := filepath.Join(dir, "Any Name")
	for _, c := range []struct {
		content string
		perm    fs.FileMode
	}{{"one", 0o600}, {"", 0o644}, {strings.Repeat("long", 100_000), 0o640}, {"short", 0o400}, {"again", 0o600}} {
		if err := WriteFile(path, []byte(c.content), c.perm); err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, c.content, c.perm)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("left behind: %v", got)
	}
}

func TestWriteFile_Symlink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := errors.Join(WriteFile(target, []byte("target"), 0o600), os.Symlink(target, link), WriteFile(link, []byte("new"), 0o600)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, target, "target", 0o600)
	wantFile(t, link, "new", 0o600)
}

func TestWriteFile_Errors(t *testing.T) {
	dir := t.TempDir()
	if err := WriteFile(filepath.Join(dir, "none/x"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(dir, "sub"), nil, 0o600); err == nil {
		t.Error("wrote a file over a directory")
	}
	if got := names(t, dir); !slices.Equal(got, []string{"sub"}) {
		t.Errorf("left behind: %v", got)
	}
}

func TestCreateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kit")
	if err := CreateFile(path, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CreateFile(path, []byte("second"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second CreateFile: %v", err)
	}
	wantFile(t, path, "first", 0o600)
	if got := names(t, filepath.Dir(path)); len(got) != 1 {
		t.Errorf("left behind: %v", got)
	}
}

// Whatever step fails, the file is the old or the new one and nothing is left.
func TestWrite_FailingSteps(t *testing.T) {
	for _, replace := range []bool{true, false} {
		for _, step := range []Step{StepCreate, StepLock, StepWrite, StepSync, StepClose, StepRename, StepLink, StepSyncDir} {
			if replace && step == StepLink || !replace && step == StepRename {
				continue // not a step of this way
			}
			for _, old := range []bool{true, false} {
				if old && !replace {
					continue
				}
				dir := t.TempDir()
				path := filepath.Join(dir, "f")
				var want []string
				if old {
					want = []string{"f"}
					if err := WriteFile(path, []byte("old"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				err := write(path, []byte("new"), 0o600, replace, func(s Step, _ string) error {
					if s == step {
						return unix.EIO
					}
					return nil
				})
				if !errors.Is(err, unix.EIO) {
					t.Errorf("%s fails: %v", step, err)
				}
				if got := names(t, dir); !slices.Equal(got, want) {
					t.Errorf("%s fails (replace %v, old %v): %v, want %v", step, replace, old, got, want)
				}
				content := map[bool]string{true: "new", false: "old"}[step == StepSyncDir]
				if old {
					wantFile(t, path, content, 0o600)
				}
			}
		}
	}
}

// The fsyncs are really made: on a descriptor that cannot do it they fail.
func TestWrite_Syncs(t *testing.T) {
	for _, step := range []Step{StepSync, StepSyncDir} {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		err := write(path, []byte("new"), 0o600, true, func(s Step, p string) error {
			if s != step {
				return nil
			}
			return crippleAll(p)
		})
		if !errors.Is(err, unix.EBADF) {
			t.Errorf("%s on a descriptor that cannot sync: %v", step, err)
		}
		if got := names(t, dir); len(got) != 0 {
			t.Errorf("%s fails: left behind %v", step, got)
		}
	}
}

// crippleAll puts one that can only name the file, not sync it, in the place of
// every descriptor of path.
func crippleAll(path string) error {
	only, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(only) }()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range list {
		target, _ := os.Readlink("/proc/self/fd/" + e.Name())
		fd, err := strconv.Atoi(e.Name())
		if target != path || err != nil || fd == only {
			continue
		}
		if err := unix.Dup3(only, fd, unix.O_CLOEXEC); err != nil {
			return err
		}
	}
	return nil
}

// A name that cannot be made durable is not taken from someone else.
func TestCommit_UndoSparesOthers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	err := write(path, []byte("mine"), 0o600, true, func(s Step, _ string) error {
		if s != StepSyncDir {
			return nil
		}
		if err := WriteFile(path, []byte("theirs"), 0o600); err != nil {
			t.Error(err)
		}
		return unix.EIO
	})
	if !errors.Is(err, unix.EIO) {
		t.Errorf("write: %v", err)
	}
	wantFile(t, path, "theirs", 0o600)
}

// A network file system may carry out a link and then, asked again, say EEXIST.
func TestLink_Repeated(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	err := write(path, []byte("mine"), 0o600, false, func(s Step, _ string) error {
		if s != StepLink {
			return nil
		}
		if err := os.Link(filepath.Join(dir, names(t, dir)[0]), path); err != nil {
			t.Error(err)
		}
		return unix.EEXIST
	})
	if err != nil {
		t.Errorf("link that was carried out twice: %v", err)
	}
	wantFile(t, path, "mine", 0o600)
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("left behind: %v", got)
	}
}

func TestWriteFile_AtOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				if err := WriteFile(path, []byte("content"), 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	wantFile(t, path, "content", 0o600)
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("left behind: %v", got)
	}
}

func TestRemoveStale(t *testing.T) {
	dir := t.TempDir()
	d, err := OpenDir(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	live, err := d.CreateTemp(0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Abort()
	flushed, err := d.CreateTemp(0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer flushed.Abort()
	if _, err := flushed.Flush(); err != nil {
		t.Fatal(err)
	}
	day := time.Now().Add(-25 * time.Hour)
	for _, c := range []struct {
		name string
		old  bool
		want bool
	}{
		{live.name, true, false}, {flushed.name, true, false}, // locked, before and after the file is closed
		{TempPrefix + machine() + "-X", false, true},
		{TempPrefix + "00000000-X", false, false}, {TempPrefix + "00000000-Y", true, true},
		{TempPrefix + "Z", true, true}, {"other", true, false}, {".vtmp", true, false},
	} {
		path := filepath.Join(dir, c.name)
		if _, err := os.Stat(path); err != nil {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if c.old {
			if err := os.Chtimes(path, day, day); err != nil {
				t.Fatal(err)
			}
		}
		got := d.RemoveStale(c.name)
		if _, err := os.Stat(path); got != c.want || (err != nil) != c.want {
			t.Errorf("RemoveStale(%s), old %v: %v, want %v (%v)", c.name, c.old, got, c.want, err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, TempPrefix+"dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	if d.RemoveStale(TempPrefix + "dir") {
		t.Error("removed a directory")
	}
	if err := flushed.Commit("final", false); err != nil {
		t.Error(err)
	}
}

// A file that someone takes for a dead one's before it is locked is made again.
func TestCreateTemp_Taken(t *testing.T) {
	for _, remove := range []bool{true, false} {
		dir := t.TempDir()
		tries := 0
		var holder *os.File
		d, err := OpenDir(dir, func(s Step, path string) error {
			if s != StepLock {
				return nil
			}
			if tries++; tries > 1 {
				return nil
			}
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			holder = f
			if remove {
				return os.Remove(path)
			}
			return flock(int(f.Fd())) // about to remove it
		})
		if err != nil {
			t.Fatal(err)
		}
		f, err := d.CreateTemp(0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if _, err := f.Flush(); err != nil {
			t.Error(err)
		}
		if err := f.Commit("f", false); err != nil || tries != 2 {
			t.Errorf("Commit after %d tries: %v", tries, err)
		}
		f.Abort()
		wantFile(t, filepath.Join(dir, "f"), "x", 0o600)
		if got := names(t, dir); len(got) != 1 {
			t.Errorf("left behind: %v", got)
		}
		_, _ = holder.Close(), d.Close()
	}
}

func TestMkdirAll(t *testing.T) {
	top := t.TempDir()
	path := filepath.Join(top, "a/b/c")
	var synced []string
	hook := func(s Step, p string) error {
		if s == StepSyncDir {
			synced = append(synced, strings.TrimPrefix(p, top))
		}
		return nil
	}
	for range 2 {
		if err := mkdirAll(path, hook); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"", "/a", "/a/b"}; !slices.Equal(synced, want) {
		t.Errorf("synced %q, want %q", synced, want)
	}
	if st, err := os.Stat(path); err != nil || st.Mode() != fs.ModeDir|0o700 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if err := os.WriteFile(filepath.Join(top, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"file", "file/x"} {
		if err := MkdirAll(filepath.Join(top, bad)); err == nil {
			t.Errorf("made the directory %s", bad)
		}
	}
	t.Chdir(top)
	if err := MkdirAll("rel/x"); err != nil {
		t.Error(err)
	}
	if err := MkdirAll("."); err != nil {
		t.Error(err)
	}
}

func TestDir_ReadAt(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(dir+"/a/b", 0o700), os.WriteFile(dir+"/a/b/f", []byte("0123456789"), 0o600)); err != nil {
		t.Fatal(err)
	}
	d, err := OpenDir(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	p := make([]byte, 4)
	if n, err := d.ReadAt("a/b/f", p, 3); n != 4 || err != nil || string(p) != "3456" {
		t.Errorf("ReadAt: %d, %q, %v", n, p, err)
	}
	if n, err := d.ReadAt("a/b/f", p, 8); n != 2 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("ReadAt over the end: %d, %v", n, err)
	}
	if _, err := d.ReadAt("a/b", p, 0); !errors.Is(err, ErrNotRegular) {
		t.Errorf("ReadAt of a directory: %v", err)
	}
	if _, err := d.ReadAt("a/x/f", p, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadAt below a missing directory: %v", err)
	}
}
