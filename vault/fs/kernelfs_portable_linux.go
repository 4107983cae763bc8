//go:build portable

package fs

import "golang.org/x/sys/unix"

// kernelFSAt is the kernel's own file system that a directory is on, "" for any other.
func kernelFSAt(dir string) string {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return ""
	}
	return kernelFS[uint32(s.Type)]
}
