package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"vaultik/internal/platform"
)

// Dir is an open directory. Paths given to its methods are relative to it and
// slash-separated; "" is the directory itself. The caller has checked that no part
// is empty, "." or ".."; symlinks, also as the last part, are refused. All methods
// may be called at once, but none during or after Close.
type Dir struct {
	root *os.Root
	path string
	hook Hook
}

// Stat is what is known of a name without opening it.
type Stat struct {
	Mode    fs.FileMode // type bits only
	Size    int64
	ModTime time.Time
	info    fs.FileInfo
}

// OpenDir opens the directory at path, following symlinks up to it. hook may be nil.
func OpenDir(path string, hook Hook) (*Dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &Dir{root, path, hook}, nil
}

// Path returns the path that the directory was opened by.
func (d *Dir) Path() string { return d.path }

// Close releases the directory.
func (d *Dir) Close() error { return d.root.Close() }

// Sub opens a directory below.
func (d *Dir) Sub(rel string) (*Dir, error) {
	if err := d.check(rel); err != nil {
		return nil, d.wrap("open", rel, err)
	}
	root, err := d.root.OpenRoot(dot(rel))
	if err != nil {
		return nil, d.wrap("open", rel, err)
	}
	return &Dir{root, path.Join(d.path, rel), d.hook}, nil
}

// Mkdir makes the directory name, for this user only. An existing one is fs.ErrExist.
func (d *Dir) Mkdir(name string) error {
	err := d.hook.at(StepMkdir, d.join(name))
	if err == nil {
		err = d.root.Mkdir(name, 0o700)
	}
	return d.wrap("mkdir", name, err)
}

// Open opens a regular file for reading; anything else is ErrNotRegular.
func (d *Dir) Open(rel string) (*os.File, Stat, error) {
	if err := d.check(rel); err != nil {
		return nil, Stat{}, d.wrap("open", rel, err)
	}
	f, err := d.root.Open(dot(rel))
	if err != nil {
		return nil, Stat{}, d.wrap("open", rel, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNotRegular
	}
	if err != nil {
		_ = f.Close()
		return nil, Stat{}, d.wrap("open", rel, err)
	}
	return f, newStat(info), nil
}

// ReadAt fills p from the file rel at off. It returns io.ErrUnexpectedEOF if the
// file ends before.
func (d *Dir) ReadAt(rel string, p []byte, off int64) (int, error) {
	f, _, err := d.Open(rel)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, d.wrap("read", rel, err)
}

// Lstat describes the name rel; a symlink is described itself.
func (d *Dir) Lstat(rel string) (Stat, error) {
	if err := d.check(path.Dir(rel)); err != nil {
		return Stat{}, d.wrap("stat", rel, err)
	}
	info, err := d.root.Lstat(dot(rel))
	if err != nil {
		return Stat{}, d.wrap("stat", rel, err)
	}
	return newStat(info), nil
}

// Names calls fn for each name in the directory, in no order, few in memory at a
// time. It stops at the first error of fn and returns it as it is.
func (d *Dir) Names(fn func(name string) error) error {
	f, err := d.root.Open(".")
	if err != nil {
		return d.wrap("open", "", err)
	}
	defer func() { _ = f.Close() }()
	for {
		names, err := f.Readdirnames(512)
		for _, name := range names {
			if err := fn(name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Remove removes the name rel, which must not be a directory.
func (d *Dir) Remove(rel string) error {
	st, err := d.Lstat(rel)
	if err != nil {
		return err
	}
	if st.Mode.IsDir() {
		return d.wrap("remove", rel, ErrNotRegular)
	}
	err = d.hook.at(StepRemove, d.join(rel))
	if err == nil {
		err = d.root.Remove(rel)
	}
	return d.wrap("remove", rel, err)
}

// Sync does nothing: names cannot be asked for here, NTFS keeps a journal of them.
func (d *Dir) Sync() error {
	return d.wrap("sync", "", d.hook.at(StepSyncDir, d.path))
}

// Alive reports whether the directory still has a name. An error says nothing of that.
func (d *Dir) Alive() (bool, error) {
	_, err := d.root.Stat(".")
	if err == nil {
		_, err = os.Stat(d.path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, d.wrap("stat", "", err)
}

// Space returns the bytes in all and the bytes that this user can still write.
func (d *Dir) Space() (total, free int64, err error) {
	if free, total, err = platform.Space(d.path); err != nil {
		return -1, -1, err
	}
	return total, free, nil
}

func (d *Dir) join(rel string) string { return path.Join(d.path, rel) }

func (d *Dir) wrap(op, rel string, err error) error {
	if err == nil {
		return nil
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return &fs.PathError{Op: op, Path: d.join(rel), Err: err}
}

// check refuses rel where a symlink is on the way or at the end.
func (d *Dir) check(rel string) error {
	if rel = dot(rel); rel == "." {
		return nil
	}
	for end := 0; end <= len(rel); end++ {
		if end < len(rel) && rel[end] != '/' {
			continue
		}
		info, err := d.root.Lstat(rel[:end])
		if err != nil {
			return err
		}
		if info.Mode()&(fs.ModeSymlink|fs.ModeIrregular) != 0 { // a junction is the latter
			return ErrSymlink
		}
	}
	return nil
}

func dot(rel string) string {
	if rel == "" {
		return "."
	}
	return rel
}

func newStat(info fs.FileInfo) Stat {
	st := Stat{Size: info.Size(), ModTime: info.ModTime(), info: info}
	switch m := info.Mode(); {
	case m.IsRegular():
	case m.IsDir():
		st.Mode = fs.ModeDir
	case m&fs.ModeSymlink != 0:
		st.Mode = fs.ModeSymlink
	default:
		st.Mode = fs.ModeIrregular
	}
	return st
}
