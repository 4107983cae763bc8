package index

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4/fb"
)

// A table is blocks, then index, its length, checksum, its length; a block is
// entries, offsets, their number, checksum, its length. Badger v4 table/builder.go.

// verifyTable checks both kinds of checksum with at most a block and the index
// in memory. It returns buf, grown, for the next one.
func verifyTable(path string, size int64, buf []byte) ([]byte, error) {
	var refused error // by the system, when it was to read
	bad := func(what string) ([]byte, error) {
		what = fmt.Sprintf("table %s: %s", filepath.Base(path), what)
		if refused != nil {
			return buf, unreadable(refused, what)
		}
		return buf, fmt.Errorf("%w: %s", ErrDamaged, what)
	}
	f, err := os.Open(path)
	if err != nil {
		return buf, fmt.Errorf("read index: %w", err)
	}
	defer func() { _ = f.Close() }()
	read := func(off, n int64) ([]byte, error) {
		if off < 0 || n < 0 || off+n > size {
			return nil, io.ErrUnexpectedEOF
		}
		if int64(cap(buf)) < n {
			buf = make([]byte, 0, n)
		}
		_, err := f.ReadAt(buf[:n], off)
		if err != nil && classify(err) != nil {
			refused = err
		}
		return buf[:n], err
	}

	// From the end to the front: each length lies behind what it measures.
	end := size
	back := func() ([]byte, error) {
		tail, err := read(end-4, 4)
		if err != nil {
			return nil, err
		}
		n := be32(tail)
		end -= 4 + n
		return read(end, n)
	}
	sumBytes, err := back()
	if err != nil {
		return bad("no index checksum")
	}
	want, ok := tableSum(sumBytes)
	indexBytes, err := back()
	if err != nil || !ok || crc32.Checksum(indexBytes, castagnoli) != want {
		return bad("index checksum")
	}
	index := fb.GetRootAsTableIndex(append([]byte(nil), indexBytes...), 0)
	if index.OffsetsLength() == 0 {
		return bad("no blocks")
	}
	var bo fb.BlockOffset
	for i := range index.OffsetsLength() {
		if !index.Offsets(&bo, i) || int64(bo.Offset())+int64(bo.Len()) > end {
			return bad("block outside")
		}
		block, err := read(int64(bo.Offset()), int64(bo.Len()))
		if err != nil || !blockGood(block) {
			return bad("block checksum")
		}
	}
	return buf, nil
}

func blockGood(b []byte) bool {
	if len(b) < 8 {
		return false
	}
	n := be32(b)
	body := int64(len(b)) - 4 - n
	if body < 4 {
		return false
	}
	want, ok := tableSum(b[body : len(b)-4])
	return ok && be32(b[:body])*4 <= body-4 && crc32.Checksum(b[:body], castagnoli) == want
}

// tableSum reads Badger's checksum message: the algorithm (1: 0 is CRC-32C) and
// the sum (2), both varints and left out when zero.
func tableSum(b []byte) (sum uint32, ok bool) {
	d := decoder{b: b}
	for len(d.b) > 0 {
		switch d.uvarint() {
		case 1 << 3:
			if d.uvarint() != 0 {
				return 0, false
			}
		case 2 << 3:
			sum = d.u32()
		default:
			return 0, false
		}
	}
	return sum, !d.bad
}

// A log is 20 bytes, then entries: two flag bytes, key length, value length,
// expiry, key, value, CRC-32C over all of these. Badger v4 memtable.go. What
// follows is zeros, or what a crash left.
const (
	logHeader = 20
	maxLog    = 2 * memTable
)

// logEnd returns where the good entries of a log end, 0 if there are none.
func logEnd(path string, size int64) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("read index: %w", err)
	}
	defer func() { _ = f.Close() }()
	in := &remembering{r: f}
	var head [logHeader]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, in.refused(path) // else it was cut off by a crash
	}
	if binary.BigEndian.Uint64(head[:]) != 0 || size > maxLog {
		return 0, fmt.Errorf("%w: log %s", ErrDamaged, filepath.Base(path))
	}
	r := &logReader{r: bufio.NewReaderSize(in, 64<<10)}
	end := int64(logHeader)
	for {
		n := r.entry()
		if n == 0 {
			break
		}
		end += n
	}
	if err := in.refused(path); err != nil {
		return 0, err
	}
	if end == logHeader {
		return 0, nil
	}
	return end, nil
}

// remembering keeps the error of the system that ends a reading, which is not the end of a log.
type remembering struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (m *remembering) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if err != nil && classify(err) != nil {
		m.err = err
	}
	return n, err
}

// refused is that error, nil for none.
func (m *remembering) refused(path string) error {
	if m.err == nil {
		return nil
	}
	return unreadable(m.err, "log "+filepath.Base(path))
}

// logReader reads entries and their checksums.
type logReader struct {
	r   *bufio.Reader
	buf []byte
}

// ReadByte keeps what it reads for the checksum.
func (l *logReader) ReadByte() (byte, error) {
	c, err := l.r.ReadByte()
	l.buf = append(l.buf, c)
	return c, err
}

// entry returns the length of the next entry, 0 if it is not good.
func (l *logReader) entry() int64 {
	l.buf = l.buf[:0]
	for range 2 {
		if _, err := l.ReadByte(); err != nil {
			return 0
		}
	}
	var nums [3]uint64 // key length, value length, expiry
	for i := range nums {
		var err error
		if nums[i], err = binary.ReadUvarint(l); err != nil {
			return 0
		}
	}
	if nums[0] < 8 || nums[0] > 1<<16 || nums[1] > maxLog {
		return 0
	}
	from, n := len(l.buf), int(nums[0]+nums[1])+crc32.Size
	l.buf = append(l.buf, make([]byte, n)...)
	if _, err := io.ReadFull(l.r, l.buf[from:]); err != nil {
		return 0
	}
	body := len(l.buf) - crc32.Size
	if crc32.Checksum(l.buf[:body], castagnoli) != binary.BigEndian.Uint32(l.buf[body:]) {
		return 0
	}
	return int64(len(l.buf))
}
