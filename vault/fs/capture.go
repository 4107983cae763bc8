package fs

import (
	"errors"
	iofs "io/fs"
	"strings"

	"vaultik/vault/page"
)

// Attrs say which attributes of an entry are read.
type Attrs int

// AllAttrs is the zero value.
const (
	AllAttrs Attrs = iota // that there are
	NoXattrs              // but for extended attributes, ACLs included
)

// An AttrError says which attribute of an entry could not be read. Everything else about
// the entry is known, and worth saving.
type AttrError struct {
	What string // "flags", "the list of attributes", "attribute NAME"
	Err  error
}

func (e *AttrError) Error() string { return "read " + e.What + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *AttrError) Unwrap() error { return e.Err }

const (
	attrFlags = "flags"
	attrList  = "the list of attributes"
)

// Minor reports whether it is the way of the file system rather than a fault: it will be
// the same every day, and nothing that this user set is missing. These are inode flags; a
// list that may not be read, as with CIFS; what the file system lists and does not give; and
// attributes that it makes up (system.*), unless an ACL fails for another reason.
func (e *AttrError) Minor() bool {
	refused := errors.Is(e.Err, iofs.ErrPermission) || errors.Is(e.Err, errors.ErrUnsupported)
	name, _ := strings.CutPrefix(e.What, "attribute ")
	switch {
	case e.What == attrFlags:
		return true
	case e.What == attrList, strings.HasPrefix(name, "system.posix_acl_"):
		return refused
	case strings.HasPrefix(name, "system."):
		return true
	}
	return errors.Is(e.Err, errors.ErrUnsupported)
}

// AttrErrors are the attributes of one entry that could not be read. errors.Is and
// errors.As see every one.
type AttrErrors []*AttrError

func (e AttrErrors) Error() string {
	text := make([]string, len(e))
	for i := range e {
		text[i] = e[i].Error()
	}
	return strings.Join(text, "; ")
}

// Unwrap returns them one by one.
func (e AttrErrors) Unwrap() []error {
	all := make([]error, len(e))
	for i := range e {
		all[i] = e[i]
	}
	return all
}

func (e *AttrErrors) add(what string, err error) {
	if err != nil {
		*e = append(*e, &AttrError{what, err})
	}
}

// err is e as an error, nil if it is empty.
func (e AttrErrors) err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// readXattrs returns the attributes of these names that can be read.
func readXattrs(names []string, value func(name string) ([]byte, error), none error, bad *AttrErrors) (all []page.Xattr) {
	for _, name := range names {
		v, err := value(name)
		switch {
		case err == nil:
			all = append(all, page.Xattr{Name: name, Value: v})
		case !errors.Is(err, none): // not one removed meanwhile
			bad.add("attribute "+name, err)
		}
	}
	return all
}

// Fill gives e what s says: all but its path, contents, and what only the file
// system knows.
func (s *Stat) Fill(e *page.Entry, names *NameCache) {
	e.Type, e.Mode = s.Type, s.Mode
	e.UID, e.GID = s.UID, s.GID
	e.User, e.Group = names.User(s.UID), names.Group(s.GID)
	e.Mtime, e.Btime = s.Mtime, s.Btime
	e.Major, e.Minor = s.Major, s.Minor
	e.Size = 0
	if s.Type == page.File {
		e.Size = s.Size
	}
	e.Target, e.Flags, e.Xattrs = "", 0, nil
}
