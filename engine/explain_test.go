package engine

import (
	"errors"
	"strings"
	"testing"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/index"
	"vaultik/internal/fault"
)

// TestExitCodes: the table of the documentation is the table of the program.
func TestExitCodes(t *testing.T) {
	for _, c := range classes {
		if got, _ := classify(c.is); got != c.code {
			t.Errorf("%v: exit %d, want %d", c.is, got, c.code)
		}
	}
	for err, want := range map[error]fault.Code{
		errors.New("x"):           fault.Failed,
		fault.Incomplete("x"):     fault.Partial,
		fault.Damaged("x"):        fault.Damage,
		&fault.UsageError{}:       fault.Usage,
		ErrInterrupted:            fault.Interrupted,
		&noStoreNamed{}:           fault.NoStore,
		&ownerDiffers{}:           fault.Damage,
		&staleTrust{}:             fault.Damage,
		&config.Error{}:           fault.Failed,
		config.ErrInvalid:         fault.Failed,
		&badIndex{errors.New("")}: fault.Failed,
	} {
		if got, _ := classify(err); got != want {
			t.Errorf("%T: exit %d, want %d", err, got, want)
		}
	}
}

// A hint speaks of what is wrong, not of all that could be: other keys do not set a clock.
func TestExplain_Store(t *testing.T) {
	for _, c := range []struct {
		backend string
		kind    error
		hint    string
		exit    fault.Code
	}{
		{"s3://bucket/x", backends.ErrAuth, "use a key that the server accepts", fault.Failed},
		{"s3://bucket/x", backends.ErrClock, "set the clock", fault.Failed},
		{"rclone://r/x", backends.ErrClock, "set the clock", fault.Failed},
		{"s3://bucket/x", backends.ErrToken, "AWS_SESSION_TOKEN=", fault.Failed},
		{"rclone://r/x", backends.ErrToken, "a new session token", fault.Failed},
		{"rclone://r/x", backends.ErrAuth, "correct the user, password or key", fault.Failed},
		{"rclone://r/x", backends.ErrNoTarget, "rclone config update REMOTE remote=", fault.Usage},
		{"rclone://r/x", backends.ErrRemoteNotFound, "rclone listremotes", fault.Usage},
	} {
		e := Explain(&backends.OpError{Op: "open", Backend: c.backend,
			Err: backends.WithKind(c.kind, errors.New("why"))})
		if !strings.Contains(e.Hint, c.hint) || e.Exit != c.exit {
			t.Errorf("%s %v: exit %d, hint %q; want %d, %q", c.backend, c.kind, e.Exit, e.Hint, c.exit, c.hint)
		}
	}
}

// What is joined ends as the worst of it does: a job that is done but for some files is
// not done if another thing failed.
func TestExplain_Joined(t *testing.T) {
	partial, failed := fault.WithHint(fault.Incomplete("p"), "hint of p"),
		&nothingToSave{err: errors.New("n")}
	for _, err := range []error{errors.Join(partial, failed), errors.Join(failed, partial)} {
		if e := Explain(err); e.Exit != fault.Failed {
			t.Errorf("%+v", e)
		}
	}
	for _, plain := range []error{errors.New("x"), index.ErrNoSpace} { // they carry no code
		for _, err := range []error{errors.Join(partial, plain), errors.Join(plain, partial)} {
			if e := Explain(err); e.Exit != fault.Failed || e.Hint == "hint of p" {
				t.Errorf("%v: %+v", err, e)
			}
		}
	}
	if e := Explain(errors.Join(errors.New("x"), fault.Misuse("", "y"))); e.Exit != fault.Usage {
		t.Errorf("%+v", e)
	}
	if e := Explain(errors.Join(partial, partial)); e.Exit != fault.Partial ||
		e.Hint != "hint of p" {
		t.Errorf("%+v", e)
	}
}
