package engine

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"syscall"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/index"
	"vaultik/internal/atomicfile"
	"vaultik/internal/fault"
	"vaultik/vault/blob"
	"vaultik/vault/filter"
	"vaultik/vault/keys"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

// Explanation is an error as a user meets it: what and why in one line, one thing to do
// next, and the code for scripts. Secrets are blacked out.
type Explanation struct {
	Message, Hint string
	Choices       []string // commands to choose from, instead of a hint
	Exit          fault.Code
}

// Explain says of any error how it ends a program, and what to do next. Errors that the
// engine makes carry both; those of the rooms below do not know the commands of Vaultik.
func Explain(err error) Explanation {
	worst := err
	if other := notPartial(err); other != nil {
		worst = other
	}
	code, hint := classify(worst)
	if own, ok := fault.HintOf(worst); ok && code != fault.Interrupted {
		hint = own
	}
	e := Explanation{Message: config.Scrub(fault.Text(err)), Hint: hint, Exit: code}
	if c := fault.Chooser(nil); errors.As(err, &c) {
		e.Choices = c.Choices()
	}
	return e
}

// notPartial is what an error says beside that something is only incomplete, nil for nothing.
func notPartial(err error) error {
	if code, _, _ := fault.CodeOf(err); code != fault.Partial {
		return err
	}
	switch e := err.(type) { //nolint:errorlint // this is a walk through the causes itself
	case fault.Exiter:
	case interface{ Unwrap() error }:
		return notPartial(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, cause := range e.Unwrap() {
			if other := notPartial(cause); other != nil {
				return other
			}
		}
	}
	return nil
}

func classify(err error) (fault.Code, string) {
	if errors.Is(err, ErrInterrupted) {
		return fault.Interrupted, ""
	}
	if errors.Is(err, backends.ErrUnreachable) {
		// Whatever the error was wrapped in: an unreachable store says nothing about its contents.
		return fault.Failed,
			"check that the store is reachable, then rerun the same command to resume"
	}
	if code, by, ok := fault.CodeOf(err); ok {
		if h, is := by.(fault.Hinter); is {
			return code, h.Hint()
		}
		return code, ""
	}
	if ce := (*config.Error)(nil); errors.As(err, &ce) {
		return ofConfig(ce)
	}
	if busy := (*index.BusyError)(nil); errors.As(err, &busy) {
		return fault.Busy, busyHint(busy.PID)
	}
	if busy := (*config.BusyError)(nil); errors.As(err, &busy) {
		return fault.Busy, hostBusyHint(busy.PID)
	}
	return ofClass(err)
}

func ofConfig(e *config.Error) (fault.Code, string) {
	switch {
	case !errors.Is(e, config.ErrInvalid):
		return fault.Failed, e.Hint
	case e.Hint == "":
		return fault.Usage, "correct that line, then: vaultik config show"
	}
	return fault.Usage, e.Hint
}

func busyHint(pid int) string {
	if pid == 0 {
		return "wait for it to end"
	}
	return "wait for it, or see what it is: ps -fp " + strconv.Itoa(pid)
}

func hostBusyHint(pid int) string {
	hint := "wait for it: vaultik backup --wait 1h"
	if pid == 0 {
		return hint
	}
	return hint + "; or see what it is: ps -fp " + strconv.Itoa(pid)
}

func ofClass(err error) (fault.Code, string) {
	if cert := (*tls.CertificateVerificationError)(nil); errors.As(err, &cert) {
		return fault.Failed, "" // nothing that was written wrong; the error says what to do
	}
	for _, c := range classes {
		if errors.Is(err, c.is) {
			return c.code, placeHint(c, err)
		}
	}
	if backends.Retryable(err) {
		return fault.Failed, "rerun the same command to resume"
	}
	return fault.Failed, ""
}

// class says how errors of one kind end the program.
type class struct {
	is   error
	code fault.Code
	hint string
}

// placeHint is the hint of a class, in other words where the store is a bucket or
// behind rclone: it is not mounted, has no mode, and its errors of settings say what
// to write.
func placeHint(c class, err error) string {
	op := (*backends.OpError)(nil)
	if !errors.As(err, &op) {
		return c.hint
	}
	var hints map[error]string
	switch {
	case strings.HasPrefix(op.Backend, "s3://"):
		hints = bucketHints
	case strings.HasPrefix(op.Backend, "rclone"):
		hints = remoteHints
	}
	if hint, ok := hints[c.is]; ok {
		return hint
	}
	return c.hint
}

var bucketHints = map[error]string{
	backends.ErrContainerNotFound: "check bucket and endpoint; " +
		"to create a new store: vaultik init --store URL",
	backends.ErrAuth: "use a key that the server accepts: export AWS_ACCESS_KEY_ID=... " +
		"AWS_SECRET_ACCESS_KEY=..., or s3: credentials: in the configuration",
	backends.ErrToken: "get a new session token and use it with its key: export " +
		"AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... AWS_SESSION_TOKEN=...",
	backends.ErrPermission: "allow this key to read, write, delete and list there",
	backends.ErrConfig:     "",
}

var remoteHints = map[error]string{
	backends.ErrContainerNotFound: "check remote and path: rclone lsd REMOTE:PATH; " +
		"to create a new store: vaultik init --store URL",
	backends.ErrToken:  "give that remote a new session token, with its key: rclone config",
	backends.ErrAuth:   "correct the user, password or key of that remote: rclone config",
	backends.ErrConfig: "",
}

// thaw is what to do about archived objects.
const thaw = "bring the archived objects back first (S3: aws s3api restore-object)"

// earlierKey is what to do about blobs of before the recipients were changed, which newer
// snapshots refer to.
const earlierKey = "if the recipients were changed, give the earlier key as well: export " +
	keys.EnvIdentity + "=\"$(grep -hv '^#' RECOVERY-KIT EARLIER-KEY)\""

// classes are tried in order: the first that fits decides.
var classes = []class{
	{keys.ErrSecretAsRecipient, fault.Usage,
		"give the recipient (age1...), the public half; it is in the identity file: " +
			"grep 'public key' FILE"},
	{keys.ErrMixedRecipients, fault.Usage,
		"give recipients of one kind; generate another: vaultik keygen [--classic]"},
	{keys.ErrBadRecipient, fault.Usage,
		"a recipient begins with age1; generate one: vaultik keygen"},
	{filter.ErrPattern, fault.Usage,
		"correct it; for the syntax of patterns, see: vaultik help backup"},
	{keys.ErrNoIdentity, fault.NoIdentity, "set it to the secret key: export " + keys.EnvIdentity +
		"=\"$(grep -v '^#' RECOVERY-KIT)\""},
	{keys.ErrBadIdentity, fault.NoIdentity,
		"set it to the line of the recovery kit that begins with AGE-SECRET-KEY-"},
	{blob.ErrNoIdentity, fault.NoIdentity, earlierKey},
	{keys.ErrWrongIdentity, fault.NoIdentity,
		"use the recovery kit whose \"# store:\" line has this store's id"},
	{keys.ErrPlugin, fault.NoIdentity, ""},
	{index.ErrNoSpace, fault.Failed,
		"free some space where the index is (index_path): vaultik config show"},
	{snapshot.ErrNoStore, fault.NoStore, "check storage_url: vaultik config show"},
	{backends.ErrContainerNotFound, fault.NoStore,
		"is it mounted? check storage_url: vaultik config show"},
	{snapshot.ErrNewerFormat, fault.Failed,
		"it needs a newer version of vaultik; see which one this is: vaultik version"},
	{snapshot.ErrTrustRollback, fault.Damage, ""},
	{snapshot.ErrTrustFork, fault.Damage, ""},
	{snapshot.ErrGCRollback, fault.Damage,
		putBack + "; only if there is none: " +
			"vaultik store accept-rollback --kit FILE"},
	{snapshot.ErrFlooded, fault.Damage, "remove from that prefix whatever no host of yours wrote"},
	{snapshot.ErrOwnerChanged, fault.Damage, ""},
	{snapshot.ErrFork, fault.Damage, ""},
	{snapshot.ErrDamaged, fault.Damage, ""},
	{keys.ErrSignature, fault.Damage, ""},
	{keys.ErrDamaged, fault.Damage, ""},
	{page.ErrDamaged, fault.Damage, ""},
	{page.ErrNewerFormat, fault.Failed,
		"it needs a newer version of vaultik; see which one this is: vaultik version"},
	{backends.ErrSlow, fault.Failed, "if the line is that slow: --slow-store"},
	{backends.ErrArchived, fault.Failed, thaw + ", then rerun the command"},
	{atomicfile.ErrSymlink, fault.Failed, "in a store no symbolic link is followed: replace it " +
		"by what it points to, or mount that there (mount --bind), or remove it if nobody of " +
		"yours made it; then rerun the command"},
	{backends.ErrNoSpace, fault.Failed,
		"free some space in the store, then rerun the command to resume"},
	{backends.ErrReadOnly, fault.Failed, "make the store writable, or use another: --store URL"},
	{backends.ErrPermission, fault.Failed,
		"give this user access to the store, or use another: --store URL"},
	{backends.ErrClock, fault.Failed, "set the clock of this machine, for example: " +
		"timedatectl set-ntp true; then rerun the command"},
	{backends.ErrToken, fault.Failed, "get a new session token, then rerun the command"},
	{backends.ErrAuth, fault.Failed, ""},
	{backends.ErrRemoteNotFound, fault.Usage,
		"list the remotes: rclone listremotes; add one: rclone config"},
	{backends.ErrNoTarget, fault.Usage,
		"say where it leads: rclone config update REMOTE remote=OTHER:PATH"},
	{backends.ErrConfig, fault.Usage,
		"correct the URL or the settings of the store (storage_url, s3, rclone): " +
			"vaultik config show"},
	{backends.ErrUnsupported, fault.Failed, ""},
	{fs.ErrPermission, fault.Failed, "check owner and mode: ls -ld"},
	{syscall.ENOSPC, fault.Failed, "free some space on that file system, then rerun the command"},
	{syscall.EDQUOT, fault.Failed,
		"free some space within the quota there, or raise it, then rerun the command"},
}
