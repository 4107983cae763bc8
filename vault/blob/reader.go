package blob

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"filippo.io/age"
)

// Reader reads ranges of one blob's plaintext. It is safe for several
// goroutines, each with a Decompressor of its own.
type Reader struct {
	info      Info
	plainSize int64

	whole bool    // opened by OpenBytes or Salvage: nothing below holes is used
	plain []byte  // the complete plaintext
	holes []int64 // where age's parts begin that could not be salvaged

	fetch  Fetch
	id     age.Identity // holds the file's key
	start  int64        // of the payload
	cipher segments

	mu     sync.Mutex
	src    io.ReaderAt // nil until the end of the file was fetched
	loaded *segment
}

// Size returns the size of the plaintext in bytes.
func (r *Reader) Size() int64 { return r.plainSize }

// Info returns what the blob was opened with.
func (r *Reader) Info() Info { return r.info }

// Plain returns n authenticated bytes at off of the plaintext. Nobody may change
// them. The range is read in one fetch, unless Load has read it already; the
// first time the end of the file, 64 KiB at most, is fetched beside it.
func (r *Reader) Plain(ctx context.Context, off, n int64) ([]byte, error) {
	b, err := r.read(ctx, nil, off, n)
	return b, r.info.wrap("read", err)
}

// Load fetches a range of the plaintext, which may hold many frames, in one
// request and keeps it for later calls of Plain, Frame and Table, until the next Load.
func (r *Reader) Load(ctx context.Context, off, n int64) error {
	if r.whole || n == 0 {
		return nil
	}
	s, err := r.load(ctx, off, n)
	if err != nil {
		return r.info.wrap("read", err)
	}
	r.mu.Lock()
	old := r.loaded
	r.loaded = s
	r.mu.Unlock()
	r.cipher.remove(old)
	return nil
}

// Frame returns the content of one frame, in dst's array if that is large enough.
// rawLen is its size, or below zero if that is not known.
func (r *Reader) Frame(ctx context.Context, d *Decompressor, dst []byte, frameOff, frameLen uint32, rawLen int) ([]byte, error) {
	comp, err := r.compressed(ctx, d.buf[:0], frameOff, frameLen)
	if err != nil {
		return nil, r.info.wrap("read", err)
	}
	if !r.whole {
		d.buf = comp
	}
	raw, err := d.Frame(dst, comp, rawLen)
	return raw, r.info.wrap("read", err)
}

// Compressed returns one frame as Decompressor.Frame takes it, for callers whose
// decompressors do not wait for the store. Nobody may change it.
func (r *Reader) Compressed(ctx context.Context, frameOff, frameLen uint32) ([]byte, error) {
	comp, err := r.compressed(ctx, nil, frameOff, frameLen)
	return comp, r.info.wrap("read", err)
}

func (r *Reader) compressed(ctx context.Context, dst []byte, frameOff, frameLen uint32) ([]byte, error) {
	if frameLen > maxFrameComp {
		return nil, fmt.Errorf("%w: frame of %d bytes", ErrTooLarge, frameLen)
	}
	return r.read(ctx, dst, int64(frameOff), int64(frameLen))
}

// Table returns the blob's own table.
func (r *Reader) Table(ctx context.Context) ([]TableRow, error) {
	rows, err := r.table(ctx)
	return rows, r.info.wrap("read table of", err)
}

func (r *Reader) table(ctx context.Context) ([]TableRow, error) {
	// The last 64 KiB of age are fetched in any case and mostly hold the table.
	size := r.plainSize - max(0, r.plainSize-1)/ageChunk*ageChunk
	for {
		tail, err := r.read(ctx, nil, r.plainSize-size, size)
		if err != nil {
			return nil, err
		}
		want := int64(tableTrailer)
		if size >= want {
			if want, err = tableSize(tail, r.plainSize); err != nil {
				return nil, err
			}
		}
		if want <= size {
			return ParseTable(tail, r.plainSize)
		}
		if want > r.plainSize {
			return nil, damaged("no room for a table")
		}
		size = want
	}
}

