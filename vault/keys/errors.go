package keys

import "errors"

// Errors of this package. None repeats its input.
var (
	// ErrSecretAsRecipient: a secret key was given instead of a recipient. Remove it,
	// and consider it known to everybody who could read that place.
	ErrSecretAsRecipient = errors.New("a secret key was given instead of a recipient (age1...)")
	// ErrMixedRecipients: choose all recipients post-quantum or all classic.
	ErrMixedRecipients = errors.New("post-quantum and classic recipients cannot be mixed: " +
		"whoever breaks the classic one reads what the other protects")
	// ErrBadRecipient: the recipient is malformed or of a kind that is not supported.
	ErrBadRecipient = errors.New("not a usable recipient")
	// ErrNoRecipients: at least one recipient is needed.
	ErrNoRecipients = errors.New("no recipients")
	// ErrNoIdentity: the environment holds no identity.
	ErrNoIdentity = errors.New("no identity: " + EnvIdentity + " is not set")
	// ErrBadIdentity: what was given is not an age identity.
	ErrBadIdentity = errors.New("not a usable age identity")
	// ErrWrongIdentity: none of the identities opens this object; others may.
	ErrWrongIdentity = errors.New("no identity opens it")
	// ErrPlugin: an age plugin is missing, failed, hung or wanted to ask something.
	ErrPlugin = errors.New("age plugin")
	// ErrDamaged: an object is not what its name or its signature promises.
	ErrDamaged = errors.New("damaged")
	// ErrSignature: the signature is not one of this key over these bytes.
	ErrSignature = errors.New("signature does not match")
	// ErrBadKey: a signing key or public key is malformed.
	ErrBadKey = errors.New("not a usable signing key")
	// ErrBadKit: the file is no recovery kit.
	ErrBadKit = errors.New("not a recovery kit")
)
