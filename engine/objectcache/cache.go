// Package objectcache keeps small objects of a store on this machine, as they are in the
// store: encrypted and signed. What it returns was held against the SHA-256 that was asked
// for, so nobody has to trust its files. It may be missing, damaged, full, shared with other
// processes or deleted at any time: then objects come from the store.
package objectcache

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// Limit bounds the objects of all stores together, in bytes on the disk.
	Limit = 256 << 20
	// block is what file systems take for a file at least, in bytes.
	block = 4 << 10
	// maxObject is how large an object may be, so that one does not push out all others.
	maxObject = Limit / 16
	// usedEvery is how old the time of a file may be that is in use.
	usedEvery = 24 * time.Hour
	// leftAfter is how old a temporary file is that nobody writes any more.
	leftAfter = time.Hour
	tempMark  = ".tmp-"
)

// Cache is open for one store. Its methods may be called from many goroutines at once.
type Cache struct {
	root  *os.Root // of all stores
	store string

	mu    sync.Mutex
	limit int64
	wrote int64 // bytes on the disk
	off   bool  // writing is pointless
	dirs  map[string]bool
}

// Open opens the cache below dir, which it makes if the directory above its parent exists: a
// home that is missing is not made. It returns nil where there can be none.
func Open(dir, store string) *Cache {
	for _, d := range []string{filepath.Dir(dir), dir} {
		_ = os.Mkdir(d, 0o700) // it exists, or opening it fails
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	return &Cache{root: root, store: store, limit: Limit, dirs: map[string]bool{}}
}

// name is where an object is, and its directory.
func (c *Cache) name(sum [32]byte) (dir, name string) {
	h := hex.EncodeToString(sum[:])
	dir = path.Join(c.store, h[:2])
	return dir, path.Join(dir, h[2:])
}

// Get returns an object of this SHA-256 and size, nil if it is not there.
func (c *Cache) Get(sum [32]byte, size int64) []byte {
	if size <= 0 || size > maxObject {
		return nil
	}
	_, name := c.name(sum)
	st, err := c.root.Lstat(name)
	if err != nil {
		return nil
	}
	if st.Mode().IsRegular() && st.Size() == size {
		if b := c.read(name, size); b != nil && sha256.Sum256(b) == sum {
			if time.Since(st.ModTime()) > usedEvery {
				_ = c.root.Chtimes(name, time.Time{}, time.Now())
			}
			return b
		}
	}
	_ = c.root.Remove(name) // so that it is written anew
	return nil
}

func (c *Cache) read(name string, size int64) []byte {
	f, err := c.root.Open(name)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, size)
	if _, err := io.ReadFull(f, b); err != nil {
		return nil
	}
	return b
}

// Put keeps an object of this SHA-256. After the first failure nothing is written any more.
func (c *Cache) Put(sum [32]byte, b []byte) {
	if len(b) == 0 || len(b) > maxObject {
		return
	}
	dir, name := c.name(sum)
	if c.take(int64(len(b))) && c.write(dir, name, b) != nil {
		c.mu.Lock()
		c.off = true
		c.mu.Unlock()
	}
}

// take notes that so much is written, and reports whether it may be.
func (c *Cache) take(size int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off || c.wrote+onDisk(size) > c.limit {
		return false
	}
	c.wrote += onDisk(size)
	return true
}

func onDisk(size int64) int64 { return (size + block - 1) / block * block }

// write makes a file in one step, since others may read it. It is not synced: a file that a
// power cut has damaged is noticed when it is read.
func (c *Cache) write(dir, name string, b []byte) error {
	if err := c.mkdir(dir); err != nil {
		return err
	}
	temp := path.Join(dir, tempMark+rand.Text())
	f, err := c.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(b))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = c.root.Rename(temp, name)
	}
	if err != nil {
		_ = c.root.Remove(temp)
	}
	return err
}

func (c *Cache) mkdir(dir string) error {
	c.mu.Lock()
	known := c.dirs[dir]
	c.mu.Unlock()
	if known {
		return nil
	}
	if err := c.root.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	c.mu.Lock()
	c.dirs[dir] = true
	c.mu.Unlock()
	return nil
}

// Close removes what was used longest ago, if there is too much now.
func (c *Cache) Close() {
	if c.wrote > 0 {
		c.trim()
	}
	_ = c.root.Close()
}

// kept is a file of the cache.
type kept struct {
	name string
	size int64
	used time.Time
}

// trim leaves three quarters of the limit, if it is exceeded.
func (c *Cache) trim() {
	var all []kept
	total := int64(0)
	_ = fs.WalkDir(c.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // what cannot be listed is left alone
		}
		st, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // another process has removed it
		}
		if strings.HasPrefix(path.Base(name), tempMark) && time.Since(st.ModTime()) > leftAfter {
			_ = c.root.Remove(name)
			return nil
		}
		all = append(all, kept{name, onDisk(st.Size()), st.ModTime()})
		total += onDisk(st.Size())
		return nil
	})
	if total <= c.limit {
		return
	}
	slices.SortFunc(all, func(a, b kept) int { return a.used.Compare(b.used) })
	for _, k := range all {
		if total <= c.limit/4*3 {
			return
		}
		_ = c.root.Remove(k.name)
		total -= k.size
	}
}
