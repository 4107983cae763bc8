//go:build !portable

package fs

import (
	"sync"

	"golang.org/x/sys/unix"

	"vaultik/internal/platform"
)

// maxCachedDirs bounds the directories kept open for the next entry in them.
var maxCachedDirs = platform.OpenShare(64, 8)

// dirCache holds the most recently used directories of a Target.
type dirCache struct {
	mu     sync.Mutex
	top    *dirHandle
	byPath map[string]*dirHandle
	clock  uint64
}

// A dirHandle is an open directory, closed when the cache and all users are done with it.
type dirHandle struct {
	fd     int
	cache  *dirCache
	refs   int // users, and one for the cache
	used   uint64
	usable bool // an unprivileged user has been given access
	free   bool // no flag forbids changes
}

func (c *dirCache) init(top int) {
	c.top = &dirHandle{fd: top, cache: c, refs: 1}
	c.byPath = map[string]*dirHandle{}
}

func (c *dirCache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for path, d := range c.byPath {
		delete(c.byPath, path)
		d.unref()
	}
	c.top.unref()
}

func (d *dirHandle) release() {
	d.cache.mu.Lock()
	defer d.cache.mu.Unlock()
	d.unref()
}

func (d *dirHandle) unref() {
	if d.refs--; d.refs == 0 {
		closeFD(d.fd)
	}
}

// openDir opens the directory path for lookups; the caller releases it. With
// create, entries are to be made in it, and it is made itself if missing.
func (t *Target) openDir(path string, create bool) (*dirHandle, error) {
	if create && t.opt.ReadOnly {
		return nil, errReadOnly
	}
	if t.dirs.top.fd < 0 {
		return nil, unix.ENOENT
	}
	t.dirs.mu.Lock()
	defer t.dirs.mu.Unlock()
	d, err := t.cachedDir(path, create)
	if err != nil {
		return nil, err
	}
	if create {
		if err := t.unbar(d); err != nil {
			d.unref()
			return nil, err
		}
	}
	return d, nil
}

// changeable fails if flags of the directory forbid what making an entry takes: in one that
// is append-only, a file under a temporary name could be made, but never renamed or removed.
func (d *dirHandle) changeable() error {
	d.cache.mu.Lock()
	defer d.cache.mu.Unlock()
	if !d.free && isLocked(d.fd) {
		return ErrDirLocked
	}
	d.free = true
	return nil
}

// isLocked reports whether an entry is immutable or append-only, where the kernel tells.
func isLocked(fd int) bool {
	var x unix.Statx_t
	err := sysStatx(fd, "", unix.AT_EMPTY_PATH, 0, &x)
	return err == nil && x.Attributes&(unix.STATX_ATTR_IMMUTABLE|unix.STATX_ATTR_APPEND) != 0
}

// cachedDir returns the directory path with one more user; the cache is locked.
func (t *Target) cachedDir(path string, create bool) (*dirHandle, error) {
	c := &t.dirs
	c.clock++
	d := c.byPath[path]
	if path == "." {
		d = c.top
	}
	if d == nil {
		fd, err := t.lookDir(path, create)
		if err != nil {
			return nil, err
		}
		c.evict()
		d = &dirHandle{fd: fd, cache: c, refs: 1}
		c.byPath[path] = d
	}
	d.refs++
	d.used = c.clock
	return d, nil
}

// lookDir opens the directory path in the one above it.
func (t *Target) lookDir(path string, create bool) (int, error) {
	up, name := split(path)
	parent, err := t.cachedDir(up, create)
	if err != nil {
		return -1, err
	}
	defer parent.unref()
	if create {
		if err := t.unbar(parent); err != nil {
			return -1, err
		}
	}
	fd, err := openat(parent.fd, name, searchFlags, 0)
	if err == nil {
		t.noteDevice(fd)
	}
	if !create || !anyOf(err, unix.ENOENT, unix.ENOTDIR, unix.ELOOP) {
		return fd, err
	}
	if _, err := t.ensureDir(parent.fd, name); err != nil {
		return -1, err
	}
	return openat(parent.fd, name, searchFlags, 0)
}

// evict makes room for one directory.
func (c *dirCache) evict() {
	if len(c.byPath) < maxCachedDirs {
		return
	}
	var oldest string
	used := c.clock + 1
	for path, d := range c.byPath {
		if d.used < used {
			oldest, used = path, d.used
		}
	}
	c.byPath[oldest].unref()
	delete(c.byPath, oldest)
}

// forget drops the directory path, which was removed.
func (c *dirCache) forget(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.byPath[path]; d != nil {
		delete(c.byPath, path)
		d.unref()
	}
}
