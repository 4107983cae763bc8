package limit

import (
	"context"
	"errors"
	"io"

	"vaultik/backends"
)

// smallRange is up to how many bytes a range is read in one piece.
const smallRange = 64 << 10

// Backend passes calls to another backend, no faster than its limiter allows.
type Backend struct {
	backends.Backend
	l *Limiter
}

// Wrap holds b to l. Where l never limits anything, nil included, it is b itself.
func Wrap(b backends.Backend, l *Limiter) backends.Backend {
	if !l.Limits() {
		return b
	}
	return &Backend{b, l}
}

// Unwrap returns the backend inside.
func (b *Backend) Unwrap() backends.Backend { return b.Backend }

// Put implements backends.Backend.
func (b *Backend) Put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (backends.ObjectInfo, error) {
	return b.Backend.Put(ctx, key, &source{src, pass{ctx, b.l.up}}, o)
}

// Get implements backends.Backend.
func (b *Backend) Get(ctx context.Context, key string, off, length int64) (io.ReadCloser, backends.ObjectInfo, error) {
	r, info, err := b.Backend.Get(ctx, key, off, length)
	if err != nil {
		return nil, backends.ObjectInfo{}, err
	}
	return &reader{r, pass{ctx, b.l.down}}, info, nil
}

// ReadRange implements backends.RangeReader. Only small ranges go to that method of
// the backend inside: it would bring large ones at full speed.
func (b *Backend) ReadRange(ctx context.Context, key string, p []byte, off int64) (int, error) {
	if r, ok := b.Backend.(backends.RangeReader); ok && len(p) <= smallRange {
		n, err := r.ReadRange(ctx, key, p, off)
		if err == nil {
			err = pass{ctx, b.l.down}.wait(n)
		}
		return n, wrapped(key, err)
	}
	r, _, err := b.Get(ctx, key, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }()
	n, err := io.ReadFull(r, p)
	if err == io.EOF { //nolint:errorlint // ReadFull says so itself
		err = io.ErrUnexpectedEOF
	}
	return n, wrapped(key, err)
}

// wrapped makes the errors of readers those of a backend.
func wrapped(key string, err error) error {
	if op := (*backends.OpError)(nil); err == nil || errors.As(err, &op) {
		return err
	}
	return &backends.OpError{Op: "get", Key: key, Retryable: errors.Is(err, io.ErrUnexpectedEOF), Err: err}
}

// pass lets the bytes of one call through.
type pass struct {
	ctx context.Context
	b   *bucket
}

func (p pass) wait(n int) error { return p.b.wait(p.ctx, n) }

// read reads from r what may pass at once, and waits for it.
func (p pass) read(r io.Reader, to []byte) (int, error) {
	n, err := r.Read(to[:p.b.room(len(to))])
	if werr := p.wait(n); werr != nil {
		err = werr
	}
	return n, err
}

type reader struct {
	io.ReadCloser
	pass
}

func (r *reader) Read(p []byte) (int, error) { return r.read(r.ReadCloser, p) }

// source is a Source whose bytes take their time.
type source struct {
	backends.Source
	pass
}

// Unwrap returns the source at full speed, for bytes that are read and not sent: to
// hash them, say.
func (s *source) Unwrap() backends.Source { return s.Source }

func (s *source) Open() (io.ReadSeekCloser, error) {
	r, err := s.Source.Open()
	if err != nil {
		return nil, err
	}
	if at, ok := r.(io.ReaderAt); ok {
		return &seekerAt{seeker{r, s.pass}, at}, nil
	}
	return &seeker{r, s.pass}, nil
}

type seeker struct {
	io.ReadSeekCloser
	pass
}

func (s *seeker) Read(p []byte) (int, error) { return s.read(s.ReadSeekCloser, p) }

type seekerAt struct {
	seeker
	at io.ReaderAt
}

func (s *seekerAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.at.ReadAt(p, off)
	if werr := s.wait(n); werr != nil {
		err = werr
	}
	return n, err
}
