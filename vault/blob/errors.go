package blob

import (
	"errors"
	"fmt"

	"vaultik/vault/keys"
)

// Errors of this package, wrapped with the blob's name.
var (
	// ErrDamaged: the bytes are not those that were sealed. Other blobs are not affected.
	ErrDamaged = keys.ErrDamaged
	// ErrNoIdentity: none of the identities opens the blob; another may. It is a
	// keys.ErrWrongIdentity too.
	ErrNoIdentity = fmt.Errorf("%w", keys.ErrWrongIdentity)
	// ErrTooLarge: more than any writer of this format makes; it is not read.
	ErrTooLarge = errors.New("too large")
)

func (i *Info) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s blob %s: %w", what, i.Name, err)
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}
