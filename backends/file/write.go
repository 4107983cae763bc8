package file

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"path"
	"strings"

	"vaultik/backends"
	"vaultik/internal/atomicfile"
)

var keySeed = maphash.MakeSeed()

// Put stores src as the file of key.
func (b *Backend) Put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (backends.ObjectInfo, error) {
	info, err := b.put(ctx, key, src, o)
	if err != nil {
		return backends.ObjectInfo{}, b.fail("put", key, err)
	}
	return info, nil
}

func (b *Backend) put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (info backends.ObjectInfo, err error) {
	if err := b.enterWrite(ctx, key); err != nil {
		return info, err
	}
	defer b.gate.Leave()
	parent, name := splitKey(key)
	dir, err := b.makeDir(parent)
	if err != nil {
		return info, err
	}
	defer func() { _ = dir.Close() }()
	if o.IfAbsent {
		if _, err := dir.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return info, b.taken(dir, name, err)
		}
	}
	t, err := dir.CreateTemp(0o600)
	if err != nil {
		return info, err
	}
	defer t.Abort()
	if err := backends.Copy(ctx, t, src, o.Progress); err != nil {
		return info, err
	}
	st, err := t.Flush()
	if err != nil {
		return info, err
	}
	if err := ctx.Err(); err != nil {
		return info, err
	}
	lock := &b.committing[maphash.String(keySeed, key)%uint64(len(b.committing))]
	lock.Lock()
	err = t.Commit(name, !o.IfAbsent)
	lock.Unlock()
	if err != nil && o.IfAbsent && errors.Is(err, fs.ErrExist) {
		err = b.taken(dir, name, nil)
	}
	return backends.ObjectInfo{Key: key, Size: st.Size, ModTime: st.ModTime}, err
}

// taken returns the error for a name that must be absent and is not. The caller relies
// on an object that is said to exist, so its name is made durable first: the writer may
// have died just before.
func (b *Backend) taken(dir *atomicfile.Dir, name string, err error) error {
	if err != nil {
		return err
	}
	if st, err := dir.Lstat(name); err != nil {
		return err
	} else if !st.Mode.IsRegular() {
		return fmt.Errorf("%w: %s/%s is in the way", atomicfile.ErrNotRegular, dir.Path(), name)
	}
	if err := dir.Sync(); err != nil {
		return err
	}
	return backends.ErrExists
}

// makeDir opens the directory rel, made if it is missing. Each name on the path is
// durable before this handle first uses it, even if another process made it.
func (b *Backend) makeDir(rel string) (*atomicfile.Dir, error) {
	b.making.Lock()
	defer b.making.Unlock()
	if b.made[rel] || rel == "" {
		dir, err := b.root.Sub(dot(rel))
		if rel == "" || !errors.Is(err, fs.ErrNotExist) {
			return dir, err
		}
		clear(b.made) // someone has tidied up
	}
	for end := range len(rel) + 1 {
		if end < len(rel) && rel[end] != '/' || b.made[rel[:end]] {
			continue
		}
		if err := b.makeOne(rel[:end]); err != nil {
			return nil, err
		}
		b.made[rel[:end]] = true
	}
	return b.root.Sub(rel)
}

func (b *Backend) makeOne(rel string) error {
	parent, name := splitKey(rel)
	dir, err := b.root.Sub(dot(parent))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	if err := dir.Mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return dir.Sync()
}

// Delete removes the file of key.
func (b *Backend) Delete(ctx context.Context, key string) error {
	if err := b.enterWrite(ctx, key); err != nil {
		return b.fail("delete", key, err)
	}
	defer b.gate.Leave()
	err := b.root.Remove(key)
	if absent(err) {
		err = b.orGone(nil)
	}
	return b.fail("delete", key, err)
}

func (b *Backend) enterWrite(ctx context.Context, key string) error {
	if b.readOnly {
		return backends.ErrReadOnly
	}
	if key == "" {
		return fmt.Errorf("%w: empty", backends.ErrInvalidKey)
	}
	return b.enter(ctx, key)
}

func splitKey(key string) (parent, name string) {
	parent, name = path.Split(key)
	return strings.TrimSuffix(parent, "/"), name
}

// dot makes the root's own path one that can be opened.
func dot(rel string) string {
	if rel == "" {
		return "."
	}
	return rel
}
