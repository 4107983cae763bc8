//go:build unix

package fs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Extents lists the data of the first size bytes of f in order; what is not
// listed are holes of at least MinHole bytes. It is the whole file where the file system
// knows no holes, and nothing for a file without data. It leaves the read offset at 0.
func Extents(f *os.File, size int64) ([]Extent, error) {
	var all []Extent
	for off := int64(0); off < size; {
		x, err := NextExtent(f, off, size)
		if err != nil {
			return nil, err
		}
		if x.Len == 0 {
			break
		}
		all = append(all, x)
		off = x.Off + x.Len
	}
	if size < MinHole {
		return all, nil // nothing was moved
	}
	if _, err := f.Seek(0, 0); err != nil {
		return nil, fmt.Errorf("rewind %q: %w", f.Name(), err)
	}
	return all, nil
}

// NextExtent returns the first extent of f at or after off, for files that may
// have more extents than memory should hold. off is 0 or the end of the extent
// before. Len is 0 when there is only a hole left. It moves the read offset.
func NextExtent(f *os.File, off, size int64) (Extent, error) {
	if size < MinHole {
		return Extent{off, size - off}, nil
	}
	data, err := seek(f, off, seekData, size)
	if err != nil {
		return Extent{}, err
	}
	if data-off < MinHole && data < size || data == off {
		data = off // the hole before is too small, or there is none
	}
	if data >= size {
		if size-off < MinHole {
			return Extent{off, size - off}, nil
		}
		return Extent{size, 0}, nil
	}
	for end := data; ; {
		hole, err := seek(f, end, seekHole, size)
		if err != nil {
			return Extent{}, err
		}
		if hole >= size {
			return Extent{data, size - data}, nil
		}
		next, err := seek(f, hole, seekData, size)
		if err != nil {
			return Extent{}, err
		}
		if next-hole >= MinHole {
			return Extent{data, hole - data}, nil
		}
		if next >= size {
			return Extent{data, size - data}, nil
		}
		end = next
	}
}

// seek returns the next data or hole at or after off, at most size.
func seek(f *os.File, off int64, whence int, size int64) (int64, error) {
	for {
		at, err := unix.Seek(int(f.Fd()), off, whence)
		switch err {
		case nil:
			return min(at, size), nil
		case unix.EINTR:
		case unix.ENXIO: // nothing but a hole up to the end, or the file was cut
			return size, nil
		case unix.EINVAL, unix.EOPNOTSUPP, unix.ENOTTY: // no holes here: all is data
			if whence == seekData {
				return off, nil
			}
			return size, nil
		default:
			return 0, fmt.Errorf("find holes in %q: %w", f.Name(), err)
		}
	}
}
