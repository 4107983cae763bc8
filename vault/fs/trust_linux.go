//go:build !portable

package fs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"vaultik/internal/platform"
	"vaultik/vault/page"
)

const hasOwners = true

// attr is an attribute of what is at path; nil for none.
func (t *Target) attr(path string, _ page.Type, name string) ([]byte, error) {
	n, _, err := t.openNode(path)
	if err != nil {
		return nil, err
	}
	defer n.close()
	value, err := n.xattr(name)
	if errors.Is(err, unix.ENODATA) {
		return nil, nil
	}
	return value, err
}

// takeOver is the change that TakeOver makes, all by one descriptor.
func (t *Target) takeOver(path string, foreign bool, was *Stat, mode uint32) error {
	n, _, err := t.openNode(path)
	if err != nil {
		return t.error("take over", path, err)
	}
	defer n.close()
	now, err := fstat(n.fd)
	switch {
	case err != nil:
	case now.Type != page.Dir || !now.SameFile(was) && path != ".":
		err = ErrSwapped
	case foreign:
		if err = n.chown(int(t.euid), -1); err == nil {
			err = n.chmod(0o700) // this bars those whom an ACL names, too
		}
	default:
		err = n.chmod(mode)
	}
	return t.error("take over", path, err)
}

// ownsAll reports whether everything on the file system of what st describes belongs to its
// owner, whoever makes it: such a file system knows no owners, or not those of this machine.
func (t *Target) ownsAll(path string, st *Stat) bool {
	if l := t.keepsAt(path, st); l != nil {
		return l.owner != t.euid && l.owner == st.UID
	}
	return false
}

// keepsModes reports whether a file there has the mode that it is given. Where it has not, one
// that is made anew is as open to others as the one that is there.
func (t *Target) keepsModes(path string, st *Stat) bool {
	k := t.keepsAt(path, st)
	return k == nil || k.modes
}

// Unlinked reports whether a file whose only name is path has no others because its file
// system has no hard links, as far as a dry run, which tries nothing, can tell.
func (t *Target) Unlinked(path string, st *Stat) bool {
	return st.Nlink == 1 && !t.guess(path, st).modes
}

// mayChown reports whether this process may give files to others: root in a container often
// may not.
func mayChown() bool {
	var have [2]unix.CapUserData // version 3 has two parts
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if platform.Again(func() error { return unix.Capget(&head, &have[0]) }) != nil {
		return os.Geteuid() == 0
	}
	return have[0].Effective&(1<<unix.CAP_CHOWN) != 0
}
