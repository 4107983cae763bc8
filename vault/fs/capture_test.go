package fs

import (
	"errors"
	iofs "io/fs"
	"syscall"
	"testing"
)

// What a file system never gives is told apart from what is missing.
func TestAttrError_Minor(t *testing.T) {
	for _, c := range []struct {
		what  string
		err   error
		minor bool
	}{
		{attrFlags, syscall.EACCES, true},
		{attrFlags, syscall.EIO, true},
		{attrList, syscall.EACCES, true}, // CIFS
		{attrList, syscall.EPERM, true},
		{attrList, syscall.EIO, false},
		{"attribute user.x", syscall.EACCES, false},
		{"attribute user.x", syscall.EIO, false},
		{"attribute user.x", syscall.ENOTSUP, true},
		{"attribute security.capability", syscall.EPERM, false},
		{"attribute system.nfs4_acl", syscall.EIO, true},
		{"attribute system.cifs_acl", syscall.EACCES, true},
		{"attribute system.posix_acl_access", syscall.ENOTSUP, true},
		{"attribute system.posix_acl_access", syscall.EIO, false},
	} {
		if e := (&AttrError{c.what, c.err}); e.Minor() != c.minor {
			t.Errorf("%v: minor is %v", e, e.Minor())
		}
	}
}

// A reason does not say the path that the message has named already, and keeps any other.
func TestReason(t *testing.T) {
	at := func(path string) error { return &iofs.PathError{Op: "open", Path: path, Err: syscall.EIO} }
	const eio = "input/output error"
	for _, c := range []struct {
		err  error
		want string
	}{
		{at("/a"), "open: " + eio},
		{at("/a/b"), "open /a/b: " + eio},
		{&iofs.PathError{Op: "save", Path: "/a", Err: at("/a")}, "save: open: " + eio},
		{errors.Join(at("/a"), syscall.EIO), "open: " + eio + "; " + eio},
		{AttrErrors{{attrFlags, syscall.EIO}, {attrList, syscall.EIO}},
			"read flags: " + eio + "; read the list of attributes: " + eio},
	} {
		if got := Reason("/a", c.err); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
