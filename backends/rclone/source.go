package rclone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/fserrors"
	"github.com/rclone/rclone/fs/hash"

	"vaultik/backends"
)

// upload is the source of one Put as an object of rclone, which may open it more
// than once: again after an error, and beside for a hash. It holds the source to
// its size, and what goes wrong with it apart from what goes wrong with the remote.
type upload struct {
	ctx    context.Context
	cancel context.CancelFunc // of the whole Put: there is no point in going on
	src    backends.Source
	name   string
	time   time.Time
	verify hash.Type // computed while the source is read to be stored

	// progress has one note while nobody has heard of what was read last.
	progress chan struct{}

	mu       sync.Mutex
	readers  map[*sourceReader]bool // those that are open
	finished bool
	read     int64 // bytes read from the last reader that was opened to be stored
	failure  error // the first of the source
	panicked any   // what the source panicked with
	sums     map[hash.Type]string
}

func newUpload(ctx context.Context, src backends.Source, name string, verify hash.Type) *upload {
	ctx, cancel := context.WithCancel(ctx)
	return &upload{
		ctx: ctx, cancel: cancel, readers: map[*sourceReader]bool{}, src: src, name: name, time: time.Now(), verify: verify,
		progress: make(chan struct{}, 1), sums: map[hash.Type]string{},
	}
}

var _ fs.Object = (*upload)(nil)

func (u *upload) Fs() fs.Info                                 { return sourceInfo{} }
func (u *upload) String() string                              { return u.name }
func (u *upload) Remote() string                              { return u.name }
func (u *upload) ModTime(context.Context) time.Time           { return u.time }
func (u *upload) Size() int64                                 { return u.src.Size() }
func (u *upload) Storable() bool                              { return true }
func (u *upload) SetModTime(context.Context, time.Time) error { return errors.ErrUnsupported }
func (u *upload) Remove(context.Context) error                { return errors.ErrUnsupported }
func (u *upload) Update(context.Context, io.Reader, fs.ObjectInfo, ...fs.OpenOption) error {
	return errors.ErrUnsupported
}

// Hash reads the source, unless it has been read with this hash in mind.
func (u *upload) Hash(_ context.Context, t hash.Type) (string, error) {
	u.mu.Lock()
	sum := u.sums[t]
	u.mu.Unlock()
	if sum != "" {
		return sum, nil
	}
	r, err := u.open(t, false)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, r)
	_ = r.Close()
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.sums[t], err
}

// Open opens the source from its first byte: a second attempt starts again.
func (u *upload) Open(_ context.Context, options ...fs.OpenOption) (io.ReadCloser, error) {
	for _, option := range options {
		switch option.(type) {
		case *fs.RangeOption, *fs.SeekOption:
			return nil, fserrors.NoLowLevelRetryError(errors.ErrUnsupported) // none of our errors asks for the rest
		}
	}
	r, err := u.open(u.verify, true)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (u *upload) open(sum hash.Type, store bool) (r *sourceReader, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	defer u.rescue(&err)
	if u.finished || u.failure != nil {
		return nil, u.fail(errFinished)
	}
	src := u.src
	if limited, ok := src.(interface{ Unwrap() backends.Source }); ok && !store {
		src = limited.Unwrap() // these bytes are not sent
	}
	in, err := src.Open()
	if err != nil {
		return nil, u.fail(&backends.SourceError{Err: fmt.Errorf("open: %w", err)})
	}
	r = &sourceReader{u: u, in: in, store: store}
	if sum != hash.None {
		if r.sums, err = hash.NewMultiHasherTypes(hash.NewHashSet(sum)); err != nil {
			_ = in.Close()
			return nil, err
		}
	}
	u.readers[r] = true
	if store {
		u.read = 0
	}
	return r, nil
}

// finish ends all reading of the source. A reader that rclone, or the HTTP client
// below it, still holds gets an error from then on.
func (u *upload) finish() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.finished = true
	for r := range u.readers {
		_ = r.close()
	}
	u.cancel()
}

