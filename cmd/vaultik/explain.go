package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"vaultik/actors/backup"
	"vaultik/actors/restore"
	"vaultik/backends"
	"vaultik/config"
	"vaultik/index"
	"vaultik/vault/filter"
	"vaultik/vault/keys"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

// exit is an exit code.
type exit int

// The exit codes; nothing else is ever returned.
const (
	exitDone        exit = 0
	exitFailed      exit = 1
	exitPartial     exit = 3  // done, but some files could not be read or written; they are listed
	exitNoStore     exit = 10 // no store there
	exitBusy        exit = 11
	exitNoIdentity  exit = 12 // no identity fits
	exitDamage      exit = 13
	exitUsage       exit = 64
	exitInterrupted exit = 130
)

// explanation is an error as a user meets it: what and why in one line, one
// thing to do next, and the code for scripts.
type explanation struct {
	Message, Hint string
	Choices       []string // commands to choose from, instead of a hint
	Exit          exit
}

// explain turns any error into its exit code and hint.
func (s *session) explain(err error) explanation {
	code, hint := s.classify(err)
	if he := (*hinted)(nil); errors.As(err, &he) && code != exitInterrupted {
		hint = he.hint
	}
	e := explanation{Message: config.Scrub(err.Error()), Hint: hint, Exit: code}
	if ue := (*usageError)(nil); errors.As(err, &ue) {
		e.Choices = ue.choices
	}
	if ce := (*cloned)(nil); errors.As(err, &ce) {
		e.Choices = s.cloneChoices()
	}
	if ie := (*internalError)(nil); errors.As(err, &ie) {
		s.out.say("this is a bug; please report what follows")
		fmt.Fprintln(s.out.stderr, config.Scrub(ie.stack))
	}
	return e
}

func (s *session) classify(err error) (exit, string) {
	if errors.Is(err, errInterrupted) {
		return exitInterrupted, ""
	}
	if errors.Is(err, backends.ErrUnreachable) { // whatever is made of it: nothing is known of what it has
		return exitFailed, "see whether the store can be reached, then run the same command again: it goes on where it was"
	}
	if code, hint, ok := s.ownErrors(err); ok {
		return code, hint
	}
	if ce := (*config.Error)(nil); errors.As(err, &ce) {
		switch hint := ce.Hint; {
		case errors.Is(err, config.ErrInvalid) && hint == "":
			return exitUsage, "correct that line, then: vaultik config show"
		case errors.Is(err, config.ErrInvalid):
			return exitUsage, hint
		default:
			return exitFailed, hint
		}
	}
	if busy := (*index.BusyError)(nil); errors.As(err, &busy) {
		return exitBusy, busyHint(busy.PID)
	}
	if busy := (*config.BusyError)(nil); errors.As(err, &busy) {
		return exitBusy, busyHint(busy.PID)
	}
	if bad := (*badIndex)(nil); errors.As(err, &bad) {
		return exitFailed, s.badIndexHint(bad)
	}
	if cert := (*tls.CertificateVerificationError)(nil); errors.As(err, &cert) {
		return exitFailed, "" // nothing that was written wrong; the error says what to do
	}
	for _, c := range s.classes() {
		if errors.Is(err, c.is) {
			return c.code, placeHint(c, err)
		}
	}
	if backends.Retryable(err) {
		return exitFailed, "run the same command again: it goes on where it was"
	}
	return exitFailed, ""
}

