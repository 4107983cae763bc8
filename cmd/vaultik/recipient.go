package main

import (
	"context"
	"os"

	"golang.org/x/term"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/fault"
)

type recipientCmd struct {
	Sign recipientSignCmd `cmd:"" help:"Have the owner sign who can read the backups of this host."`
}

// ownerFlags are of commands by which the owner of a store decides.
type ownerFlags struct {
	Kit string `required:"" help:"The recovery kit, which holds the owner's key." placeholder:"FILE"`
	Yes bool   `help:"Do not ask."`
}

// check refuses a question that nobody could answer.
func (f *ownerFlags) check(command string) error {
	if f.Yes || term.IsTerminal(int(os.Stdin.Fd())) {
		return nil
	}
	return &fault.UsageError{Command: command,
		Msg:    command + " asks before it signs, but there is no terminal",
		Advice: "if you know what is signed, add --yes"}
}

type recipientSignCmd struct{ ownerFlags }

func (recipientSignCmd) Help() string {
	return `Shows the recipients (age_recipients) in the configuration, and signs them with the
owner's key from the recovery kit. Backups are encrypted to the signed recipients only:
if somebody else changes them, a backup is refused.`
}

func (c *recipientSignCmd) Run(ctx context.Context, s *session) (err error) {
	if err := c.check("recipient sign"); err != nil {
		return err
	}
	o := engine.OwnerOptions{Kit: c.Kit}
	if !c.Yes {
		o.Agree = func() bool {
			return s.ask("may all of these, and nobody else, read the backups of this host?")
		}
	}
	s.sum.Totals, err = s.engine.SignRecipients(ctx, o, s)
	return err
}

func (s *session) showRecipients(e events.Recipients) {
	for _, r := range e.Recipients {
		note := ""
		if r == e.Kit {
			note = " (of this recovery kit)"
		}
		s.out.result("recipient: %s%s", shortKey(r), note)
	}
	if len(e.Recipients) == 0 {
		s.out.result("recipients: not known here")
	}
	s.out.result("sum: %s", e.Sum)
}

// shortKey is a recipient so that it can be compared by eye: a post-quantum one has 2,000
// characters.
func shortKey(r string) string {
	if len(r) <= 80 {
		return r
	}
	return r[:24] + "..." + r[len(r)-16:]
}
