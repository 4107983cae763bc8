package rclone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rclone/rclone/fs"

	"vaultik/backends"
)

const (
	// smallRead is up to how many bytes Get reads at once: the connection is free
	// again, and what was replaced between the two requests that it takes to read
	// is noticed while there is nothing to take back.
	smallRead = 128 << 10
	// readBlock is how many bytes of a larger object are asked for at once.
	readBlock = 256 << 10
)

// errChanged: the object is not the one whose size was asked for just before.
var errChanged = errors.New("object was replaced while being opened")

// Get opens a range of the file of key.
func (b *Backend) Get(ctx context.Context, key string, off, length int64) (io.ReadCloser, backends.ObjectInfo, error) {
	if err := b.enterKey(ctx, key); err != nil {
		return nil, backends.ObjectInfo{}, b.fail("get", key, err)
	}
	defer b.gate.Leave()
	var r *reader
	var info backends.ObjectInfo
	err := b.await(ctx, func(call context.Context) (err error) {
		for range 5 {
			if r, info, err = b.get(ctx, call, key, off, length); !errors.Is(err, errChanged) {
				break
			}
		}
		return err
	})
	if err != nil {
		return nil, backends.ObjectInfo{}, b.fail("get", key, err)
	}
	return r, info, nil
}

// get opens a range once. ctx is the caller's, by which the reader ends; call has
// the settings of the store.
func (b *Backend) get(ctx, call context.Context, key string, off, length int64) (*reader, backends.ObjectInfo, error) {
	obj, err := b.object(call, key)
	if err != nil {
		return nil, backends.ObjectInfo{}, err
	}
	info, size := describe(call, key, obj), obj.Size()
	if length < 0 {
		length = size - off
	}
	if off < 0 || off > size || length > size-off {
		return nil, info, fmt.Errorf("%w: %d bytes from %d of %d", backends.ErrInvalidRange, length, off, size)
	}
	r := &reader{ctx: ctx, b: b, key: key, left: length}
	if length == 0 {
		return r, info, nil
	}
	option := fs.OpenOption(asItIs{})
	if length < size {
		option = &fs.RangeOption{Start: off, End: off + length - 1}
	}
	in, err := obj.Open(call, option)
	if err != nil {
		return nil, info, b.goneOr(call, key, err)
	}
	if length > smallRead {
		r.in = in
		b.mu.Lock()
		b.readers++
		b.mu.Unlock()
		return r, info, nil
	}
	r.block = make([]byte, length)
	_, err = io.ReadFull(in, r.block)
	if err == nil && length == size {
		if n, _ := io.ReadFull(in, make([]byte, 1)); n > 0 {
			err = errChanged
		}
	}
	if cerr := in.Close(); err == nil && call.Err() != nil {
		err = cerr
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("%w: %w", errChanged, io.ErrUnexpectedEOF)
	case err != nil && b.kind == "local":
		err = fmt.Errorf("%w: %w", errChanged, err) // that is how rclone says it
	case err != nil:
		err = b.goneOr(call, key, err)
	}
	return r, info, err
}

// asItIs asks those who speak HTTP not to compress what cannot be compressed: some do
// so by the looks of the first bytes, which takes longer than to send them. Of a range
// nobody does.
type asItIs struct{}

func (asItIs) Header() (key, value string) { return "Accept-Encoding", "identity" }
func (asItIs) Mandatory() bool             { return false }
func (asItIs) String() string              { return "not compressed" }

// goneOr returns the error for an object that could not be read: ErrNotFound if it
// has just been deleted, which providers have many words for.
func (b *Backend) goneOr(ctx context.Context, key string, err error) error {
	switch _, again := b.object(ctx, key); {
	case errors.Is(again, backends.ErrNotFound):
		return again
	case again == nil && (absent(err) || statusOf(err) == 404):
		return fmt.Errorf("%w: %w", errChanged, err) // deleted, and put again
	}
	return err
}

// object looks up what there is of a key: ErrNotFound if nothing, and if the store
// is there at all.
func (b *Backend) object(ctx context.Context, key string) (fs.Object, error) {
	obj, err := b.f.NewObject(ctx, key)
	switch {
	case absent(err):
		if err := b.rootExists(ctx); err != nil {
			return nil, err
		}
		return nil, backends.WithKind(backends.ErrNotFound, err)
	case err != nil:
		return nil, err
	case obj.Size() < 0:
		return nil, fmt.Errorf("%w: the remote does not report the size of the object", backends.ErrUnsupported)
	}
	return obj, nil
}

// Stat describes the file of key.
func (b *Backend) Stat(ctx context.Context, key string) (info backends.ObjectInfo, err error) {
	if err := b.enterKey(ctx, key); err != nil {
		return info, b.fail("stat", key, err)
	}
	defer b.gate.Leave()
	err = b.await(ctx, func(ctx context.Context) error {
		obj, err := b.object(ctx, key)
		if err == nil {
			info = describe(ctx, key, obj)
		}
		return err
	})
	if err != nil {
		return backends.ObjectInfo{}, b.fail("stat", key, err)
	}
	return info, nil
}

func describe(ctx context.Context, key string, obj fs.Object) backends.ObjectInfo {
	return backends.ObjectInfo{Key: key, Size: obj.Size(), ModTime: modTime(ctx, obj)}
}

// modTime is in whole seconds: that much all providers tell in a list as well as
// of one object.
func modTime(ctx context.Context, obj fs.Object) time.Time {
	return obj.ModTime(ctx).UTC().Truncate(time.Second)
}

// reader reads a range. What the provider delivers is fetched by a goroutine of
// its own, because not every one ends a Read when the context does.
type reader struct {
	ctx    context.Context
	b      *Backend
	key    string
	left   int64         // bytes not yet given to the caller
	buffer []byte        // for blocks
	block  []byte        // fetched and not yet given
	in     io.ReadCloser // nil for what was read whole
	late   chan struct{} // closed when the fetch that was left behind has ended
	done   bool
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	switch {
	case r.done:
		return 0, errors.New("read of a closed reader")
	case r.left == 0:
		return 0, io.EOF
	case len(r.block) == 0:
		if err := r.fetch(); err != nil {
			return 0, err
		}
	}
	n := copy(p[:min(int64(len(p)), r.left)], r.block)
	r.block = r.block[n:]
	r.left -= int64(n)
	return n, nil
}

func (r *reader) fetch() error {
	if r.late != nil {
		return r.ctx.Err()
	}
	if r.buffer == nil {
		r.buffer = make([]byte, min(readBlock, r.left))
	}
	block, err := r.buffer[:min(readBlock, r.left)], error(nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, err = io.ReadFull(r.in, block)
	}()
	select {
	case <-ended:
	case <-r.ctx.Done():
		r.late = ended
		return r.ctx.Err()
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return r.b.fail("get", r.key, err)
	}
	r.block = block
	return nil
}

// Close gives the connection back, or closes it where the range was not read to
// its end.
func (r *reader) Close() error {
	if r.done || r.in == nil {
		r.done = true
		return nil
	}
	r.done = true
	if r.late != nil {
		go func() {
			<-r.late
			r.release()
		}()
		return nil
	}
	r.release()
	return nil
}

func (r *reader) release() {
	_ = r.in.Close() // what it could say, Read has said
	r.b.mu.Lock()
	r.b.readers--
	last := r.b.closed && r.b.readers == 0
	r.b.mu.Unlock()
	if last {
		r.b.shutdown()
	}
}
