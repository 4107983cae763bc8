package fs

import (
	"errors"
	iofs "io/fs"
	"strings"
)

var (
	// ErrSwapped says that a path no longer names what was listed there. Report the entry; do
	// not read it.
	ErrSwapped = errors.New("replaced by something else while being read")
	// ErrInTheWay says that something that is not a directory is where one belongs. Ask
	// the user.
	ErrInTheWay = errors.New("something that is not a directory is in the way")
	// ErrNotEmpty says that a directory with contents is where another kind of entry
	// belongs. Ask the user.
	ErrNotEmpty = errors.New("a directory that is not empty is in the way")
	// ErrLocked says that a file that may not be changed, because of its flags, is in
	// the way, and that this user may not clear them. Report it.
	ErrLocked = errors.New("a file that is immutable or append-only is in the way")
	// ErrDirLocked says that nothing can be made or replaced in a directory because of its
	// flags, and that this user may not clear them, or was not asked to. Report the entry.
	ErrDirLocked = errors.New("its directory is immutable or append-only")
	// ErrNoDevice says that not even root may make devices here: this is a container, or
	// the device is an overlay's mark of a removed file. Report it.
	ErrNoDevice = errors.New("devices cannot be made here")
	// ErrSameName says that another entry has the same name on this file system, which
	// ignores case or how accents are composed. Report it; restore the entry alone to
	// another directory.
	ErrSameName = errors.New("its name is the same on this file system")
	// ErrName says that a name cannot be one on this system, as a:b on Windows, or that a file
	// system has answered ENOENT when one such as a:b was to be made in a directory that is there.
	// Report it; restore the entry to another file system.
	ErrName = errors.New("the file system may not take such a name")
	// ErrSocket says that sockets are recorded but never made: only their server can. Report it.
	ErrSocket = errors.New("sockets are not restored")
)

// anyOf reports whether err is one of the numbers.
func anyOf(err error, numbers ...error) bool {
	for _, n := range numbers {
		if errors.Is(err, n) {
			return true
		}
	}
	return false
}

// Reason is what went wrong, for a message that names the path already.
func Reason(path string, err error) string {
	switch e := err.(type) { //nolint:errorlint // each part of the error, not the first that fits
	case *iofs.PathError:
		if e.Path == path {
			return e.Op + ": " + Reason(path, e.Err)
		}
	case interface{ Unwrap() []error }:
		var parts []string
		for _, part := range e.Unwrap() {
			parts = append(parts, Reason(path, part))
		}
		return strings.Join(parts, "; ")
	}
	return err.Error()
}

// A RootError says why one argument of Roots gave nothing.
type RootError struct {
	Path string // the argument as given
	Err  error
}

func (e *RootError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *RootError) Unwrap() error { return e.Err }

// RootErrors are the arguments of Roots that gave nothing.
type RootErrors []*RootError

func (e RootErrors) Error() string {
	text := make([]string, len(e))
	for i, r := range e {
		text[i] = r.Error()
	}
	return strings.Join(text, "; ")
}

// Unwrap lets errors.Is and errors.As see every one.
func (e RootErrors) Unwrap() []error {
	all := make([]error, len(e))
	for i, r := range e {
		all[i] = r
	}
	return all
}

// A MetaProblem is one attribute that could not be set.
type MetaProblem struct {
	What string // "owner", "mode", "flags", "times", "xattr NAME", "attributes"
	Err  error
}

func (p MetaProblem) Error() string { return "set " + p.What + ": " + p.Err.Error() }

// Unwrap returns the reason.
func (p MetaProblem) Unwrap() error { return p.Err }

// MetaProblems are the attributes of one entry that could not be set: reported, never fatal.
type MetaProblems []MetaProblem

func (p *MetaProblems) add(what string, err error) {
	if err != nil {
		*p = append(*p, MetaProblem{what, err})
	}
}
