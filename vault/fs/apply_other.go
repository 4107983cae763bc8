//go:build !linux || portable

package fs

import (
	"bytes"
	"errors"
	"os"
	"slices"

	"vaultik/vault/page"
)

var errNotOwner = errors.New("setuid or setgid left out, since the owner could not be set")

// apply gives the entry at path, which st describes, the attributes in e. fresh
// says that it was just made by this Target.
func (t *Target) apply(path string, e *page.Entry, st *Stat, fresh bool) (problems MetaProblems) {
	link := e.Type == page.Symlink
	if !link && !fresh {
		if now, err := readFlagsOf(path); err == nil && now != 0 && now != e.Flags {
			problems.add("flags", setFlagsOf(path, 0)) // they may forbid all the rest
		}
	}
	uid, gid := t.ids(e)
	mode := e.Mode & 0o7777
	if uid != st.UID || gid != st.GID {
		if err := chown(path, uid, gid); err != nil {
			problems.add("owner", err)
			mode = allowedMode(path, e, uid, gid)
			if mode != e.Mode&0o7777 {
				problems.add("mode", errNotOwner)
			}
		}
	}
	all, done, err := t.whole(e)
	problems.add("attributes", err)
	if err == nil { // else those that are there stay as they are
		t.applyXattrs(path, all, &problems)
	}
	done()
	if !link {
		problems.add("mode", bare(chmod(path, mode)))
	}
	if fresh || !sameTime(st.Mtime, e.Mtime) {
		problems.add("times", bare(setMtime(path, e)))
	}
	return problems
}

// allowedMode is the mode of e without bits that would give away another's
// rights, at path, which could not be given to uid and gid.
func allowedMode(path string, e *page.Entry, uid, gid uint32) uint32 {
	mode := e.Mode & 0o7777
	now, err := lstat(path)
	if e.Type == page.Dir && err == nil { // these bits only say who owns new files
		return mode
	}
	if err != nil || now.UID != uid {
		mode &^= 0o4000
	}
	if err != nil || now.GID != gid {
		mode &^= 0o2000
	}
	return mode
}

var errFlags = errors.New("this system does not have all of them")

// lock gives the file or directory at path the flags of e, some of which forbid
// all later changes, when there are no more to be made.
func lock(path string, e *page.Entry) error {
	if e.Type != page.File && e.Type != page.Dir {
		return nil
	}
	now, err := readFlagsOf(path)
	if err != nil || now == e.Flags {
		return err
	}
	if err := setFlagsOf(path, e.Flags); err != nil {
		return err
	}
	if now, err := readFlagsOf(path); err != nil || now != e.Flags {
		return errFlags
	}
	return nil
}

// ids returns the owner and group that e has on this machine.
func (t *Target) ids(e *page.Entry) (uid, gid uint32) {
	uid, gid = e.UID, e.GID
	if t.opt.NumericOwner {
		return uid, gid
	}
	if e.User != "" {
		if id, ok := t.names.UID(e.User); ok {
			uid = id
		}
	}
	if e.Group != "" {
		if id, ok := t.names.GID(e.Group); ok {
			gid = id
		}
	}
	return uid, gid
}

func (t *Target) applyXattrs(path string, e *page.Entry, problems *MetaProblems) {
	var bad AttrErrors
	have := xattrs(path, &bad)
	problems.add("attributes", bad.err())
	for _, x := range have {
		if !slices.ContainsFunc(e.Xattrs, func(w page.Xattr) bool { return w.Name == x.Name }) && removable(x.Name) {
			problems.add("xattr "+x.Name, removeXattr(path, x.Name))
		}
	}
	for _, x := range e.Xattrs {
		same := slices.ContainsFunc(have, func(h page.Xattr) bool { return h.Name == x.Name && bytes.Equal(h.Value, x.Value) })
		if !same {
			problems.add("xattr "+x.Name, setXattr(path, x.Name, x.Value))
		}
	}
}

// chmod sets all twelve bits.
func chmod(path string, mode uint32) error {
	m := os.FileMode(mode & 0o777)
	if mode&0o4000 != 0 {
		m |= os.ModeSetuid
	}
	if mode&0o2000 != 0 {
		m |= os.ModeSetgid
	}
	if mode&0o1000 != 0 {
		m |= os.ModeSticky
	}
	return os.Chmod(path, m)
}
