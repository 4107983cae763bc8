package fs

import "golang.org/x/sys/unix"

func device(path string, mode uint32, dev uint64) error { return unix.Mknod(path, mode, int(dev)) }

// removable reports whether an attribute that an entry does not have is to go:
// all but those that the system itself keeps (com.apple.provenance, for one).
func removable(name string) bool { return len(name) < 10 || name[:10] != "com.apple." }
