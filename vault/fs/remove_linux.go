//go:build !portable

package fs

import (
	"errors"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// Thaw makes the directory path changeable: its owner may be barred from it by its
// mode, or everybody by its flags. freeze gives it back its mode, its time and its flags.
func (t *Target) Thaw(path string) (freeze func() error, err error) {
	if t.opt.ReadOnly {
		return nil, t.error("open", path, errReadOnly)
	}
	st, err := t.Lstat(path)
	if err != nil {
		return nil, err
	}
	if err := t.Enter(path); err != nil {
		return nil, err
	}
	n, _, err := t.openNode(path)
	if err != nil {
		return nil, t.error("open", path, err)
	}
	flags, err := n.flags()
	if err == nil && flags&lockingFlags != 0 {
		err = n.setFlags(flags &^ lockingFlags)
	}
	if err != nil {
		n.close()
		return nil, t.error("open", path, err)
	}
	return func() error {
		defer n.close()
		var errs []error
		if now, err := fstat(n.fd); err != nil || now.Mode != st.Mode {
			errs = append(errs, n.chmod(st.Mode))
		}
		mtime, err := unix.TimeToTimespec(st.Mtime.Time())
		if err == nil {
			err = n.setTimes([]unix.Timespec{mtime, mtime})
		}
		errs = append(errs, err)
		if flags&lockingFlags != 0 {
			errs = append(errs, n.setFlags(flags))
		}
		return t.error("set attributes", path, errors.Join(errs...))
	}, nil
}

// Remove removes the entry path, if it still is the one that st describes. A
// directory with entries stays: ErrNotEmpty. The directory above must be changeable: see Thaw.
func (t *Target) Remove(path string, st *Stat) error {
	if t.opt.ReadOnly {
		return t.error("remove", path, errReadOnly)
	}
	d, name, err := t.parent(path, false)
	if err != nil {
		return t.error("remove", path, err)
	}
	defer d.release()
	now, err := Lstatat(d.fd, name)
	if err != nil {
		return t.error("remove", path, err)
	}
	if now.Type != st.Type || !now.SameFile(st) || now.Mount {
		return t.error("remove", path, ErrSwapped)
	}
	flags := 0
	if st.Type == page.Dir {
		flags = unix.AT_REMOVEDIR
		t.dirs.forget(path)
	}
	err = unlinkat(d.fd, name, flags)
	if anyOf(err, unix.ENOTEMPTY, unix.EEXIST) {
		err = ErrNotEmpty
	}
	return t.error("remove", path, err)
}
