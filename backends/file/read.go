package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"vaultik/backends"
	"vaultik/internal/atomicfile"
)

// Get opens a range of the file of key.
func (b *Backend) Get(ctx context.Context, key string, off, length int64) (io.ReadCloser, backends.ObjectInfo, error) {
	if err := b.enterRead(ctx, key); err != nil {
		return nil, backends.ObjectInfo{}, b.fail("get", key, err)
	}
	defer b.gate.Leave()
	f, st, err := b.root.Open(key)
	if err != nil {
		return nil, backends.ObjectInfo{}, b.fail("get", key, err)
	}
	if length < 0 {
		length = st.Size - off
	}
	if off < 0 || off > st.Size || length > st.Size-off {
		_ = f.Close()
		return nil, backends.ObjectInfo{}, b.fail("get", key, fmt.Errorf(
			"%w: %d bytes from %d of %d", backends.ErrInvalidRange, length, off, st.Size))
	}
	return &reader{ctx: ctx, b: b, key: key, f: f, off: off, left: length}, info(key, st), nil
}

type reader struct {
	ctx  context.Context
	b    *Backend
	key  string
	f    *os.File
	off  int64
	left int64
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.f.ReadAt(p[:min(int64(len(p)), r.left)], r.off)
	r.off += int64(n)
	r.left -= int64(n)
	switch {
	case err == io.EOF && r.left > 0 && n == 0:
		return 0, io.ErrUnexpectedEOF
	case err == io.EOF:
		return n, nil
	case err != nil:
		return n, r.b.fail("get", r.key, err)
	}
	return n, nil
}

func (r *reader) Close() error { return r.f.Close() }

// ReadRange fills p from the file of key at off.
func (b *Backend) ReadRange(ctx context.Context, key string, p []byte, off int64) (int, error) {
	if err := b.enterRead(ctx, key); err != nil {
		return 0, b.fail("get", key, err)
	}
	defer b.gate.Leave()
	if off < 0 {
		return 0, b.fail("get", key, fmt.Errorf("%w: offset %d", backends.ErrInvalidRange, off))
	}
	n, err := b.root.ReadAt(key, p, off)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: %d bytes from %d, object ends after %d of them", backends.ErrInvalidRange, len(p), off, n)
	}
	return n, b.fail("get", key, err)
}

// Stat describes the file of key.
func (b *Backend) Stat(ctx context.Context, key string) (backends.ObjectInfo, error) {
	if err := b.enterRead(ctx, key); err != nil {
		return backends.ObjectInfo{}, b.fail("stat", key, err)
	}
	defer b.gate.Leave()
	st, err := b.root.Lstat(key)
	switch {
	case err != nil:
	case st.Mode&fs.ModeSymlink != 0:
		err = atomicfile.ErrSymlink
	case !st.Mode.IsRegular():
		err = atomicfile.ErrNotRegular
	}
	if err != nil {
		return backends.ObjectInfo{}, b.fail("stat", key, err)
	}
	return info(key, st), nil
}

func (b *Backend) enterRead(ctx context.Context, key string) error {
	if key == "" {
		return fmt.Errorf("%w: empty", backends.ErrInvalidKey)
	}
	return b.enter(ctx, key)
}

func info(key string, st atomicfile.Stat) backends.ObjectInfo {
	return backends.ObjectInfo{Key: key, Size: st.Size, ModTime: st.ModTime}
}

// ListStream walks the directories that can hold keys of this prefix.
func (b *Backend) ListStream(ctx context.Context, prefix string, fn func(backends.ObjectInfo) error) error {
	if err := backends.CheckPrefix(prefix); err != nil {
		return b.fail("list", prefix, err)
	}
	if err := b.enter(ctx, ""); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return b.fail("list", prefix, err)
	}
	defer b.gate.Leave()
	l := lister{ctx: ctx, b: b, prefix: prefix, fn: fn}
	parent, _ := splitKey(prefix)
	err := l.walk(parent)
	switch {
	case l.stopped:
		return err
	case err == nil:
		err = b.orGone(nil)
	}
	return b.fail("list", prefix, err)
}

type lister struct {
	ctx     context.Context
	b       *Backend
	prefix  string
	fn      func(backends.ObjectInfo) error
	stopped bool // by fn or ctx, whose error goes back as it is
}

// walk lists below rel; if there is no such directory, or it is removed meanwhile,
// that is nothing.
func (l *lister) walk(rel string) error {
	dir, err := l.b.root.Sub(dot(rel))
	if absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	err = dir.Names(func(name string) error { return l.visit(dir, rel, name) })
	if !l.stopped && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (l *lister) visit(dir *atomicfile.Dir, rel, name string) error {
	if err := l.ctx.Err(); err != nil {
		l.stopped = true
		return err
	}
	key := strings.TrimPrefix(rel+"/"+name, "/")
	if !backends.ValidName(name) || len(key) > backends.MaxKey {
		if !l.b.readOnly {
			dir.RemoveStale(name)
		}
		return nil
	}
	if !strings.HasPrefix(key, l.prefix) {
		return nil
	}
	st, err := dir.Lstat(name)
	// Only a directory that may hold objects is missed: what is no regular file at the place of
	// an object, or elsewhere, holds none, and whoever can write here can put it there.
	stray := l.b.holds != nil && !l.b.holds(key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // deleted meanwhile
	case err != nil:
		return err
	case st.Mode.IsDir():
		err := l.walk(key)
		if stray && !l.stopped && errors.Is(err, fs.ErrPermission) {
			return nil // lost+found, for example
		}
		return err
	case st.Mode&fs.ModeSymlink != 0 && stray:
		return nil
	case st.Mode&fs.ModeSymlink != 0:
		return &fs.PathError{Op: "list", Path: dir.Path() + "/" + name, Err: atomicfile.ErrSymlink}
	case !st.Mode.IsRegular():
		return nil
	}
	if err := l.fn(info(key, st)); err != nil {
		l.stopped = true
		return err
	}
	return nil
}
