package fs

import "golang.org/x/sys/windows"

// spaceOf is unsure: NTFS may compress.
func spaceOf(path string) (Space, error) {
	name, err := windows.UTF16PtrFromString(native(path))
	if err != nil {
		return Space{}, err
	}
	var free, total, all uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, &total, &all); err != nil {
		return Space{}, err
	}
	return Space{Free: int64(free), Inodes: -1, Unsure: true}, nil
}