// ownErrors are those of errors.go.
func (s *session) ownErrors(err error) (exit, string, bool) {
	var (
		usage *usageError
		file  *fileExists
		conf  *configured
		taken *storeTaken
		owner *ownerDiffers
		other *otherStore
		part  *partial
		named *noStoreNamed
		none  *noSnapshot
		bad   *newestBad
		dam   *damage
		alien *notHost
		empty *nothingToSave
		lost  *lostSnapshot
		path  *notInSnapshot
		dir   *badTarget
		zero  *nothingSelected
		blank *emptyStream
		child *commandFailed
		space *restore.SpaceError
		full  *restore.TargetFullError
	)
	switch {
	case errors.As(err, &blank):
		return exitFailed, blank.hint(), true
	case errors.As(err, &child):
		return exitFailed, "run it by itself, and look at its exit status: echo $?", true
	case errors.As(err, &lost):
		return exitDamage, "see which snapshots are whole: " + s.commandHere("verify"), true
	case errors.As(err, &path):
		return exitFailed, path.hint(), true
	case errors.As(err, &dir):
		return exitFailed, "name a directory that this user may write to: --target DIR", true
	case errors.As(err, &space):
		return exitFailed, "make space there, or name another --target; to begin all the same: --no-space-check", true
	case errors.As(err, &full):
		return exitFailed, "make room there; what was restored stays, and the same command restores the rest", true
	case errors.As(err, &zero):
		return exitFailed, "see what it has: " + s.commandHere("ls "+zero.id), true
	case errors.As(err, &alien):
		return exitFailed, "back up to this machine's own store, without --store: vaultik backup PATH", true
	case errors.As(err, &empty):
		return exitFailed, "see which paths are meant: vaultik config show", true
	case errors.As(err, &usage):
		return exitUsage, usageHint(usage), true
	case errors.As(err, &named):
		return exitNoStore, "make a configuration with: vaultik init; or name a store: vaultik --store URL snapshots", true
	case errors.As(err, &file):
		return exitFailed, "name another file, or move it away: mv " + config.Quote(file.path) + " " + config.Quote(file.path+".old"), true
	case errors.As(err, &conf):
		return exitFailed, configuredHint(conf), true
	case errors.As(err, &taken):
		return exitFailed, takenHint(taken), true
	case errors.As(err, &owner):
		return exitDamage, "if the store was made anew, take the fingerprint from its recovery kit: vaultik --store " +
			config.Quote(owner.url) + " --owner SHA256:... snapshots", true
	case errors.As(err, &other):
		return exitDamage, "see whether storage_url is the right one: vaultik config show", true
	case errors.As(err, &part):
		return exitPartial, "", true
	case errors.As(err, &none) && none.err == nil:
		return exitFailed, "see what there is: vaultik snapshots", true
	case errors.As(err, &none):
		return exitDamage, "see what there is: vaultik snapshots", true
	case errors.As(err, &bad) && bad.older != nil:
		return exitDamage, "take the older one: " + bad.again(bad.older.short()), true
	case errors.As(err, &bad):
		return exitDamage, "", true
	case errors.As(err, &dam):
		return exitDamage, "", true
	}
	return 0, "", false
}

func busyHint(pid int) string {
	if pid == 0 {
		return "wait for it to end"
	}
	return "wait for it, or see what it does: ps -fp " + strconv.Itoa(pid)
}

func usageHint(e *usageError) string {
	switch {
	case len(e.choices) > 0:
		return ""
	case e.hint != "":
		return e.hint
	case e.command != "":
		return "see: vaultik help " + e.command
	default:
		return "see: vaultik --help"
	}
}

func configuredHint(e *configured) string {
	if e.leftover {
		return "put the configuration back, or begin anew: mv " + config.Quote(e.dir) + " " + config.Quote(e.dir+".old")
	}
	return "see it with: vaultik config show; a second one needs a directory of its own: vaultik --config DIR/config.yaml init"
}

func takenHint(e *storeTaken) string {
	switch {
	case e.halfMade && e.path != "":
		things := config.Quote(filepath.Join(e.path, "store.json")) + " " + config.Quote(filepath.Join(e.path, "trust"))
		if e.kit != "" {
			things += " " + config.Quote(e.kit)
		}
		return "remove what it left and begin again: rm -r " + things
	case e.halfMade:
		return "remove store.json and trust/ there and begin again"
	case e.isStore:
		return "see what is in it: vaultik --store " + config.Quote(e.url) + " snapshots; for a new store name another place: vaultik init --store URL"
	default:
		return "name an empty or new directory: vaultik init --store URL"
	}
}

