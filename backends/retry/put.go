package retry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"vaultik/backends"
)

// Put implements backends.Backend. An attempt whose answer was lost may have
// succeeded: where the store vouches for the hash of what it has, nothing is sent
// twice, and an object that IfAbsent finds after such an attempt is ours if it has
// the same bytes.
func (b *Backend) Put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (backends.ObjectInfo, error) {
	c := b.call(ctx, "put", key)
	defer c.end()
	p := &putting{call: c, src: src, o: o, progress: o.Progress}
	p.o.Progress = p.moved
	for {
		info, err := p.attempt()
		if err == nil {
			c.answered()
			return info, nil
		}
		if p.unsure && o.IfAbsent && errors.Is(err, backends.ErrExists) {
			if info, err = p.ours(err); err == nil {
				c.answered()
				return info, nil
			}
		}
		if err = c.again(err); err != nil {
			return backends.ObjectInfo{}, err
		}
		p.unsure = true
		if info, there := p.arrived(); there {
			c.answered()
			return info, nil
		}
	}
}

// putting is one call of Put.
type putting struct {
	*call
	src      backends.Source
	o        backends.PutOptions
	progress func(done, total int64) // the user's, or nil

	now    *attempt
	sent   bool // all of the bytes, in the newest attempt
	unsure bool // an attempt has failed in a way that may have been a success
}

func (p *putting) attempt() (info backends.ObjectInfo, err error) {
	p.sent = p.src.Size() == 0
	err = p.try(p.b.data, func(ctx context.Context, a *attempt) (err error) {
		p.now = a
		info, err = p.b.inner.Put(ctx, p.key, p.src, p.o)
		return err
	})
	return info, err
}

func (p *putting) moved(done, total int64) {
	p.now.work()
	if done > p.reached {
		p.reached = done
		p.headway()
	}
	p.sent = done >= total
	if p.progress != nil {
		p.progress(done, total)
	}
}

// arrived asks, after all bytes of an attempt were sent, whether they are there. Only
// a hash that the store vouches for is an answer: the object may be an older one.
func (p *putting) arrived() (info backends.ObjectInfo, there bool) {
	sum := p.src.SHA256()
	if !p.sent || sum == nil {
		return info, false
	}
	err := p.try(p.b.asks, func(ctx context.Context, _ *attempt) (err error) {
		info, err = p.b.inner.Stat(ctx, p.key)
		return err
	})
	return info, err == nil && info.Size == p.src.Size() && bytes.Equal(info.SHA256, sum)
}

// ours returns nil if the existing object that made IfAbsent fail has our bytes, and
// exists if it has others.
func (p *putting) ours(exists error) (backends.ObjectInfo, error) {
	info, err := p.b.Stat(p.ctx, p.key)
	if err != nil || info.Size != p.src.Size() {
		return info, p.other(exists, err)
	}
	if sum := p.src.SHA256(); sum != nil && info.SHA256 != nil {
		if bytes.Equal(info.SHA256, sum) {
			return info, nil
		}
		return info, exists
	}
	mine, err := p.src.Open()
	if err != nil {
		return info, &backends.SourceError{Err: err}
	}
	defer func() { _ = mine.Close() }()
	there, _, err := p.b.Get(p.ctx, p.key, 0, -1)
	if err != nil {
		return info, p.other(exists, err)
	}
	defer func() { _ = there.Close() }()
	same, err := equal(mine, there)
	if err != nil || !same {
		return info, p.other(exists, err)
	}
	return info, nil
}

// other is the end of a Put that does not know whether it has succeeded, or knows that
// it has not. An object that has vanished in the meantime is put again.
func (p *putting) other(exists, err error) error {
	switch {
	case err == nil:
		return exists
	case errors.Is(err, backends.ErrNotFound):
		return &backends.OpError{Op: p.op, Key: p.key, Retryable: true, Err: exists}
	}
	return &backends.OpError{Op: p.op, Key: p.key, Err: fmt.Errorf("%w, after an attempt that may have succeeded; compare it: %w", exists, err)}
}

// equal compares two readers to their ends.
func equal(a, b io.Reader) (bool, error) {
	const block = 64 << 10
	one, two := make([]byte, block), make([]byte, block)
	for {
		n, aerr := io.ReadFull(a, one)
		m, berr := io.ReadFull(b, two)
		if !bytes.Equal(one[:n], two[:m]) {
			return false, nil
		}
		for _, err := range []error{aerr, berr} {
			if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF { //nolint:errorlint // of ReadFull itself
				return false, err
			}
		}
		if aerr != nil || berr != nil {
			return aerr != nil && berr != nil, nil
		}
	}
}
