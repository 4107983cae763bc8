package fs

import (
	"syscall"

	"vaultik/internal/platform"
)

// maxProbe bounds what is written to find out whether there is room, in bytes: as much as
// the largest chunk.
const maxProbe = 16 << 20

// KernelAt names the file system of the kernel that an existing directory is the top of or
// in, "" for any other: what is in it is not kept on any disk, and neither are its attributes.
func (t *Target) KernelAt(path string) string { return kernelFSAt(t.full(path)) }

// Takes reports whether the directory of the target itself can still take a file of
// n bytes. A quota shows only in writing, so a file that is removed at once is written.
// What cannot be told counts as yes.
func (t *Target) Takes(n int64) bool {
	if st, err := t.Lstat("."); err == nil {
		defer func() { _ = t.setTime(".", st.Mtime) }() // it may be no part of what is restored
	}
	if s, err := SpaceAt(t.full(".")); err == nil {
		none := s.Inodes == 0 || s.Free >= 0 && !s.Unsure && s.Free < n
		if s.ReadOnly || none {
			return false
		}
	}
	err := t.probe(min(max(n, 1), maxProbe))
	return !platform.NoSpace(err) && !anyOf(err, syscall.EROFS)
}

// probe writes a file of n bytes, and removes it.
func (t *Target) probe(n int64) error {
	f, err := t.CreateTemp("room", n)
	if err != nil {
		return err
	}
	defer f.Abort()
	some := make([]byte, min(n, 1<<20))
	for i := range some { // not zeros, which may take no room
		some[i] = byte(i*i>>8) | 1
	}
	for at := int64(0); at < n; at += int64(len(some)) {
		if _, err := f.WriteAt(some[:min(int64(len(some)), n-at)], at); err != nil {
			return err
		}
	}
	return nil
}