// class says how errors of one kind end the program.
type class struct {
	is   error
	code exit
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
	backends.ErrContainerNotFound: "compare bucket and endpoint with the server's; a new store is made by: vaultik init --store URL",
	backends.ErrAuth:              "name a key that the server knows: export AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=..., or s3: credentials: in the configuration",
	backends.ErrPermission:        "let this key read, write, delete and list there",
	backends.ErrConfig:            "",
}

var remoteHints = map[error]string{
	backends.ErrContainerNotFound: "compare remote and path with what is there: rclone lsd REMOTE:PATH; a new store is made by: vaultik init --store URL",
	backends.ErrAuth:              "correct the user, password or key of that remote: rclone config",
	backends.ErrConfig:            "",
}

// classes are tried in order: the first that fits decides.
func (s *session) classes() []class {
	return []class{
		{keys.ErrSecretAsRecipient, exitUsage, "give the recipient (age1...), the public half; it stands in the identity file: grep 'public key' FILE"},
		{keys.ErrMixedRecipients, exitUsage, "give recipients of one kind; make another with: vaultik keygen [--classic]"},
		{keys.ErrBadRecipient, exitUsage, "a recipient begins with age1; make one with: vaultik keygen"},
		{filter.ErrPattern, exitUsage, "correct it there; what patterns mean: vaultik help backup"},
		{keys.ErrNoIdentity, exitNoIdentity, "set it to the secret key: export " + keys.EnvIdentity + "=\"$(grep -v '^#' RECOVERY-KIT)\""},
		{keys.ErrBadIdentity, exitNoIdentity, "set it to the line of the recovery kit that begins with AGE-SECRET-KEY-"},
		{keys.ErrWrongIdentity, exitNoIdentity, "use the recovery kit of this store; its \"# store:\" line has the store's id"},
		{keys.ErrPlugin, exitNoIdentity, ""},
		{backup.ErrForeignWriter, exitFailed, "if this machine was cloned, make it a host of its own: " + s.becomeNewHost()},
		{index.ErrNoSpace, exitFailed, "make space where the index is (index_path): vaultik config show"},
		{snapshot.ErrNoStore, exitNoStore, "see which store is meant: vaultik config show"},
		{backends.ErrContainerNotFound, exitNoStore, "is it mounted? see which store is meant: vaultik config show"},
		{snapshot.ErrNewerFormat, exitFailed, "a newer program made it; see which one this is: vaultik version"},
		{snapshot.ErrTrustRollback, exitDamage, "the store shows an older state than was seen before; look for a complete copy of it"},
		{snapshot.ErrOwnerChanged, exitDamage, ""},
		{snapshot.ErrFork, exitDamage, ""},
		{snapshot.ErrDamaged, exitDamage, ""},
		{keys.ErrSignature, exitDamage, ""},
		{keys.ErrDamaged, exitDamage, ""},
		{page.ErrDamaged, exitDamage, ""},
		{page.ErrNewerFormat, exitFailed, "a newer program made it; see which one this is: vaultik version"},
		{backends.ErrNoSpace, exitFailed, "make space where the store is, then run it again"},
		{backends.ErrReadOnly, exitFailed, "make the store writable, or name another: --store URL"},
		{backends.ErrPermission, exitFailed, "give this user access to the store, or name another: --store URL"},
		{backends.ErrAuth, exitFailed, ""},
		{backends.ErrRemoteNotFound, exitUsage, "see which there are: rclone listremotes; make one with: rclone config"},
		{backends.ErrConfig, exitUsage, "correct the URL or the settings of the store (storage_url, s3, rclone): vaultik config show"},
		{backends.ErrUnsupported, exitFailed, ""},
		{fs.ErrPermission, exitFailed, "look at owner and mode with: ls -ld"},
		{syscall.ENOSPC, exitFailed, "make space on that file system, then run it again"},
	}
}
