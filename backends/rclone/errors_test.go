package rclone

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/fserrors"
	"github.com/rclone/rclone/lib/pacer"

	"vaultik/backends"
)

// apiError is how providers say the status of HTTP.
type apiError struct {
	Message    string
	StatusCode int
}

func (e *apiError) Error() string { return e.Message }

type embedded struct{ *apiError }

func (embedded) Error() string { return "embedded" }

func TestFail(t *testing.T) {
	b := &Backend{location: "rclone://r/x"}
	for _, c := range []struct {
		op    string
		err   error
		kind  error
		again bool
	}{
		{"get", fs.ErrorObjectNotFound, backends.ErrNotFound, false},
		{"stat", fmt.Errorf("stat: %w", fs.ErrorDirNotFound), backends.ErrNotFound, false},
		{"put", fs.ErrorDirNotFound, nil, true},
		{"put", fs.ErrorIsDir, backends.ErrInvalidKey, false},
		{"put", fs.ErrorPermissionDenied, backends.ErrPermission, false},
		{"put", os.ErrPermission, backends.ErrPermission, false},
		{"put", &apiError{"no", 403}, backends.ErrPermission, false},
		{"put", &apiError{"no", 401}, backends.ErrAuth, false},
		{"open", &apiError{"RequestTimeTooSkewed: the difference is too large", 403}, backends.ErrClock, false},
		{"put", &apiError{"api error ExpiredToken: it has expired", 400}, backends.ErrToken, false},
		{"open", errors.New("alias can't point to an empty remote - check the value of the remote setting"), backends.ErrNoTarget, false},
		{"put", &apiError{"no", 507}, backends.ErrNoSpace, false},
		{"put", &apiError{"The user's Drive storage quota has been exceeded: storageQuotaExceeded", 403}, backends.ErrNoSpace, false},
		{"put", &apiError{"userRateLimitExceeded", 403}, nil, true},
		{"put", &apiError{"wait", 429}, nil, true},
		{"put", &apiError{"bad request", 400}, nil, false},
		{"put", &apiError{"oops", 500}, nil, true},
		{"put", &apiError{"locked by another", 423}, nil, true},
		{"put", embedded{}, nil, true},
		{"put", fmt.Errorf("a: %w", errors.Join(errors.New("b"), &apiError{"no", 403})), backends.ErrPermission, false},
		{"put", &textproto.Error{Code: 552, Msg: "Exceeded storage allocation"}, backends.ErrNoSpace, false},
		{"open", &textproto.Error{Code: 530, Msg: "Login incorrect."}, backends.ErrAuth, false},
		{"get", &textproto.Error{Code: 550, Msg: "something"}, nil, true},
		{"put", &os.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}, backends.ErrNoSpace, false},
		{"put", &os.PathError{Op: "write", Path: "/x", Err: syscall.EROFS}, backends.ErrReadOnly, false},
		{"delete", errors.New("AccessDenied: object is WORM protected"), backends.ErrLocked, false},
		{"open", errors.New("ssh: handshake failed: ssh: unable to authenticate, attempted methods [none password]"), backends.ErrAuth, false},
		{"open", errors.New("couldn't connect to ssh-agent: SSH agent requested but SSH_AUTH_SOCK not-specified"), backends.ErrAuth, false},
		{"open", errors.New("ssh: handshake failed: knownhosts: key mismatch"), nil, false},
		{"open", errors.New("dial tcp: lookup h: no such host"), nil, true},
		{"open", errors.New("need to configure something"), nil, false},
		{"put", errors.New("corrupted on transfer: sizes differ"), backends.ErrChecksum, true},
		{"put", fserrors.FatalError(errors.New("over")), nil, false},
		{"put", fserrors.NoRetryError(errors.New("over")), nil, false},
		{"put", fs.ErrorCantUploadEmptyFiles, backends.ErrUnsupported, false},
		{"put", context.Canceled, context.Canceled, false},
		{"put", &backends.SourceError{Err: fs.ErrorObjectNotFound}, nil, false},
		{"put", errors.New("anything"), nil, true},
	} {
		err := b.fail(c.op, "k", c.err)
		if c.kind != nil && !errors.Is(err, c.kind) || backends.Retryable(err) != c.again || !errors.Is(err, c.err) {
			t.Errorf("%s %v: %v, retryable %v; want %v, %v", c.op, c.err, err, backends.Retryable(err), c.kind, c.again)
		}
		if c.kind == nil {
			for _, kind := range append(own, backends.ErrNoSpace, backends.ErrAuth, backends.ErrPermission, backends.ErrLocked) {
				if errors.Is(err, kind) {
					t.Errorf("%s %v is %v", c.op, c.err, kind)
				}
			}
		}
	}
}

func TestFail_RetryAfter(t *testing.T) {
	b := &Backend{}
	for _, err := range []error{
		pacer.RetryAfterError(errors.New("busy"), time.Minute),
		fmt.Errorf("put: %w", fserrors.NewErrorRetryAfter(time.Minute)),
	} {
		var op *backends.OpError
		if !errors.As(b.fail("put", "k", err), &op) || op.RetryAfter < 50*time.Second || op.RetryAfter > time.Minute {
			t.Errorf("%v: %+v", err, op)
		}
	}
}
