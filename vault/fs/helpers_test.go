package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vaultik/internal/treecmp"
	"vaultik/vault/page"
)

// copyTree takes what is at and below src and makes it again below dst, as the
// engine does: metadata of directories last.
func copyTree(t *testing.T, src, dst string, opt TargetOptions) MetaProblems {
	t.Helper()
	c := copier{names: NewNameCache(), src: entryPath(src), links: map[string]string{}}
	var err error
	if c.target, err = OpenTarget(dst, opt); err != nil {
		t.Fatal(err)
	}
	defer c.target.Close()
	if err := Walk(context.Background(), []string{src}, WalkOptions{}, c.item); err != nil {
		t.Fatal(err)
	}
	for i := len(c.dirs) - 1; i >= 0; i-- {
		if err := c.note(c.target.SetDirMeta(c.dirs[i].Path, &c.dirs[i])); err != nil {
			t.Fatal(err)
		}
	}
	return c.problems
}

type copier struct {
	names    *NameCache
	src      string
	target   *Target
	links    map[string]string
	dirs     []page.Entry
	problems MetaProblems
}

func (c *copier) note(p MetaProblems, err error) error {
	c.problems = append(c.problems, p...)
	return err
}

func (c *copier) item(it WalkItem) error {
	if it.Err != nil || it.Implied {
		return it.Err
	}
	path := strings.TrimPrefix(strings.TrimPrefix(it.Path, c.src), "/")
	if path == "" {
		path = "."
	}
	e := page.Entry{Path: path}
	if err := CaptureMeta("/"+it.Path, &it.Stat, &e, c.names, AllAttrs); err != nil {
		return err
	}
	if it.Stat.Nlink > 1 && e.Type != page.Dir {
		key := fmt.Sprint(it.Stat.Dev, it.Stat.Ino)
		if first, ok := c.links[key]; ok {
			e.Size = it.Stat.Size
			return c.target.Link(first, path, &e)
		}
		c.links[key] = path
	}
	switch e.Type {
	case page.Dir:
		c.dirs = append(c.dirs, e)
		return c.target.Mkdir(path, &e)
	case page.File:
		return c.file(it, path, &e)
	case page.Symlink:
		return c.note(c.target.Symlink(path, &e))
	default:
		return c.note(c.target.Special(path, &e))
	}
}

func (c *copier) file(it WalkItem, path string, e *page.Entry) error {
	in, st, err := OpenFile("/"+it.Path, &it.Stat)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := c.target.CreateTemp(path, st.Size)
	if err != nil {
		return err
	}
	defer out.Abort()
	extents, err := Extents(in, st.Size)
	if err != nil {
		return err
	}
	for _, x := range extents {
		data := make([]byte, x.Len)
		if _, err := in.ReadAt(data, x.Off); err != nil && err != io.EOF {
			return err
		}
		if _, err := out.WriteAt(data, x.Off); err != nil {
			return err
		}
	}
	return c.note(out.Commit(e))
}

// entryOf captures one entry.
func entryOf(t *testing.T, abs string) page.Entry {
	t.Helper()
	st, err := Lstat(abs)
	if err != nil {
		t.Fatal(err)
	}
	var e page.Entry
	if err := CaptureMeta(abs, &st, &e, NewNameCache(), AllAttrs); err != nil {
		t.Fatal(err)
	}
	return e
}

// chooseFunc is a Chooser that only decides.
type chooseFunc func(path string, st *Stat) Decision

func (f chooseFunc) Decide(path string, st *Stat) Decision     { return f(path, st) }
func (f chooseFunc) Wants(string, page.Type) bool              { return true }
func (f chooseFunc) Enter(Dir) (func(name string) bool, error) { return nil, nil }

// walkAll walks dir and returns the paths below it in their order: those of
// failures with "!" before, those of implied directories with "^".
func walkAll(t *testing.T, dir string, opt WalkOptions) []string {
	t.Helper()
	var paths []string
	err := Walk(context.Background(), []string{dir}, opt, func(it WalkItem) error {
		path, below := strings.CutPrefix("/"+it.Path, dir+"/")
		switch {
		case !below:
		case it.Err != nil:
			paths = append(paths, "!"+path)
		case it.Implied:
			paths = append(paths, "^"+path)
		default:
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// equal fails the test where the two trees differ.
func equal(t *testing.T, a, b string) {
	t.Helper()
	r, err := treecmp.Compare(context.Background(), a, b, treecmp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Differences {
		t.Errorf("differs: %v", d)
	}
}

// noTemps fails the test if anything below dir has a temporary name.
func noTemps(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), tempPrefix) {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func openTarget(t *testing.T, dir string, opt TargetOptions) *Target {
	t.Helper()
	target, err := OpenTarget(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { target.Close() })
	return target
}

// fileEntry is an entry of the user who runs the test.
func newEntry(kind page.Type) *page.Entry {
	return &page.Entry{Type: kind, Mode: 0o644, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Mtime: page.Time{Sec: 7, Nsec: 9}}
}

// put makes a file with text as the engine would.
func put(target *Target, path, text string) error {
	f, err := target.CreateTemp(path, int64(len(text)))
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.WriteAt([]byte(text), 0); err != nil {
		return err
	}
	problems, err := f.Commit(newEntry(page.File))
	for _, p := range problems {
		err = errors.Join(err, p)
	}
	return err
}

// sized is a file of the caller's with n bytes.
func sized(n int64) *page.Entry {
	e := newEntry(page.File)
	e.Size = n
	return e
}
