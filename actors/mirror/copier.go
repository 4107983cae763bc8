package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"vaultik/actors"
	"vaultik/actors/survey"
	"vaultik/backends"
	"vaultik/vault/layout"
	"vaultik/vault/parity"
	"vaultik/vault/snapshot"
)

// copier brings over one object a lease. Nothing reaches the target whose SHA-256
// was not checked before.
type copier struct{ run *copyRun }

func (k *copier) copy(_ int, job copying) (done copyDone) {
	k.run.spec.Faults.Downloader()
	buf, err := k.run.Buffers.Acquire(k.run.Ctx)
	if err != nil {
		return copyDone{Err: err, Fatal: true}
	}
	defer k.run.Buffers.Release(buf)
	ctx := k.run.Ctx
	if job.There == copyUnsure {
		same, err := k.compare(ctx, &job, buf.B[:cap(buf.B)], &done)
		if err != nil || same {
			done.Same, done.Err, done.Fatal = same, err, err != nil
			return done
		}
		job.There = copyBad
	}
	src, err := k.source(ctx, &job, buf.B, &done)
	if err != nil {
		done.Err, done.Fatal = err, k.sourceGone(ctx, err)
		return done
	}
	done.Err = k.put(ctx, &job, src, &done)
	var own *backends.SourceError
	switch {
	case done.Err == nil:
		done.Replaced = !done.Same && job.There == copyBad
	case errors.As(done.Err, &own): // a large object, read while it was put
		done.Err = own.Err
		done.Fatal = k.sourceGone(ctx, done.Err)
	default:
		done.Err, done.Fatal = &TargetError{done.Err}, true
	}
	k.run.spec.Faults.Uploader(true)
	return done
}

// compare reads what the target has.
func (k *copier) compare(
	ctx context.Context,
	job *copying,
	buf []byte,
	done *copyDone,
) (bool, error) {
	if job.Parity {
		_, err := k.checkParity(ctx, k.run.spec.To, job, done)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, parity.ErrDamaged), errors.Is(err, backends.ErrNotFound):
			return false, nil
		}
		return false, &TargetError{err}
	}
	n, sum, err := hashObject(ctx, k.run.spec.To, job.Key, job.Size, buf)
	done.Read += n
	switch {
	case err == nil:
		return sum == job.Sum, nil
	case errors.Is(err, backends.ErrNotFound),
		errors.Is(err, backends.ErrInvalidRange),
		errors.Is(err, io.ErrUnexpectedEOF):
		return false, nil // gone, or shorter than the listing said
	}
	return false, &TargetError{err}
}

// source gives the object's bytes, checked: from memory where they fit, else they
// are checked on their way, and the last of them withheld if they are wrong.
func (k *copier) source(
	ctx context.Context,
	job *copying,
	buf []byte,
	done *copyDone,
) (backends.Source, error) {
	if job.Size > survey.BufferSize {
		s := &checkedSource{
			ctx: ctx, from: k.run.spec.From, key: job.Key, size: job.Size, sum: job.Sum,
			read: &done.Read,
		}
		if job.Parity {
			var err error
			if s.sum, err = k.checkParity(ctx, k.run.spec.From, job, done); err != nil {
				return nil, err
			}
		}
		return s, nil
	}
	var err error
	for range 2 { // wrong bytes may come from the network
		var b []byte
		b, err = backends.ReadRange(ctx, k.run.spec.From, job.Key, 0, job.Size, buf)
		if err != nil {
			return nil, actors.DamagedIfShort(err)
		}
		done.Read += int64(len(b))
		sum := sha256.Sum256(b)
		if job.Parity {
			err = parity.Check(bytes.NewReader(b), job.Sum)
		} else if sum != job.Sum {
			err = actors.ErrWrongSum
		}
		if err == nil {
			return backends.Bytes(b, &sum), nil
		}
	}
	return nil, err
}

// checkParity reads the parity of a blob, and returns its SHA-256 if all of it is right.
func (k *copier) checkParity(
	ctx context.Context, from backends.Backend, job *copying, done *copyDone,
) (sum [32]byte, err error) {
	in, _, err := from.Get(ctx, job.Key, 0, job.Size)
	if err != nil {
		return sum, actors.DamagedIfShort(err)
	}
	defer func() { _ = in.Close() }()
	done.Read += job.Size
	h := sha256.New()
	err = parity.Check(io.TeeReader(in, h), job.Sum)
	return [32]byte(h.Sum(nil)), err
}

