package snapshot

import (
	"errors"
	"fmt"

	"vaultik/vault/keys"
)

// Errors of this package.
var (
	// ErrDamaged: an object is not what its name, hash or signature promises.
	// Other objects are not affected.
	ErrDamaged = keys.ErrDamaged
	// ErrSignature: the signature is not one of the expected key over these bytes.
	ErrSignature = keys.ErrSignature
	// ErrNewerFormat: written by a newer version; read it with that one.
	ErrNewerFormat = errors.New("made by a newer version of vaultik")
	// ErrNoStore: there is no store in this place.
	ErrNoStore = errors.New("no store there")
	// ErrOwnerChanged: the store belongs to another owner than the one that was
	// pinned: another store, or somebody replaced it.
	ErrOwnerChanged = errors.New("the store has another owner than expected")
	// ErrTrustRollback: the store shows an older or another trust list than was
	// seen before; a revocation may be missing from it.
	ErrTrustRollback = errors.New("the trust list is older than one seen before")
	// ErrTrustFork: the owner has signed several trust lists of one number, one without knowing
	// of the other. Which one counts only the owner can say.
	ErrTrustFork = errors.New("there are several newest trust lists")
	// ErrUntrusted: the signer is not in the trust list, or not for this role.
	ErrUntrusted = errors.New("not signed by a key in the trust list")
	// ErrRevoked: signed with a revoked key, and not among what the revocation lets stand.
	ErrRevoked = errors.New("the key that signed it is revoked")
	// ErrTaken: the trust list has this host or key already, be it revoked.
	ErrTaken = errors.New("the trust list has this host or its key already")
	// ErrRecipients: a snapshot is encrypted for others than the owner has signed.
	ErrRecipients = errors.New("encrypted for recipients that the owner has not signed")
	// ErrFork: two different manifests claim the same place in a chain: two machines
	// write as one host, or the signing key was stolen.
	ErrFork = errors.New("two manifests at one position of the chain")
	// ErrGap: manifests are missing, and no prune record says why.
	ErrGap = errors.New("manifests are missing from the chain")
	// ErrRollback: the store shows an older state of a set than was seen before.
	ErrRollback = errors.New("the newest manifest seen before is missing")
	// ErrGCRollback: the store shows an older gc object about a host than was seen, or
	// than a manifest names.
	ErrGCRollback = errors.New("the gc object that is known to exist is missing")
	// ErrFlooded: a store lists more names under a prefix than any host would write.
	ErrFlooded = errors.New("too many names")
	// ErrInvalid: what was to be written is not valid: a mistake in the program.
	ErrInvalid = errors.New("not valid")
)

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}
