package rclone

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	iofs "io/fs"
	"net"
	"net/textproto"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/fserrors"
	"github.com/rclone/rclone/lib/pacer"

	"vaultik/backends"
	"vaultik/internal/platform"
)

// fail makes err the error of an operation, nil if it is nil.
func (b *Backend) fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	e := &backends.OpError{Op: op, Key: key, Backend: b.location, Err: err}
	var src *backends.SourceError
	if errors.As(err, &src) || errors.Is(err, backends.ErrSourceSize) {
		return e // says nothing about the store
	}
	kind := kindOf(op, err)
	if kind != nil && !errors.Is(err, kind) {
		e.Err = backends.WithKind(kind, err)
	}
	e.Retryable = retryable(op, kind, err)
	if e.Retryable {
		e.RetryAfter = retryAfter(err)
	}
	return e
}

// own are the kinds that this package gives to errors by itself.
var own = []error{
	backends.ErrNotFound, backends.ErrContainerNotFound, backends.ErrRemoteNotFound, backends.ErrConfig, backends.ErrUnsupported,
	backends.ErrInvalidKey, backends.ErrInvalidRange, backends.ErrReadOnly, backends.ErrClosed, backends.ErrChecksum,
}

// kindOf says which of the errors of package backends err is, nil if none. What
// rclone has no error for is told by the status of HTTP or FTP, and last by words.
func kindOf(op string, err error) error {
	for _, kind := range own {
		if errors.Is(err, kind) {
			return kind
		}
	}
	status, text := statusOf(err), strings.ToLower(err.Error())
	switch {
	case status == 507 || status == 452 || status == 552 || platform.NoSpace(err) || has(text, noSpace):
		return backends.ErrNoSpace
	case has(text, tooMany):
		return nil
	case has(text, archived):
		return backends.ErrArchived
	case has(text, locked):
		return backends.ErrLocked
	case has(text, clock):
		return backends.ErrClock
	case has(text, token):
		return backends.ErrToken
	case status == 401 || status == 530 || has(text, auth):
		return backends.ErrAuth
	case status == 403 || errors.Is(err, fs.ErrorPermissionDenied) || errors.Is(err, iofs.ErrPermission) || has(text, permission):
		return backends.ErrPermission
	case errors.Is(err, syscall.EROFS) || has(text, readOnly):
		return backends.ErrReadOnly
	case errors.Is(err, fs.ErrorCantUploadEmptyFiles), errors.Is(err, fs.ErrorNotImplemented):
		return backends.ErrUnsupported
	case strings.HasPrefix(text, "corrupted on transfer") || has(text, checksum):
		return backends.ErrChecksum
	case has(text, noTarget):
		return backends.ErrNoTarget
	case errors.Is(err, fs.ErrorListBucketRequired), has(text, settingBad):
		return backends.ErrConfig
	case (op == "get" || op == "stat") && absent(err):
		return backends.ErrNotFound
	case op == "put" && (errors.Is(err, fs.ErrorIsDir) || errors.Is(err, fs.ErrorIsFile) || errors.Is(err, fs.ErrorNotAFile)):
		return backends.ErrInvalidKey
	}
	return nil
}

// What providers say in their own words, in lower case.
var (
	noSpace = []string{
		"no space left", "disk quota", "quota exceeded", "quotaexceeded", "quota_exceeded", "quotalimitreached", "over quota",
		"insufficient storage", "insufficientstorage", "insufficient_space", "storage_cap_exceeded", "not enough space", "exceeded storage",
	}
	tooMany  = []string{"ratelimitexceeded", "rate limit", "too many requests", "slowdown", "slow down"}
	archived = []string{"invalidobjectstate", "blobarchived", "not valid for the object's storage class"}
	locked   = []string{"worm protected", "object lock", "objectlocked", "under retention", "retention period"}
	clock    = []string{"requesttimetooskewed", "requestexpired"}
	token    = []string{"expiredtoken", "invalidtoken", "tokenrefreshrequired"}
	auth     = []string{
		"unable to authenticate", "ssh agent requested", "authentication failed", "login incorrect", "401 unauthorized", "invalidaccesskeyid", "signaturedoesnotmatch",
		"invalid_grant", "invalid_client", "expired_access_token", "couldn't fetch token", "empty token found",
	}
	permission = []string{"permission denied", "access denied", "accessdenied", "403 forbidden", "insufficient permissions"}
	readOnly   = []string{"read-only file system", "read only file system"}
	checksum   = []string{"baddigest", "hash mismatch", "checksum mismatch"}
	noTarget   = []string{"check the value of the remote setting"} // of alias, crypt, ...
	settingBad = []string{"couldn't parse config item", "failed to read --ca-cert", "failed to add certificates"}
)