// sourceGone reports whether the source would fail for every other object too. An error
// that retrying did not help concerns one object only if another one can be read.
func (k *copier) sourceGone(ctx context.Context, err error) bool {
	if ctx.Err() != nil || actors.StoreGone(err) {
		return true
	}
	if !backends.Retryable(err) {
		return false
	}
	_, err = backends.ReadRange(ctx, k.run.spec.From, layout.StoreJSON, 0, 1, nil)
	return err != nil
}

func (k *copier) put(ctx context.Context, job *copying, src backends.Source, done *copyDone) error {
	o := backends.PutOptions{}
	if job.Manifest && job.There == copyAbsent {
		o.IfAbsent = k.run.spec.Conditional
		if !o.IfAbsent { // look once more: another writer may have put one
			err := sameObject(ctx, k.run.spec.To, job.Key, job.Size, job.Sum)
			if done.Same = err == nil; done.Same || !errors.Is(err, backends.ErrNotFound) {
				return err
			}
		}
	}
	_, err := k.run.spec.To.Put(ctx, job.Key, src, o)
	if errors.Is(err, backends.ErrExists) { // another copy runs, or another host writes there
		err = sameObject(ctx, k.run.spec.To, job.Key, job.Size, job.Sum)
		done.Same = err == nil
		return err
	}
	if err == nil {
		done.Sent = job.Size
	}
	return err
}

// sameObject fails with snapshot.ErrFork where the store has another object of this name.
func sameObject(
	ctx context.Context,
	b backends.Backend,
	key string,
	size int64,
	sum [32]byte,
) error {
	_, got, err := hashObject(ctx, b, key, -1, make([]byte, 64<<10))
	if err == nil && got != sum {
		err = fmt.Errorf("%w: another %s (%d bytes) was stored there in the meantime",
			snapshot.ErrFork, key, size)
	}
	return err
}

// hashObject reads size bytes of an object, all of it if size < 0, through buf.
func hashObject(
	ctx context.Context,
	b backends.Backend,
	key string,
	size int64,
	buf []byte,
) (n int64, sum [32]byte, err error) {
	in, _, err := b.Get(ctx, key, 0, size)
	if err != nil {
		return 0, sum, err
	}
	defer func() { _ = in.Close() }()
	h := sha256.New()
	n, err = io.CopyBuffer(h, struct{ io.Reader }{in}, buf)
	return n, [32]byte(h.Sum(nil)), err
}

// checkedSource is an object of a store that is too large to be held.
type checkedSource struct {
	ctx  context.Context
	from backends.Backend
	key  string
	size int64
	sum  [32]byte
	read *int64 // bytes, of all readers; one reads at a time
}

func (s *checkedSource) Size() int64 { return s.size }

func (s *checkedSource) SHA256() []byte { return s.sum[:] }

func (s *checkedSource) Open() (io.ReadSeekCloser, error) {
	r := &checkedReader{s: s}
	return r, r.open()
}

// checkedReader gives the last byte only if the SHA-256 of all is right.
type checkedReader struct {
	s    *checkedSource
	in   io.ReadCloser
	hash hash.Hash
	done int64
}

func (r *checkedReader) open() (err error) {
	r.in, _, err = r.s.from.Get(r.s.ctx, r.s.key, 0, r.s.size)
	r.hash, r.done = sha256.New(), 0
	return actors.DamagedIfShort(err)
}

func (r *checkedReader) Read(p []byte) (int, error) {
	if r.done == r.s.size {
		return 0, io.EOF
	}
	n, err := r.in.Read(p)
	r.done += int64(n)
	*r.s.read += int64(n)
	_, _ = r.hash.Write(p[:n])
	switch {
	case r.done == r.s.size && [32]byte(r.hash.Sum(nil)) != r.s.sum:
		return 0, actors.ErrWrongSum
	case r.done == r.s.size:
		return n, nil
	case errors.Is(err, io.EOF):
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// Seek goes back to the beginning, where whoever stores it starts anew, and tells
// the length.
func (r *checkedReader) Seek(off int64, whence int) (int64, error) {
	switch {
	case whence == io.SeekEnd && off == 0:
		r.done = r.s.size
		return r.s.size, nil
	case whence == io.SeekCurrent && off == 0:
		return r.done, nil
	case whence != io.SeekStart || off != 0:
		return 0, fmt.Errorf("seek to %d: %w", off, errors.ErrUnsupported)
	}
	if err := r.Close(); err != nil {
		return 0, err
	}
	return 0, r.open()
}

func (r *checkedReader) Close() error {
	if r.in == nil {
		return nil
	}
	return r.in.Close()
}
