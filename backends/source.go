package backends

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Bytes returns a Source over b, which must not change while it is in use. sha is
// its SHA-256 if that is known, else nil.
func Bytes(b []byte, sha *[32]byte) Source { return &memory{b, sha} }

type memory struct {
	data []byte
	sha  *[32]byte
}

func (m *memory) Size() int64 { return int64(len(m.data)) }

func (m *memory) Open() (io.ReadSeekCloser, error) { return memoryReader{bytes.NewReader(m.data)}, nil }

func (m *memory) SHA256() []byte {
	if m.sha == nil {
		return nil
	}
	return m.sha[:]
}

type memoryReader struct{ *bytes.Reader }

func (memoryReader) Close() error { return nil }

const (
	copyBlock   = 256 << 10 // bytes read from a Source at once
	memoryBlock = 1 << 20   // bytes written at once from memory, without a copy
)

var copyBuffers = sync.Pool{New: func() any { return new([copyBlock]byte) }}

// Copy writes all of src to dst and reports progress, which may be nil. It fails
// with ErrSourceSize if src has more or fewer bytes than it said, with a
// *[SourceError] if it cannot be read, and soon after ctx is done. For those who
// write backends.
func Copy(ctx context.Context, dst io.Writer, src Source, progress func(done, total int64)) error {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	if m, ok := src.(*memory); ok {
		return copyMemory(ctx, dst, m.data, progress)
	}
	r, err := src.Open()
	if err != nil {
		return &SourceError{fmt.Errorf("open: %w", err)}
	}
	defer func() { _ = r.Close() }()
	buf := copyBuffers.Get().(*[copyBlock]byte)
	defer copyBuffers.Put(buf)

	total, done, empty := src.Size(), int64(0), 0
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, rerr := r.Read(buf[:])
		eof := errors.Is(rerr, io.EOF)
		if done += int64(n); done > total {
			return fmt.Errorf("%w: more than %d bytes", ErrSourceSize, total)
		}
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return err
			}
			progress(done, total)
		}
		switch {
		case eof && done < total:
			return fmt.Errorf("%w: %d bytes instead of %d", ErrSourceSize, done, total)
		case eof:
			return nil
		case rerr != nil:
			return &SourceError{rerr}
		case n > 0:
			empty = 0
		default:
			if empty++; empty == 100 {
				return &SourceError{io.ErrNoProgress}
			}
		}
	}
}

func copyMemory(ctx context.Context, dst io.Writer, data []byte, progress func(done, total int64)) error {
	total := int64(len(data))
	for done := int64(0); done < total; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := dst.Write(data[done:min(total, done+memoryBlock)])
		if err != nil {
			return err
		}
		done += int64(n)
		progress(done, total)
	}
	return nil
}
