//go:build darwin || freebsd

package fs

import "golang.org/x/sys/unix"

// kernelFS are the file systems whose files the kernel makes up.
var kernelFS = map[string]bool{"procfs": true, "linprocfs": true, "linsysfs": true, "devfs": true, "fdescfs": true}

// kernelFSAt is the kernel's own file system that a directory is on, "" for any other.
func kernelFSAt(dir string) string {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return ""
	}
	if name := unix.ByteSliceToString(s.Fstypename[:]); kernelFS[name] {
		return name
	}
	return ""
}