func has(text string, words []string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// absent reports whether err says that there is no object of a name: nothing at
// all, or a directory.
func absent(err error) bool {
	return errors.Is(err, fs.ErrorObjectNotFound) || errors.Is(err, fs.ErrorDirNotFound) || errors.Is(err, fs.ErrorIsDir) ||
		errors.Is(err, fs.ErrorNotAFile) || errors.Is(err, iofs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// retryable: what a store did not say for good may be otherwise later. While a
// store is opened only trouble of the network is like that; the rest is mostly a
// setting.
func retryable(op string, kind, err error) bool {
	var unknownCA x509.UnknownAuthorityError
	var badName x509.HostnameError
	var badCert x509.CertificateInvalidError
	switch {
	case errors.Is(err, context.Canceled):
		return false
	case errors.Is(kind, backends.ErrChecksum), errors.Is(err, errChanged), errors.Is(err, errVanished):
		return true
	case kind != nil, fserrors.IsFatalError(err), fserrors.IsNoRetryError(err):
		return false
	case errors.As(err, &unknownCA), errors.As(err, &badName), errors.As(err, &badCert), strings.Contains(err.Error(), "knownhosts: "):
		return false
	}
	status := statusOf(err)
	switch {
	case status == 408 || status == 423 || status == 425 || status == 429 || status >= 500:
		return true
	case status >= 400:
		return has(strings.ToLower(err.Error()), tooMany)
	case op != "open":
		return true
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || fserrors.IsRetryError(err) || fserrors.ShouldRetry(err) ||
		has(strings.ToLower(err.Error()), []string{"connection refused", "connection reset", "no such host", "i/o timeout", "dial tcp"})
}

func retryAfter(err error) time.Duration {
	if d, ok := pacer.IsRetryAfter(err); ok {
		return d
	}
	if t := fserrors.RetryAfterErrorTime(err); !t.IsZero() {
		return max(0, time.Until(t))
	}
	return 0
}

// statusOf finds the status of HTTP or FTP in an error, 0 if there is none. Each
// provider has a type of its own for it, and importing them would link them all:
// so it looks for a field of the usual names.
func statusOf(err error) int {
	switch e := err.(type) { //nolint:errorlint // each error of the chain is looked at in turn
	case nil:
		return 0
	case *textproto.Error:
		if e.Code == 450 || e.Code == 550 { // FTP: no such file, or some other reason
			return 0
		}
		return e.Code
	case interface{ HTTPStatusCode() int }:
		return e.HTTPStatusCode()
	case interface{ Unwrap() []error }:
		for _, next := range e.Unwrap() {
			if s := statusOf(next); s != 0 {
				return s
			}
		}
		return 0
	}
	v := reflect.Indirect(reflect.ValueOf(err))
	if v.Kind() == reflect.Struct {
		for _, name := range []string{"StatusCode", "HTTPStatusCode", "HttpStatusCode", "Code", "Status"} {
			// Not that of an embedded struct, which may be nil.
			if at, ok := v.Type().FieldByName(name); ok && len(at.Index) == 1 {
				if f := v.Field(at.Index[0]); f.CanInt() && f.Int() >= 400 && f.Int() < 600 {
					return int(f.Int())
				}
			}
		}
	}
	return statusOf(errors.Unwrap(err))
}
