package fs

import (
	"bytes"
	"errors"
	iofs "io/fs"

	"vaultik/vault/page"
)

// ErrStranger says that an entry belongs to another user than the caller and the owner that
// the snapshot names, so that it is not given that owner and mode: whoever made it may hold
// it open, and go on writing. Report it.
var ErrStranger = errors.New("belongs to another user")

// Distrust says why the inode at path, which st describes, may not become the entry e by
// being given its attributes; "" if it may. What somebody else has made, or may write to, he
// may hold open, and then goes on writing to what is the owner's by now. Such an entry is
// made anew.
//
// foreign says that it belongs to somebody else, so that nothing may even be written to it.
// A file of the right owner whose mode lets nobody else write is trusted, although somebody
// may have opened it before it had that mode: no system tells.
func (t *Target) Distrust(path string, st *Stat, e *page.Entry) (reason string, foreign bool) {
	switch {
	case !hasOwners:
		return "", false
	case t.isForeign(path, st, e):
		return ErrStranger.Error(), true
	case e.Type != page.File:
		return "", false
	case st.Mode&^e.Mode&othersWrite != 0 && t.keepsModes(path, st),
		st.Mode&groupWrite != 0 && t.grants(path, e, accessACL, true):
		return "may be written by other users", false
	case t.privileges(path, st, e):
		return "would get setuid, setgid or capabilities", false
	case st.Nlink > 1 && !t.opt.KeepLinks && t.reowns(path, st, e):
		return "has other names, and another owner or mode", false
	}
	return "", false
}

const (
	groupWrite  = 0o020 // with an ACL: anybody that it names
	othersWrite = 0o022
	accessACL   = "system.posix_acl_access"
	capability  = "security.capability"
)

// isForeign reports whether what st describes belongs neither to the caller nor to the owner
// of e, and would belong to somebody else if it were made anew.
func (t *Target) isForeign(path string, st *Stat, e *page.Entry) bool {
	if !hasOwners || st.UID == t.euid {
		return false
	}
	uid, _ := t.ids(e)
	return st.UID != uid && !t.ownsAll(path, st)
}

// reowns reports whether a file, or another name of it, would get another owner or mode.
func (t *Target) reowns(path string, st *Stat, e *page.Entry) bool {
	uid, gid := t.ids(e)
	return st.Mode != e.Mode&0o7777 && t.keepsModes(path, st) ||
		t.givesAway && (st.UID != uid || st.GID != gid) && !t.ownsAll(path, st)
}

// privileges reports whether e makes a file of what is there that runs with the rights of
// others, and was not that before.
func (t *Target) privileges(path string, st *Stat, e *page.Entry) bool {
	uid, gid := t.ids(e)
	special := e.Mode & 0o6000
	if !t.givesAway && t.euid != uid || st.UID != uid && t.ownsAll(path, st) {
		special &^= 0o4000 // it will be left out, since the owner cannot be set
	}
	if special != 0 && t.keepsModes(path, st) && (st.UID != uid || st.GID != gid || st.Mode&0o6000 != e.Mode&0o6000) {
		return true
	}
	return t.grants(path, e, capability, false)
}

// grants reports whether an attribute of what is at path is another than that of e: one that
// e has, or, if there says so, one that is there.
func (t *Target) grants(path string, e *page.Entry, name string, there bool) bool {
	want, err := t.wanted(e, name)
	if err != nil {
		return true
	}
	if want == nil && !there {
		return false
	}
	now, err := t.attr(path, e.Type, name)
	return err != nil || !bytes.Equal(now, want) && (there && now != nil || want != nil)
}

// wanted is one attribute of an entry; nil for none.
func (t *Target) wanted(e *page.Entry, name string) ([]byte, error) {
	e, done, err := t.whole(e)
	defer done()
	if err != nil {
		return nil, err
	}
	for i := range e.Xattrs {
		if e.Xattrs[i].Name == name {
			return bytes.Clone(e.Xattrs[i].Value), nil
		}
	}
	return nil, nil
}

// TakeOver makes an existing directory one in which nobody else changes anything while this
// restore works in it, before it does: until SetDirMeta gives it the attributes of e, it
// belongs to the caller alone if it was a stranger's, and lets nobody else write if e does
// not. What is in it stays, to be looked at name by name: a directory that was replaced
// would take away what the snapshot does not have.
func (t *Target) TakeOver(path string, e *page.Entry) error {
	if !hasOwners {
		return nil
	}
	st, err := t.Lstat(path)
	if err != nil {
		return err
	}
	foreign := t.isForeign(path, &st, e)
	if !foreign && (st.Mode&^e.Mode&othersWrite == 0 || !t.keepsModes(path, &st)) {
		return nil
	}
	err = t.takeOver(path, foreign, &st, st.Mode&^(othersWrite&^e.Mode))
	if !t.givesAway && errors.Is(err, iofs.ErrPermission) {
		return nil // somebody else's directory may be used all the same, as it is
	}
	return err
}

// Shared reports whether a directory that keeps its attributes lets another user than the
// owner of e put other entries in the place of those that are made in it.
func (t *Target) Shared(path string, e *page.Entry) (uid uint32, yes bool) {
	st, err := t.Lstat(path)
	if err != nil || !t.givesAway || st.UID == 0 {
		return 0, false
	}
	return st.UID, t.isForeign(path, &st, e)
}
