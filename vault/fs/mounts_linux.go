//go:build !portable

package fs

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ReadMounts reads what this process sees mounted. A device that is mounted
// several times counts by its first mount, so that the answer is stable.
func ReadMounts() Mounts {
	m := Mounts{}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return m
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		// 36 35 98:0 /root /mount/point options ...
		fields := strings.Fields(s.Text())
		if len(fields) < 5 {
			continue
		}
		var major, minor uint32
		if _, err := fmt.Sscanf(fields[2], "%d:%d", &major, &minor); err != nil {
			continue
		}
		dev := unix.Mkdev(major, minor)
		if _, seen := m[dev]; !seen {
			m[dev] = fields[4]
		}
	}
	return m
}

// Fstat describes an open file.
func Fstat(f *os.File) (Stat, error) {
	c, err := f.SyscallConn()
	if err != nil {
		return Stat{}, err
	}
	var st Stat
	var serr error
	if err := c.Control(func(fd uintptr) { st, serr = fstat(int(fd)) }); err != nil {
		return Stat{}, err
	}
	return st, serr
}
