//go:build !linux || portable

package fs

import (
	"errors"
	"os"

	"vaultik/vault/page"
)

// CaptureMeta fills e with everything about the entry at absPath but its path,
// contents, and hard-link group: what st says, names of owner and group, link
// target, extended attributes and inode flags, as far as the system has them. It
// never follows a symbolic link and never opens a FIFO or device.
//
// It fails with ErrSwapped when st describes something else, fs.ErrNotExist when it is
// gone. Another error means that an attribute could not be read; e holds all the
// others and is worth saving.
func CaptureMeta(absPath string, st *Stat, e *page.Entry, names *NameCache) error {
	st.Fill(e, names)
	path := native(absPath)
	if path == "" {
		return nil
	}
	now, err := lstat(path)
	if err == nil && (now.Type != st.Type || !now.SameFile(st)) {
		err = ErrSwapped
	}
	if err != nil {
		return pathError("open", absPath, bare(err))
	}
	var errs []error
	note := func(op string, err error) {
		if err != nil {
			errs = append(errs, pathError(op, absPath, bare(err)))
		}
	}
	if e.Type == page.Symlink {
		e.Target, err = readlink(absPath)
		note("readlink", err)
	}
	if e.Type == page.File || e.Type == page.Dir {
		e.Flags, err = readFlagsOf(path)
		note("read flags", err)
	}
	e.Xattrs, err = xattrs(path, e.Type)
	note("read attributes", err)
	return errors.Join(errs...)
}

// CaptureOpen is CaptureMeta for a file that OpenFile has opened.
func CaptureOpen(f *os.File, st *Stat, e *page.Entry, names *NameCache) error {
	st.Fill(e, names)
	var errs [2]error
	e.Flags, errs[0] = readFlagsOf(f.Name())
	e.Xattrs, errs[1] = xattrs(f.Name(), page.File)
	return errors.Join(pathError("read flags", f.Name(), bare(errs[0])), pathError("read attributes", f.Name(), bare(errs[1])))
}
