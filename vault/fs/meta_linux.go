//go:build !portable

package fs

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// apply gives n the attributes in e, except the flags that lock sets. The order
// matters: a change of owner clears setuid and capabilities, user attributes need
// write permission, an ACL changes the mode and a mode the ACL, and everything but
// chmod and the like changes times. An ACL that does not belong there goes first, since the
// mode may give those that it names what they ask for. fresh says that n was just made by
// this Target, with mode 0600.
func (t *Target) apply(n node, e *page.Entry, fresh bool) (problems MetaProblems) {
	st, err := fstat(n.fd)
	if err != nil {
		problems.add("attributes", err)
		return problems
	}
	if !fresh {
		problems.add("flags", n.unlock())
	}
	return append(problems, t.applyTo(n, &st, e, fresh)...)
}

// applyTo is apply to what is as st says, and has no flag that forbids it.
func (t *Target) applyTo(n node, st *Stat, e *page.Entry, fresh bool) (problems MetaProblems) {
	e, done, err := t.whole(e)
	defer done()
	problems.add("attributes", err)
	a := applying{t: t, n: n, e: e, st: *st, problems: &problems}
	a.uid, a.gid = t.ids(e)
	if err == nil { // else those that are there stay as they are
		a.readXattrs()
	}
	a.dropACLs()
	a.owner()
	a.xattrs(false)
	a.mode()
	a.xattrs(true)
	a.flags()
	if fresh || st.Mtime != e.Mtime {
		a.times()
	}
	if a.changed {
		a.check()
	}
	return problems
}

