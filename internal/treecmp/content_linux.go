package treecmp

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// readHolesTo is the size up to which holes are read like data, so that a file system
// that is wrong about its holes is found out.
const readHolesTo = 4 << 30

// readFile fills in the holes and the sum of e. Its cost is one pass over the data.
func readFile(f *os.File, e *entry, buf []byte) error {
	holes, err := findHoles(int(f.Fd()), e.size)
	if err != nil {
		return err
	}
	e.holes = holes
	skip := holes
	if e.size <= readHolesTo {
		skip = nil
	}
	e.sum, err = sumContent(f, e.size, skip, buf)
	return err
}

// findHoles lists the holes of a file in order. A file system that knows none
// reports data throughout.
func findHoles(fd int, size int64) ([]extent, error) {
	var holes []extent
	for off := int64(0); off < size; {
		data, err := unix.Seek(fd, off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // nothing but a hole up to the end
			return append(holes, extent{off, size}), nil
		}
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
			return holes, nil
		}
		if err != nil {
			return nil, fmt.Errorf("find data from %d: %w", off, err)
		}
		if data > off {
			holes = append(holes, extent{off, min(data, size)})
		}
		if off, err = unix.Seek(fd, data, unix.SEEK_HOLE); err != nil {
			return nil, fmt.Errorf("find hole from %d: %w", data, err)
		}
	}
	return holes, nil
}

// sumContent hashes size bytes of r; those in skip are not read and count as zeros.
// The sum covers, in order, each aligned block that is not all zeros with its offset, so
// that it depends on the bytes only, never on where holes are.
func sumContent(r io.ReaderAt, size int64, skip []extent, buf []byte) (sum [sha256.Size]byte, err error) {
	const block = 64 << 10
	h := sha256.New()
	for off := int64(0); off < size; {
		for len(skip) > 0 && skip[0].end <= off {
			skip = skip[1:]
		}
		if len(skip) > 0 && skip[0].off <= off && skip[0].end-off >= block {
			off = skip[0].end / block * block
			if skip[0].end == size {
				off = size
			}
			continue
		}
		n := min(int64(len(buf)), size-off)
		if len(skip) > 0 && skip[0].off > off { // stop where the next hole begins, in whole blocks
			n = min(n, (skip[0].off-off+block-1)/block*block)
		} else if len(skip) > 0 {
			n = min(n, block)
		}
		got, err := r.ReadAt(buf[:n], off)
		if int64(got) < n {
			return sum, errors.Join(fmt.Errorf("read %d of %d bytes at %d", got, n, off), err)
		}
		for i := int64(0); i < n; i += block {
			b := buf[i:min(i+block, n)]
			if isZero(b) {
				continue
			}
			var at [8]byte
			for j := range at {
				at[j] = byte((off + i) >> (8 * j))
			}
			h.Write(at[:])
			h.Write(b)
		}
		off += n
	}
	h.Sum(sum[:0])
	return sum, nil
}

func isZero(b []byte) bool {
	for len(b) >= 8 {
		if b[0]|b[1]|b[2]|b[3]|b[4]|b[5]|b[6]|b[7] != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
