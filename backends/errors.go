package backends

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// What can go wrong in a store. Test with errors.Is; the ones that have a
// counterpart in io/fs also match that.
var (
	// ErrNotFound: there is no such object. Matches fs.ErrNotExist.
	ErrNotFound error = &sentinel{"object not found", fs.ErrNotExist}
	// ErrContainerNotFound: the directory or bucket itself is missing: not
	// created yet, not mounted, misspelt. Matches fs.ErrNotExist, not ErrNotFound.
	ErrContainerNotFound error = &sentinel{"store not found", fs.ErrNotExist}
	// ErrExists: IfAbsent, and the key is taken. Read it and compare. Matches fs.ErrExist.
	ErrExists error = &sentinel{"object exists", fs.ErrExist}
	// ErrPermission: this user may not. Matches fs.ErrPermission.
	ErrPermission error = &sentinel{"permission denied", fs.ErrPermission}
	// ErrReadOnly: opened or mounted for reading only. Matches fs.ErrPermission.
	ErrReadOnly error = &sentinel{"store is read-only", fs.ErrPermission}
	// ErrClosed: the backend was closed. Matches fs.ErrClosed.
	ErrClosed error = &sentinel{"store is closed", fs.ErrClosed}
	// ErrUnsupported: this store cannot do that. Matches errors.ErrUnsupported.
	ErrUnsupported error = &sentinel{"not supported by this store", errors.ErrUnsupported}
	// ErrClock: the store does not accept the time of this machine. Matches ErrAuth.
	ErrClock error = &sentinel{"clock differs from the store's", ErrAuth}
	// ErrToken: the session token has expired, or is none. Matches ErrAuth.
	ErrToken error = &sentinel{"session token refused", ErrAuth}
	// ErrNoTarget: a remote that leads to another one does not say to which. Matches ErrConfig.
	ErrNoTarget error = &sentinel{"remote without a target", ErrConfig}

	// ErrRemoteNotFound: the configured name of a remote is unknown.
	ErrRemoteNotFound = errors.New("remote not configured")
	// ErrInvalidRange: the range does not lie within the object.
	ErrInvalidRange = errors.New("range outside the object")
	// ErrAuth: the store does not accept the credentials.
	ErrAuth = errors.New("credentials refused")
	// ErrArchived: the object is there, but must be brought back before it can be read.
	ErrArchived = errors.New("object is archived")
	// ErrNoSpace: the store or the user's quota is full.
	ErrNoSpace = errors.New("no space left in the store")
	// ErrLocked: the object is under retention and stays.
	ErrLocked = errors.New("object is locked")
	// ErrChecksum: the store received other bytes than were sent.
	ErrChecksum = errors.New("checksum mismatch")
	// ErrInvalidKey: not a name for an object, see CheckKey.
	ErrInvalidKey = errors.New("invalid object name")
	// ErrConfig: the URL or the settings cannot work; retrying is pointless.
	ErrConfig = errors.New("invalid storage configuration")
	// ErrTooLarge: the object does not fit in memory as asked.
	ErrTooLarge = errors.New("object too large to read whole")
	// ErrUnreachable: the store has not answered anybody for as long as was agreed.
	ErrUnreachable = errors.New("store is unreachable")
	// ErrSlow: a transfer moves, but so slowly that it would hardly end.
	ErrSlow = errors.New("store is too slow")
	// ErrSourceSize: a Source had more or fewer bytes than it said.
	ErrSourceSize = errors.New("source size does not match")
)

type sentinel struct {
	msg    string
	parent error
}

func (s *sentinel) Error() string        { return s.msg }
func (s *sentinel) Is(target error) bool { return target == s.parent }

// OpError is the error of one operation of a backend.
type OpError struct {
	Op         string        // "put", "get", "stat", "delete", "list", "info", "open"
	Key        string        // object or prefix; may be empty
	Backend    string        // Info.Location, without secrets
	Attempt    int           // which attempt this was, from 1; 0 if none were counted
	Retryable  bool          // the same call may succeed later
	RetryAfter time.Duration // what the store asked to wait; 0: nothing asked
	Err        error
}

// Error names the operation, the object and the reason: put "h/x": no space left.
func (e *OpError) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	switch {
	case e.Key != "":
		fmt.Fprintf(&b, " %q", e.Key)
	case e.Backend != "":
		b.WriteString(" " + e.Backend)
	}
	if e.Attempt > 1 {
		fmt.Fprintf(&b, " (attempt %d)", e.Attempt)
	}
	return b.String() + ": " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *OpError) Unwrap() error { return e.Err }

// Retryable reports whether the same call may succeed later.
func Retryable(err error) bool {
	var op *OpError
	return errors.As(err, &op) && op.Retryable
}

// WithKind gives err a kind, one of the sentinels of this package, without
// changing its text: errors.Is finds both.
func WithKind(kind, err error) error { return &kindError{kind, err} }

type kindError struct{ kind, err error }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

// SourceError is an error that came from a Source, not from the store. What it
// wraps (a missing file, say) tells nothing about the store.
type SourceError struct{ Err error }

func (e *SourceError) Error() string { return "read source: " + e.Err.Error() }

// Unwrap returns the source's error.
func (e *SourceError) Unwrap() error { return e.Err }