// result is what went wrong with the source, nil if nothing did.
func (u *upload) result() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.panicked != nil {
		panic(u.panicked)
	}
	return u.failure
}

func (u *upload) taken() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.read
}

var errFinished = errors.New("the upload has ended")

// fail notes the first failure and gives it the form in which rclone does not try
// to read on behind it.
func (u *upload) fail(err error) error {
	if u.failure == nil && !errors.Is(err, errFinished) {
		u.failure = err
		u.cancel()
	}
	return fserrors.NoLowLevelRetryError(fserrors.NoRetryError(err))
}

// rescue keeps a panic of the source for Put: here it would end the process, or be
// rclone's.
func (u *upload) rescue(err *error) {
	if p := recover(); p != nil {
		u.panicked = p
		*err = u.fail(fmt.Errorf("source panicked: %v", p))
	}
}

// sourceReader reads the source once. It never gives all bytes before it has seen
// that there are no more.
type sourceReader struct {
	u     *upload
	in    io.ReadCloser // nil once closed
	store bool
	n     int64
	ended bool
	sums  *hash.MultiHasher
}

func (r *sourceReader) Read(p []byte) (n int, err error) {
	u := r.u
	u.mu.Lock()
	defer u.mu.Unlock()
	defer u.rescue(&err)
	switch {
	case r.in == nil:
		return 0, u.fail(errFinished)
	case u.ctx.Err() != nil:
		return 0, u.fail(u.ctx.Err())
	case u.failure != nil:
		return 0, u.fail(u.failure)
	case r.ended:
		return 0, io.EOF
	}
	if n, err = readSome(r.in, p); err != nil {
		return 0, u.fail(err)
	}
	if r.n += int64(n); r.n >= u.src.Size() || n == 0 {
		if err := r.end(n); err != nil {
			return 0, u.fail(err)
		}
	}
	if r.sums != nil {
		_, _ = r.sums.Write(p[:n])
		if r.ended {
			for t, sum := range r.sums.Sums() {
				u.sums[t] = sum
			}
		}
	}
	if r.store {
		u.read = r.n
		select {
		case u.progress <- struct{}{}:
		default:
		}
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// end checks that the source has exactly the bytes it said, r.n having been read
// and n == 0 meaning that there are no more.
func (r *sourceReader) end(n int) error {
	size := r.u.src.Size()
	more := 0
	var err error
	if n > 0 && r.n == size {
		more, err = readSome(r.in, make([]byte, 1))
	}
	switch {
	case err != nil:
		return err
	case r.n+int64(more) > size:
		return fmt.Errorf("%w: more than %d bytes", backends.ErrSourceSize, size)
	case r.n < size:
		return fmt.Errorf("%w: %d bytes instead of %d", backends.ErrSourceSize, r.n, size)
	}
	r.ended = true
	return nil
}

// readSome reads at least one byte, or none and nil at the end.
func readSome(in io.Reader, p []byte) (int, error) {
	for range 100 {
		n, err := in.Read(p)
		switch {
		case n > 0 && (err == nil || errors.Is(err, io.EOF)):
			return n, nil
		case errors.Is(err, io.EOF):
			return 0, nil
		case err != nil:
			return 0, &backends.SourceError{Err: err}
		}
	}
	return 0, &backends.SourceError{Err: io.ErrNoProgress}
}

func (r *sourceReader) Close() error {
	r.u.mu.Lock()
	defer r.u.mu.Unlock()
	return r.close()
}

func (r *sourceReader) close() error {
	if r.in == nil {
		return nil
	}
	err := r.in.Close()
	r.in = nil
	delete(r.u.readers, r)
	return err
}

// sourceInfo is the remote that an upload is said to come from.
type sourceInfo struct{}

func (sourceInfo) Name() string             { return "vaultik" }
func (sourceInfo) Root() string             { return "" }
func (sourceInfo) String() string           { return "this machine" }
func (sourceInfo) Precision() time.Duration { return time.Nanosecond }
func (sourceInfo) Hashes() hash.Set         { return hash.Supported() }
func (sourceInfo) Features() *fs.Features   { return &fs.Features{} }
