package backends

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// MaxWhole is how many bytes of an object are read "to the end" into memory,
	// a store being free to offer more than we have. 256 MiB is what the format
	// allows a manifest; nothing larger is ever read whole.
	MaxWhole = 256 << 20

	// maxTrusted is the length up to which memory is taken before the store has
	// said that the object is that long.
	maxTrusted = 32 << 20

	// firstBlock is how much memory is taken for an object of unknown length at first.
	firstBlock = 1 << 20
)

// List returns all objects under prefix. It holds them in memory: for few.
func List(ctx context.Context, b Backend, prefix string) ([]ObjectInfo, error) {
	var all []ObjectInfo
	err := b.ListStream(ctx, prefix, func(o ObjectInfo) error {
		all = append(all, o)
		return nil
	})
	return all, err
}

// ReadRange returns the n bytes from off on, by the cheapest way that b has. They
// are in dst's memory if its capacity suffices. n < 0 is to the end, which fails
// with ErrTooLarge for more than MaxWhole bytes; n == 0 is nothing, but
// ErrNotFound if there is no such object.
func ReadRange(ctx context.Context, b Backend, key string, off, n int64, dst []byte) ([]byte, error) {
	if r, ok := b.(RangeReader); ok && n > 0 && n <= maxTrusted {
		dst = resize(dst, n)
		_, err := r.ReadRange(ctx, key, dst, off)
		if err != nil {
			return nil, err
		}
		return dst, nil
	}
	r, info, err := b.Get(ctx, key, off, n)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	if n < 0 {
		if n = info.Size - off; n > MaxWhole {
			return nil, &OpError{Op: "get", Key: key, Err: fmt.Errorf("%w: %d bytes", ErrTooLarge, n)}
		}
	}
	if n > maxTrusted && int64(cap(dst)) < n { // it may be a lie
		return grown(r, key, n)
	}
	dst = resize(dst, n)
	if _, err := io.ReadFull(r, dst); err != nil {
		return nil, readError(key, err)
	}
	return dst, nil
}

// grown reads exactly n bytes, into memory that is taken as they arrive.
func grown(r io.Reader, key string, n int64) ([]byte, error) {
	var buf bytes.Buffer
	if got, err := buf.ReadFrom(io.LimitReader(r, n)); err != nil {
		return nil, readError(key, err)
	} else if got < n {
		return nil, readError(key, io.ErrUnexpectedEOF)
	}
	return buf.Bytes(), nil
}

// Head returns the first n bytes of an object, or all of it where it is shorter. Memory grows
// with what arrives, whatever the store says the object's size is; who knows the size asks for
// one byte more, and sees by that whether it is right.
func Head(ctx context.Context, b Backend, key string, n int64) ([]byte, error) {
	r, info, err := b.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	var buf bytes.Buffer
	buf.Grow(int(min(max(info.Size, 0), n, firstBlock)) + bytes.MinRead)
	if _, err := buf.ReadFrom(io.LimitReader(r, n)); err != nil {
		return nil, readError(key, err)
	}
	return buf.Bytes(), nil
}

func readError(key string, err error) error {
	if op := (*OpError)(nil); errors.As(err, &op) {
		return err
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &OpError{Op: "get", Key: key, Retryable: errors.Is(err, io.ErrUnexpectedEOF), Err: err}
}

func resize(dst []byte, n int64) []byte {
	if int64(cap(dst)) < n {
		return make([]byte, n)
	}
	return dst[:n]
}

// Objects adapts a backend to what the packages under vault ask of a store.
func Objects(b Backend) ObjectReader { return ObjectReader{b} }

// ObjectReader reads objects into memory and lists their names.
type ObjectReader struct{ b Backend }

// Get returns n bytes of an object from off on; n < 0 is to the end, see ReadRange.
func (o ObjectReader) Get(ctx context.Context, key string, off, n int64) ([]byte, error) {
	return ReadRange(ctx, o.b, key, off, n, nil)
}

// Head is the function of that name.
func (o ObjectReader) Head(ctx context.Context, key string, n int64) ([]byte, error) {
	return Head(ctx, o.b, key, n)
}

// List calls fn for each object under prefix, as ListStream does. Stored is its ModTime: see
// Capabilities.OwnTimes.
func (o ObjectReader) List(ctx context.Context, prefix string,
	fn func(key string, size int64, stored time.Time) error) error {
	return o.b.ListStream(ctx, prefix, func(i ObjectInfo) error {
		return fn(i.Key, i.Size, i.ModTime)
	})
}