// read returns a range of the plaintext, in dst's array if that is large enough
// and the plaintext is not at hand.
func (r *Reader) read(ctx context.Context, dst []byte, off, n int64) ([]byte, error) {
	if off < 0 || n < 0 || off > r.plainSize || n > r.plainSize-off {
		return nil, damaged("%d bytes at %d are outside its %d", n, off, r.plainSize)
	}
	if r.whole {
		return r.plain[off : off+n : off+n], r.intact(off, n)
	}
	if n == 0 {
		return dst[:0], nil
	}
	s, err := r.load(ctx, off, n)
	if err != nil {
		return nil, err
	}
	defer r.cipher.remove(s)
	dst = slices.Grow(dst[:0], int(n))[:n]
	if got, err := r.payload().ReadAt(dst, off); err != nil && (err != io.EOF || int64(got) != n) {
		return nil, damaged("%w", err)
	}
	return dst, nil
}

// load makes the ciphertext of a range of the plaintext available until the
// caller removes the segment. The first time it also opens the payload, for
// which age needs its end.
func (r *Reader) load(ctx context.Context, off, n int64) (*segment, error) {
	if off < 0 || n <= 0 || off > r.plainSize || n > r.plainSize-off {
		return nil, damaged("%d bytes at %d are outside its %d", n, off, r.plainSize)
	}
	from := r.start + off/ageChunk*ageEncChunk
	to := min(r.start+((off+n-1)/ageChunk+1)*ageEncChunk, r.info.Size)
	if r.payload() != nil {
		return r.hold(ctx, from, to)
	}

	end := r.start + (r.info.Size-r.start-1)/ageEncChunk*ageEncChunk // of all but the last chunk
	var tail *segment
	var tailErr error
	var wait sync.WaitGroup
	if end-to <= wholeFetch {
		to = r.info.Size // close enough for one request
	} else {
		wait.Go(func() { tail, tailErr = r.hold(ctx, end, r.info.Size) })
	}
	s, err := r.hold(ctx, from, to)
	wait.Wait()
	if err == nil && tailErr != nil {
		r.cipher.remove(s)
		err = tailErr
	}
	if err == nil && tail == nil {
		tail = r.cipher.add(end, slices.Clone(s.data[end-s.off:]))
	}
	if err == nil {
		if err = r.openPayload(tail); err != nil {
			r.cipher.remove(s)
		}
	}
	if err != nil {
		r.cipher.remove(tail)
		return nil, err
	}
	return s, nil
}

// payload returns the decrypting reader, or nil before openPayload.
func (r *Reader) payload() io.ReaderAt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.src
}

// openPayload needs head and end of the file among the segments. They stay there,
// unless another goroutine was faster.
func (r *Reader) openPayload(tail *segment) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.src != nil {
		r.cipher.remove(tail)
		return nil
	}
	src, n, err := age.DecryptReaderAt(&r.cipher, r.info.Size, r.id)
	if err != nil {
		return damaged("%w", err)
	}
	if n != r.plainSize {
		return damaged("%d bytes inside, not %d", n, r.plainSize)
	}
	r.src = src
	return nil
}

// hold makes a range of the file a segment: of what is held already, or fetched.
func (r *Reader) hold(ctx context.Context, from, to int64) (*segment, error) {
	if data := r.cipher.find(from, to); data != nil {
		return r.cipher.add(from, data), nil
	}
	data, err := r.get(ctx, from, to-from)
	if err != nil {
		return nil, err
	}
	return r.cipher.add(from, data), nil
}

func (r *Reader) get(ctx context.Context, off, n int64) ([]byte, error) {
	b, err := r.fetch(ctx, off, n)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) != n {
		return nil, damaged("%d bytes at %d, not %d", len(b), off, n)
	}
	return b, nil
}
