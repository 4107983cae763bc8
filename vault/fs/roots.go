package fs

import (
	"errors"
	iofs "io/fs"
	"slices"
	"strings"

	"syscall"

	"vaultik/vault/page"
)

// maxLinks is how many symbolic links an argument may lead through, as in the kernel.
const maxLinks = 40

// Roots turns arguments into what Walk takes: absolute paths without symbolic
// links on the way, sorted, without those that others cover. Every link met on the
// way is a root of its own, so that a restored tree leads where this one does: an
// argument that is a link gives the link and, if it exists, what it points to,
// under its real path. "x/.." means what it means to the kernel.
//
// A root inside another one is kept when it is on another file system, for
// WalkOptions.OneFS. An argument without a root is in the error, a RootErrors, which
// comes with the roots of the others.
func Roots(args []string) ([]string, error) {
	var found []root
	var failed RootErrors
	for _, arg := range args {
		roots, err := resolve(arg)
		if err != nil {
			failed = append(failed, &RootError{Path: arg, Err: pathError("find", arg, err)})
			continue
		}
		found = append(found, roots...)
	}
	slices.SortFunc(found, func(a, b root) int { return page.Compare(entryPath(a.path), entryPath(b.path)) })
	var roots []string
	var above []root // kept directories that hold the current one, innermost last
	for _, r := range found {
		for len(above) > 0 && !covers(above[len(above)-1].path, r.path) {
			above = above[:len(above)-1]
		}
		if len(above) > 0 {
			if over := above[len(above)-1]; over.path == r.path || over.st.Dev == r.st.Dev {
				continue
			}
		}
		above = append(above, r)
		roots = append(roots, r.path)
	}
	if failed != nil {
		return roots, failed
	}
	return roots, nil
}

type root struct {
	path string
	st   Stat
}

// covers reports whether path is dir or lies below it.
func covers(dir, path string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// entryPath is the path of an entry at the absolute path abs.
func entryPath(abs string) string {
	if abs == "/" {
		return "."
	}
	return abs[1:]
}

// resolve follows arg component by component and returns the links met and, last,
// the real place. A link that is the argument itself may lead nowhere.
func resolve(arg string) ([]root, error) {
	if arg == "" {
		return nil, syscall.ENOENT
	}
	arg, err := absolute(arg)
	if err != nil {
		return nil, err
	}
	at, err := look("/")
	if err != nil {
		return nil, err
	}
	var links []root
	isLink := false // the argument itself
	rest := components(arg)
	for len(rest) > 0 {
		var next root
		if next, err = at.step(rest[0]); err != nil {
			if isLink && anyOf(err, iofs.ErrNotExist, syscall.ENOTDIR) {
				return links, nil
			}
			return nil, err
		}
		rest = rest[1:]
		if next.st.Type != page.Symlink {
			at = next
			continue
		}
		links = append(links, next)
		isLink = isLink || len(rest) == 0
		target, err := readlink(next.path)
		if err != nil {
			return nil, errno(err)
		}
		if len(links) > maxLinks {
			return nil, syscall.ELOOP
		}
		rest = append(components(target), rest...)
		if strings.HasPrefix(target, "/") {
			if at, err = look("/"); err != nil {
				return nil, err
			}
		}
	}
	return append(links, at), nil
}

// components splits path, without those that mean nothing.
func components(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(name string) bool { return name == "" || name == "." })
}

// step goes from the directory r, whose path has no links, to name in it.
func (r root) step(name string) (root, error) {
	if r.st.Type != page.Dir {
		return root{}, syscall.ENOTDIR
	}
	if name == ".." {
		return look("/" + strings.TrimPrefix(r.path[:strings.LastIndexByte(r.path, '/')], "/"))
	}
	return look(strings.TrimSuffix(r.path, "/") + "/" + name)
}

func look(path string) (root, error) {
	st, err := Lstat(path)
	return root{path, st}, errno(err)
}

// errno takes the path off an error, for wrapping it with another one.
func errno(err error) error {
	var at *iofs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
