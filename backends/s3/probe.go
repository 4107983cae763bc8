package s3

import (
	"context"
	"crypto/sha256"
	"errors"

	"vaultik/backends"
)

// probeName is no key, so it is no object of the store and in no list. It stays:
// then the next one to ask needs no more than two requests that the server refuses.
const probeName = ".probe"

var (
	probeText  = []byte("Vaultik has seen that this server creates objects only if they are absent.\n")
	probeSum   = sha256.Sum256(probeText)
	probeWrong = sha256.Sum256(nil)
)

// abilities is what servers differ in.
type abilities struct {
	conditional bool // If-None-Match is honoured
	checksum    bool // bytes that do not fit their SHA-256 are refused
}

// abilities finds out once what the server can do. Its errors are *OpError.
func (b *Backend) abilities(ctx context.Context) (abilities, error) {
	if can := b.can.Load(); can != nil {
		return *can, nil
	}
	select {
	case b.probing <- struct{}{}:
	case <-ctx.Done():
		return abilities{}, b.fail(ctx, "info", "", nil, ctx.Err())
	}
	defer func() { <-b.probing }()
	if can := b.can.Load(); can != nil {
		return *can, nil
	}
	ask := b.probe
	if b.readOnly {
		ask = b.traces
	}
	can, err := ask(ctx)
	if err == nil {
		b.can.Store(&can)
	}
	return can, err
}

// probe tries it. What is forbidden is not possible.
func (b *Backend) probe(ctx context.Context) (can abilities, err error) {
	absent := upload{key: probeName, src: backends.Bytes(probeText, &probeSum), absent: true}
	err = b.try(ctx, absent)
	if err == nil { // it is there now
		err = b.try(ctx, absent)
	}
	can.conditional = errors.Is(err, backends.ErrExists)
	if err != nil && !can.conditional && !cannot(err) {
		return can, err
	}
	if err == nil { // replaced: nobody may read it as a sign of the contrary
		c := &call{}
		if err := b.fail(ctx, "info", "", c, b.remove(withCall(ctx, c), c, probeName)); err != nil {
			return can, err
		}
	}
	err = b.try(ctx, upload{key: probeName, src: backends.Bytes(probeText, &probeWrong)})
	can.checksum = errors.Is(err, backends.ErrChecksum)
	if err != nil && !can.checksum && !cannot(err) {
		return can, err
	}
	return can, nil
}

func (b *Backend) try(ctx context.Context, u upload) error {
	c := &call{}
	_, err := b.put(withCall(ctx, c), c, u)
	return b.fail(ctx, "info", "", c, err)
}

// cannot reports whether err says that the server does not, or we may not.
func cannot(err error) bool {
	return errors.Is(err, backends.ErrUnsupported) || errors.Is(err, backends.ErrPermission) || errors.Is(err, backends.ErrLocked)
}

// traces looks for what a handle that may write has left.
func (b *Backend) traces(ctx context.Context) (abilities, error) {
	c := &call{}
	info, err := b.stat(withCall(ctx, c), probeName)
	if err = b.fail(ctx, "info", "", c, err); errors.Is(err, backends.ErrNotFound) || errors.Is(err, backends.ErrPermission) {
		return abilities{}, nil
	}
	return abilities{conditional: err == nil, checksum: info.SHA256 != nil}, err
}
