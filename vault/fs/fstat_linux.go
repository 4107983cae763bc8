//go:build !portable

package fs

import "os"

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
