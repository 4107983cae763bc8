package actors

import (
	"context"
	"errors"

	"vaultik/backends"
)

// StoreGone reports whether an error is about the store as a whole, so that the next
// object would fail in the same way.
func StoreGone(err error) bool {
	return errors.Is(err, backends.ErrUnreachable) ||
		errors.Is(err, backends.ErrContainerNotFound) ||
		errors.Is(err, backends.ErrAuth) ||
		errors.Is(err, backends.ErrClosed) ||
		errors.Is(err, context.Canceled)
}
