package objectcache

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func object(n, size int) ([32]byte, []byte) {
	b := bytes.Repeat(fmt.Appendf(nil, "%06d", n), size/6+1)[:size]
	return sha256.Sum256(b), b
}

func open(t *testing.T, dir string) *Cache {
	t.Helper()
	c := Open(dir, "store")
	if c == nil {
		t.Fatal("no cache")
	}
	t.Cleanup(c.Close)
	return c
}

// files are the paths and modes of all there is.
func files(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	out := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err == nil {
			out[p] = st.Mode()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache", "vaultik")
	c := open(t, dir)
	for i := range 50 {
		sum, b := object(i, 100+i)
		if c.Get(sum, int64(len(b))) != nil {
			t.Fatal("it has what it never got")
		}
		c.Put(sum, b)
	}
	for _, c := range []*Cache{c, open(t, dir)} {
		for i := range 50 {
			sum, b := object(i, 100+i)
			if got := c.Get(sum, int64(len(b))); !bytes.Equal(got, b) {
				t.Errorf("object %d: %q", i, got)
			}
		}
	}
	sum, b := object(0, 100)
	if other := Open(dir, "another"); other.Get(sum, int64(len(b))) != nil {
		t.Error("one store has the objects of another")
	}
	for p, mode := range files(t, dir) {
		if mode.Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", p, mode)
		}
		if strings.Contains(p, tempMark) {
			t.Errorf("%s was left behind", p)
		}
	}
}

// Whatever happens to its files, a cache returns nothing but the object, and recovers.
func TestCache_Harm(t *testing.T) {
	sum, b := object(1, 5000)
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.WriteFile(elsewhere, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, harm := range map[string]func(file string) error{
		"changed":   func(file string) error { return os.WriteFile(file, bytes.ToUpper(b[1:]), 0o600) },
		"flipped":   func(file string) error { return os.WriteFile(file, append(b[:4999:4999], 'x'), 0o600) },
		"truncated": func(file string) error { return os.Truncate(file, 100) },
		"empty":     func(file string) error { return os.Truncate(file, 0) },
		"longer":    func(file string) error { return os.Truncate(file, 1<<40) },
		"gone":      os.Remove,
		"a directory": func(file string) error {
			_ = os.Remove(file)
			return os.Mkdir(file, 0o700)
		},
		"a link": func(file string) error {
			_ = os.Remove(file)
			return os.Symlink(elsewhere, file)
		},
		"without its directory": func(file string) error { return os.RemoveAll(filepath.Dir(file)) },
	} {
		dir := filepath.Join(t.TempDir(), "vaultik")
		c := open(t, dir)
		c.Put(sum, b)
		_, file := c.name(sum)
		if err := harm(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
		if got := c.Get(sum, int64(len(b))); got != nil {
			t.Errorf("%s: it returns %d bytes", name, len(got))
		}
		c.Put(sum, b)
		c = open(t, dir)
		c.Put(sum, b)
		if got := c.Get(sum, int64(len(b))); !bytes.Equal(got, b) {
			t.Errorf("%s: written anew, it returns %d bytes", name, len(got))
		}
	}
	if got, err := os.ReadFile(elsewhere); err != nil || !bytes.Equal(got, b) {
		t.Errorf("a file elsewhere was touched: %v", err)
	}
}

// Where nothing can be written or made, objects are not kept, and that is all.
func TestCache_Unwritable(t *testing.T) {
	home := t.TempDir()
	if c := Open(filepath.Join(home, "missing", ".cache", "vaultik"), "store"); c != nil {
		t.Error("a home that does not exist was made")
	}
	file := filepath.Join(home, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if c := Open(file, "store"); c != nil {
		t.Error("a file is a cache")
	}
	sum, b := object(1, 100)
	dir := filepath.Join(home, "vaultik")
	c := open(t, dir)
	// Where the directory of the store should be stands a file: as good as read-only, for root, too.
	if err := os.WriteFile(filepath.Join(dir, "store"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.Put(sum, b)
	if !c.off || c.Get(sum, int64(len(b))) != nil {
		t.Error("it goes on writing")
	}
}

// However much is put into it, a cache stays within its limit; what was used last is kept.
func TestCache_Bounded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vaultik")
	const limit = 100 * block
	for round := range 5 {
		c := open(t, dir)
		c.limit = limit
		for i := range 60 {
			sum, b := object(round*60+i, 100)
			c.Put(sum, b)
			_, name := c.name(sum)
			// Each is older than the next, and than any of today.
			at := time.Now().Add(-30 * 24 * time.Hour).Add(time.Duration(round*60+i) * time.Minute)
			if err := c.root.Chtimes(name, at, at); err != nil {
				t.Fatal(err)
			}
		}
		if first, b := object(0, 100); c.Get(first, int64(len(b))) == nil {
			t.Fatalf("round %d: what is used all the time is gone", round)
		}
		c.Close()
		kept := 0
		for _, mode := range files(t, dir) {
			if mode.IsRegular() {
				kept++
			}
		}
		if kept > limit/block || kept < limit/block/2 {
			t.Errorf("round %d: %d files", round, kept)
		}
	}
	c := open(t, dir)
	if newest, b := object(5*60-1, 100); c.Get(newest, int64(len(b))) == nil {
		t.Error("the newest is gone")
	}
	if old, b := object(1, 100); c.Get(old, int64(len(b))) != nil {
		t.Error("the oldest is still there")
	}
	large, b := object(1, maxObject+1)
	if c.Put(large, b); c.Get(large, int64(len(b))) != nil {
		t.Error("one object may fill it")
	}
}

// Several processes may use it at once.
func TestCache_Shared(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vaultik")
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			c := Open(dir, "store")
			defer c.Close()
			c.limit = 40 * block
			for i := range 200 {
				sum, b := object(i%30, 3000)
				if got := c.Get(sum, int64(len(b))); got != nil && !bytes.Equal(got, b) {
					t.Errorf("object %d is another", i)
				}
				c.Put(sum, b)
			}
		})
	}
	wait.Wait()
}
