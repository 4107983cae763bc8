package retry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"vaultik/backends"
)

// smallRange is up to how many bytes ReadRange of the backend inside is used: longer
// reads must show progress, and be able to resume.
const smallRange = 1 << 20

// Get implements backends.Backend. A reader that fails resumes where it was. It holds a
// connection until it is closed, but not while it waits to resume.
func (b *Backend) Get(ctx context.Context, key string, off, length int64) (io.ReadCloser, backends.ObjectInfo, error) {
	r := &reader{call: b.call(ctx, "get", key), off: off, left: length}
	for {
		err := r.open()
		if err == nil {
			r.answered()
			if length < 0 {
				r.left = r.info.Size - off
			}
			return r, r.info, nil
		}
		if err = r.again(err); err != nil {
			r.end()
			return nil, backends.ObjectInfo{}, err
		}
	}
}

// ReadRange implements backends.RangeReader, whatever the backend inside does.
func (b *Backend) ReadRange(ctx context.Context, key string, p []byte, off int64) (n int, err error) {
	if in, ok := b.inner.(backends.RangeReader); ok && len(p) <= smallRange {
		err = b.do(ctx, "get", key, b.data, func(ctx context.Context, _ *attempt) (err error) {
			n, err = in.ReadRange(ctx, key, p, off)
			return err
		})
		return n, err
	}
	r, _, err := b.Get(ctx, key, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }()
	n, err = io.ReadFull(r, p)
	if op := (*backends.OpError)(nil); err != nil && !errors.As(err, &op) {
		err = &backends.OpError{Op: "get", Key: key, Err: err}
	}
	return n, err
}

// reader is a Get in as many attempts as it takes. It is open while now is not nil.
type reader struct {
	*call
	off, left int64 // what is still to come
	info      backends.ObjectInfo

	in     io.ReadCloser
	now    *attempt
	broken error // why it is not open; met by the next Read
	err    error // the end
}

// open opens the rest of the object.
func (r *reader) open() error {
	a, err := r.begin(r.b.data)
	if err != nil {
		return err
	}
	defer func() {
		if r.now != a {
			a.close()
		}
	}()
	in, info, err := r.b.inner.Get(a.ctx, r.key, r.off, r.left)
	if err != nil {
		return a.result(err)
	}
	if r.info.Key != "" && (info.Size != r.info.Size || info.SHA256 != nil && r.info.SHA256 != nil && !bytes.Equal(info.SHA256, r.info.SHA256)) {
		_ = in.Close()
		return &backends.OpError{Op: "get", Key: r.key, Err: fmt.Errorf(
			"the object has changed while it was read, from %d bytes to %d", r.info.Size, info.Size)}
	}
	a.rest()
	r.in, r.now, r.info = in, a, info
	return nil
}

// shut closes what is open.
func (r *reader) shut() (err error) {
	if r.now != nil {
		err = r.in.Close()
		r.now.close()
		r.in, r.now = nil, nil
	}
	return err
}

// Read returns the next bytes, reopening the rest as often as needed.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, r.err
	}
	for r.err == nil {
		if err := r.ctx.Err(); err != nil {
			r.err = err
			break
		}
		if r.now == nil {
			if r.err = r.again(r.broken); r.err == nil {
				r.broken = r.open()
			}
			if r.broken != nil {
				continue
			}
		}
		n, err := r.read(p)
		if err != nil {
			_ = r.shut()
		}
		if n > 0 || err == nil && r.err == nil {
			return n, nil
		}
	}
	_ = r.shut()
	return 0, r.err
}

// read reads once from what is open, and sets broken or err.
func (r *reader) read(p []byte) (int, error) {
	r.now.work()
	n, err := r.in.Read(p[:min(int64(len(p)), max(r.left, 1))])
	n = int(min(int64(n), r.left))
	if n > 0 {
		r.off, r.left = r.off+int64(n), r.left-int64(n)
		r.reached += int64(n)
		r.headway()
		if r.troubled {
			r.answered()
		}
		r.now.work()
	}
	switch {
	case err == nil:
		r.now.rest()
	case r.left == 0 && !errors.Is(err, backends.ErrChecksum):
		r.err = io.EOF
	case errors.Is(err, io.EOF):
		r.broken = r.now.broken(io.ErrUnexpectedEOF)
	default:
		r.broken = r.now.broken(err)
	}
	return n, err
}

// Close ends the transfer.
func (r *reader) Close() error {
	if r.err == nil || errors.Is(r.err, io.EOF) {
		r.err = errClosedReader
	}
	r.end()
	return r.shut()
}

var errClosedReader = errors.New("read of a closed reader")
