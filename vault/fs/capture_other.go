//go:build !linux || portable

package fs

import (
	"os"

	"vaultik/vault/page"
)

// CaptureMeta fills e with everything about the entry at absPath but its path,
// contents, and hard-link group: what st says, names of owner and group, link
// target, extended attributes and inode flags, as far as the system has them. It
// never follows a symbolic link and never opens a FIFO or device.
//
// It fails with ErrSwapped when st describes something else, fs.ErrNotExist when it is
// gone. Another error means that attributes could not be read, AttrErrors for some of
// them; e holds all the others and is worth saving.
func CaptureMeta(absPath string, st *Stat, e *page.Entry, names *NameCache, attrs Attrs) error {
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
	if e.Type == page.Symlink {
		if e.Target, err = readlink(absPath); err != nil {
			return pathError("readlink", absPath, bare(err))
		}
	}
	return capture(path, e, attrs)
}

// CaptureOpen is CaptureMeta for a file that OpenFile has opened.
func CaptureOpen(f *os.File, st *Stat, e *page.Entry, names *NameCache, attrs Attrs) error {
	st.Fill(e, names)
	return capture(f.Name(), e, attrs)
}

// capture reads flags and attributes.
func capture(path string, e *page.Entry, attrs Attrs) error {
	var bad AttrErrors
	if e.Type == page.File || e.Type == page.Dir {
		flags, err := readFlagsOf(path)
		bad.add(attrFlags, bare(err))
		e.Flags = flags
	}
	if attrs == AllAttrs {
		e.Xattrs = xattrs(path, &bad)
	}
	return bad.err()
}
