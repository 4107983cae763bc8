//go:build !portable

package fs

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"vaultik/internal/platform"
	"vaultik/vault/page"
)

// identify is what the file system of an entry calls itself: by its own id (of ext4 made of
// its UUID, of btrfs of the subvolume too, of ZFS of the data set), else its UUID, else from
// where it is mounted, else by the number of its device.
func identify(dev uint64, path string) string {
	fd, err := openPath(path)
	if err != nil {
		return fmt.Sprintf("dev %d", dev)
	}
	defer closeFD(fd)
	var fs unix.Statfs_t
	now, err := fstat(fd)
	if err != nil || now.Dev != dev || fstatfs(fd, &fs) != nil {
		return fmt.Sprintf("dev %d", dev)
	}
	kind := fmt.Sprintf("%x ", uint32(fs.Type))
	// Of some it is the number of the device, which is another one tomorrow. That has 32
	// bits; an id that was made of a UUID has 64.
	if id := fs.Fsid.Val; id[1] != 0 {
		return fmt.Sprintf("%sid %x%08x", kind, uint32(id[1]), uint32(id[0]))
	}
	if id := uuidOf(path, &now); id != "" {
		return kind + "uuid " + id
	}
	if id := uuidOfDevice("/dev/disk/by-uuid", dev); id != "" {
		return kind + "uuid " + id
	}
	if from := mountedFrom("/proc/self/mountinfo", dev); from != "" {
		return kind + "from " + from
	}
	return fmt.Sprintf("%sdev %d", kind, dev)
}

// uuidOf asks the kernel, since Linux 6.9, by the directory that the entry is in; "" if it
// does not tell.
func uuidOf(path string, st *Stat) string {
	const getUUID = 0x80111500 // FS_IOC_GETFSUUID: _IOR(0x15, 0, struct fsuuid2)
	dir := path
	if st.Type != page.Dir {
		dir = filepath.Dir(path)
	}
	fd, err := openat(unix.AT_FDCWD, dir, dirFlags, 0)
	if err != nil {
		return ""
	}
	defer closeFD(fd)
	if at, err := fstat(fd); err != nil || at.Dev != st.Dev {
		return ""
	}
	var id struct {
		size uint8
		id   [16]byte
	}
	err = platform.Again(func() error {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), getUUID, uintptr(unsafe.Pointer(&id)))
		if errno != 0 {
			return errno
		}
		return nil
	})
	if err != nil || int(id.size) > len(id.id) || id.id == [16]byte{} {
		return ""
	}
	return fmt.Sprintf("%x", id.id[:id.size])
}

// uuidOfDevice is the name of a device in the directory in which udev names them by UUID.
func uuidOfDevice(dir string, dev uint64) string {
	names, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, n := range names {
		st, err := os.Stat(filepath.Join(dir, n.Name()))
		if err != nil {
			continue
		}
		if raw, ok := st.Sys().(*syscall.Stat_t); ok && raw.Rdev == dev {
			return n.Name()
		}
	}
	return ""
}

// mountedFrom is what was mounted as a device: "server:/export" and the like. If it is
// mounted several times, the order in which that was done says nothing.
func mountedFrom(mountinfo string, dev uint64) (from string) {
	f, err := os.Open(mountinfo)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		// 36 35 98:0 /root /mount/point options - type source more
		line, rest, ok := strings.Cut(s.Text(), " - ")
		fields, of := strings.Fields(line), strings.Fields(rest)
		if !ok || len(fields) < 5 || len(of) < 2 {
			continue
		}
		var major, minor uint32
		if _, err := fmt.Sscanf(fields[2], "%d:%d", &major, &minor); err != nil {
			continue
		}
		text := of[0] + " " + unescapeMount(of[1])
		if unix.Mkdev(major, minor) == dev && (from == "" || text < from) {
			from = text
		}
	}
	return from
}
