package actors

import (
	"context"
	"errors"
	"io/fs"

	"vaultik/backends"
	"vaultik/vault/blob"
	"vaultik/vault/page"
	"vaultik/vault/parity"
	"vaultik/vault/snapshot"
)

// Unreadable reports whether an error says only that something could not be read: it may
// be intact. Damage is what was read and is wrong, and what a store says it does not have.
func Unreadable(err error) bool {
	for _, damage := range []error{
		blob.ErrDamaged, blob.ErrTooLarge, backends.ErrInvalidRange, page.ErrDamaged,
		page.ErrTooLarge, snapshot.ErrDamaged, snapshot.ErrSignature,
		parity.ErrDamaged,
	} {
		if errors.Is(err, damage) {
			return false
		}
	}
	return !errors.Is(err, fs.ErrNotExist) || errors.Is(err, backends.ErrContainerNotFound)
}

// StoreGone reports whether an error is about the store as a whole, so that the next
// object would fail in the same way.
func StoreGone(err error) bool {
	return errors.Is(err, backends.ErrUnreachable) ||
		errors.Is(err, backends.ErrContainerNotFound) ||
		errors.Is(err, backends.ErrAuth) ||
		errors.Is(err, backends.ErrClosed) ||
		errors.Is(err, context.Canceled)
}
