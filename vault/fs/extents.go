package fs

import (
	"errors"
	"io"
	"os"
)

// MinHole is the smallest hole worth recording, in bytes: a smaller one is read as zeros.
const MinHole = 64 << 10

// An Extent is a run of data in a file, in bytes.
type Extent struct{ Off, Len int64 }

// IsZero reports whether n bytes of f at off are zeros, as far as the file goes.
// Holes are not read. It moves the read offset and uses buf, which is not empty.
func IsZero(f *os.File, off, n int64, buf []byte) (bool, error) {
	for end := off + n; off < end; {
		x, err := NextExtent(f, off, end)
		if err != nil || x.Len == 0 {
			return err == nil, err
		}
		for off = x.Off; off < x.Off+x.Len; {
			b := buf[:min(int64(len(buf)), x.Off+x.Len-off)]
			got, err := f.ReadAt(b, off)
			for _, v := range b[:got] {
				if v != 0 {
					return false, nil
				}
			}
			if off += int64(got); errors.Is(err, io.EOF) {
				return true, nil
			} else if err != nil {
				return false, err
			}
		}
	}
	return true, nil
}
