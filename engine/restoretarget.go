package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"vaultik/actors/restore"
	"vaultik/config"
	"vaultik/internal/fault"
	"vaultik/internal/platform"
	"vaultik/internal/words"
)

// targetDir checks what can be known of the target before anything is read.
func (b *restoreJob) targetDir() (string, error) {
	if b.o.Target == "" {
		return "", fault.Misuse("restore", "--target is empty")
	}
	dir, err := filepath.Abs(b.o.Target)
	if err != nil {
		return "", fmt.Errorf("find target: %w", err)
	}
	defer b.touch(dir)()
	if store := config.FilePath(b.r.URL); store != "" && within(store, dir) {
		return "", &fault.UsageError{Msg: fmt.Sprintf("--target: %s is inside the store", dir),
			Advice: "choose another directory: --target DIR"}
	}
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(dir); err == nil {
			return "", &badTarget{dir, errors.New("it is a dangling symbolic link")}
		}
		return dir, nil
	case err != nil:
		return "", &badTarget{dir, err}
	case !st.IsDir():
		return "", &badTarget{dir, syscall.ENOTDIR}
	}
	// A directory that may not be changed may still have others in it that may be.
	if err := platform.Writable(dir); err != nil && emptyDir(dir) {
		return "", &badTarget{dir, err}
	}
	return dir, nil
}

// within reports whether path is dir or below it, links resolved as far as they are there.
func within(dir, path string) bool {
	if to, err := filepath.EvalSymlinks(dir); err == nil {
		dir = to
	}
	rest := ""
	for {
		if to, err := filepath.EvalSymlinks(path); err == nil {
			path = filepath.Join(to, rest)
			break
		}
		up := filepath.Dir(path)
		if up == path {
			break
		}
		rest, path = filepath.Join(filepath.Base(path), rest), up
	}
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

func emptyDir(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	names, _ := f.Readdirnames(1)
	return len(names) == 0
}

// badTarget: nothing can be restored there.
type badTarget struct {
	dir string
	err error
}

func (e *badTarget) Error() string {
	err := e.err
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Sprintf("restore to %s: %v", e.dir, err)
}

func (e *badTarget) Unwrap() error { return e.err }

func (*badTarget) Exit() fault.Code { return fault.Failed }

func (*badTarget) Hint() string {
	return "choose a directory that this user may write to: --target DIR"
}

// isRoot reports whether a path is the root of the file system, by any name.
func isRoot(path string) bool {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		path = to
	}
	abs, err := filepath.Abs(path)
	if err != nil || filepath.Dir(abs) == abs {
		return true
	}
	a, err := os.Stat(abs)
	if err != nil {
		return false
	}
	b, err := os.Stat(filepath.VolumeName(abs) + string(filepath.Separator))
	return err == nil && os.SameFile(a, b)
}

// noRoom: the target cannot take what would be written.
type noRoom struct{ err *restore.SpaceError }

func (e *noRoom) Error() string {
	n := &e.err.Need
	if n.Free >= 0 && n.Bytes > n.Free {
		return fmt.Sprintf("restore to %s: not enough space: %s needed, %s free", e.err.Dir,
			words.Size(n.Bytes), words.Size(n.Free))
	}
	return fmt.Sprintf("restore to %s: not enough inodes: %s needed, %s free", e.err.Dir,
		words.Count(n.Inodes), words.Count(n.Space.Inodes))
}

func (e *noRoom) Unwrap() error { return e.err }

func (*noRoom) Exit() fault.Code { return fault.Failed }

func (*noRoom) Hint() string {
	return "free some space there, or choose another --target; to start anyway: --no-space-check"
}