// applying is one call of apply.
type applying struct {
	t        *Target
	n        node
	e        *page.Entry
	uid, gid uint32 // that e has on this machine
	st       Stat
	have     []string // names of attributes there
	changed  bool     // owner, mode or times may be others than st has
	remode   bool     // the mode may be another than st.Mode
	problems *MetaProblems
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

func (a *applying) owner() {
	uid, gid := a.uid, a.gid
	if uid == a.st.UID && gid == a.st.GID {
		return
	}
	const none = 1<<32 - 1 // means "keep" to the kernel
	err := error(unix.EINVAL)
	if uid != none && gid != none {
		err = a.n.chown(int(uid), int(gid))
	}
	a.changed, a.remode = true, true
	if err == nil {
		a.st.UID, a.st.GID = uid, gid
		return
	}
	a.problems.add("owner", err)
	if gid != none && gid != a.st.GID && a.n.chown(-1, int(gid)) == nil { // a group of one's own is allowed
		a.st.GID = gid
	}
}

var errNotOwner = errors.New("setuid or setgid left out, since the owner could not be set")

// wantedMode is the mode of e without bits that would give away another's rights.
func (a *applying) wantedMode() (mode uint32, reduced bool) {
	mode = a.e.Mode & 0o7777
	if a.e.Type == page.Dir { // these bits only say who owns new files
		return mode, false
	}
	if a.st.UID != a.uid {
		mode &^= unix.S_ISUID
	}
	if a.st.GID != a.gid {
		mode &^= unix.S_ISGID
	}
	return mode, mode != a.e.Mode&0o7777
}

func (a *applying) mode() {
	if a.e.Type == page.Symlink {
		return
	}
	mode, reduced := a.wantedMode()
	if reduced {
		a.problems.add("mode", errNotOwner)
	}
	if mode == a.st.Mode && !a.remode {
		return
	}
	a.changed, a.remode = true, true // and so may be the ACL
	a.problems.add("mode", a.n.chmod(mode))
}

// check finds out whether what was set has held: a kernel quietly drops special bits of the
// mode and times that it cannot keep, and some FUSE file systems answer that all is well
// whatever they are asked. What was refused is known already.
func (a *applying) check() {
	now, err := fstat(a.n.fd)
	if err != nil {
		a.problems.add("attributes", err)
		return
	}
	if now.UID != a.uid || now.GID != a.gid {
		a.notKept("owner", fmt.Sprintf("it stays %d:%d", now.UID, now.GID))
	}
	mode, _ := a.wantedMode()
	if a.e.Type != page.Symlink && now.Mode != mode {
		a.notKept("mode", fmt.Sprintf("%04o became %04o", mode, now.Mode))
	}
	if now.Mtime != a.e.Mtime {
		a.notKept("times", a.e.Mtime.Time().UTC().Format(time.RFC3339Nano)+" became "+
			now.Mtime.Time().UTC().Format(time.RFC3339Nano))
	}
}

// notKept adds a problem, unless there is one of the kind.
func (a *applying) notKept(what, became string) {
	for _, p := range *a.problems {
		if p.What == what {
			return
		}
	}
	a.problems.add(what, fmt.Errorf("%w: %s", errNotKept, became))
}

var errNotKept = errors.New("the file system does not keep it")

func isACL(name string) bool { return strings.HasPrefix(name, "system.posix_acl_") }

// removable reports whether an attribute that e does not have is to go. Others
// belong to this machine: labels of its security modules, for instance.
func removable(name string) bool {
	return strings.HasPrefix(name, "user.") || isACL(name) || name == "security.capability"
}

func (a *applying) readXattrs() {
	var err error
	a.have, err = a.n.xattrNames()
	a.problems.add("attributes", err)
}

// dropACLs removes the ACLs that are others than those of e.
func (a *applying) dropACLs() {
	a.have = slices.DeleteFunc(a.have, func(name string) bool {
		if !isACL(name) {
			return false
		}
		i := slices.IndexFunc(a.e.Xattrs, func(x page.Xattr) bool { return x.Name == name })
		if i >= 0 {
			if now, err := a.n.xattr(name); err == nil && bytes.Equal(now, a.e.Xattrs[i].Value) {
				return false
			}
		}
		a.remode, a.changed = true, true
		a.problems.add("xattr "+name, a.n.removeXattr(name))
		return true
	})
}

// xattrs sets the ACLs, or all others, and removes those that do not belong there.
func (a *applying) xattrs(acl bool) {
	for _, name := range a.have {
		wanted := slices.ContainsFunc(a.e.Xattrs, func(x page.Xattr) bool { return x.Name == name })
		if !acl && !isACL(name) && !wanted && removable(name) {
			a.problems.add("xattr "+name, a.retry(func() error { return a.n.removeXattr(name) }))
		}
	}
	for _, x := range a.e.Xattrs {
		if isACL(x.Name) != acl {
			continue
		}
		if slices.Contains(a.have, x.Name) && !(acl && a.remode) {
			if value, err := a.n.xattr(x.Name); err == nil && bytes.Equal(value, x.Value) {
				continue
			}
		}
		if x.Name == "" || strings.IndexByte(x.Name, 0) >= 0 {
			a.problems.add("xattr", unix.EINVAL)
			continue
		}
		a.problems.add("xattr "+x.Name, a.retry(func() error { return a.n.setXattr(x.Name, x.Value) }))
	}
}

// retry does what needs write permission, giving it to the owner first where it is missing.
func (a *applying) retry(do func() error) error {
	err := do()
	if !errors.Is(err, unix.EACCES) || a.e.Type == page.Symlink || a.st.Mode&0o600 == 0o600 || a.n.chmod(a.st.Mode|0o600) != nil {
		return err
	}
	a.st.Mode |= 0o600
	a.changed, a.remode = true, true
	return do()
}

func (a *applying) times() {
	if a.e.Mtime.Nsec < 0 || a.e.Mtime.Nsec >= 1e9 { // the kernel has other meanings for these
		a.problems.add("times", unix.EINVAL)
		return
	}
	// Both times: what takes only one of them to be set never reaches a FUSE file system that
	// is built on libfuse 2, which then leaves the other as well.
	mtime, err := unix.TimeToTimespec(a.e.Mtime.Time())
	if err == nil {
		err = a.n.setTimes([]unix.Timespec{mtime, mtime})
	}
	a.changed = true
	a.problems.add("times", err)
}

// flags sets the inode flags but for the locking ones.
func (a *applying) flags() {
	if a.e.Type != page.File && a.e.Type != page.Dir {
		return
	}
	want := a.e.Flags & keptFlags &^ lockingFlags
	now, err := a.n.flags() // a new file may have inherited some
	if err != nil {
		a.problems.add("flags", err)
		return
	}
	differ := (now&keptFlags&^lockingFlags ^ want)
	if a.n.handle {
		differ &= knownFlags
	}
	if differ == 0 {
		return
	}
	if err = a.n.setFlags(now ^ differ); err == nil {
		return
	}
	for bit := uint32(1); bit != 0; bit <<= 1 { // those that can be
		if differ&bit != 0 && a.n.setFlags(now^bit) == nil {
			now ^= bit
		}
	}
	a.problems.add("flags", err)
}

// unlock clears the flags that forbid changes.
func (n node) unlock() error {
	if n.handle {
		return nil
	}
	flags, err := n.flags()
	if err != nil || flags&lockingFlags == 0 {
		return err
	}
	return n.setFlags(flags &^ lockingFlags)
}

// lock sets the flags of e that forbid changes, when there are no more to be made.
func (n node) lock(e *page.Entry) error {
	want := e.Flags & lockingFlags
	if want == 0 || e.Type != page.File && e.Type != page.Dir {
		return nil
	}
	flags, err := n.flags()
	if err != nil {
		return err
	}
	return n.setFlags(flags | want)
}
