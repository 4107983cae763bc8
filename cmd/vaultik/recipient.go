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
	List   recipientListCmd   `cmd:"" help:"Print for whom this host encrypts its backups."`
	Add    recipientAddCmd    `cmd:"" help:"With the recovery kit: encrypt to another key as well."`
	Remove recipientRemoveCmd `cmd:"" help:"With the recovery kit: no longer encrypt to a key."`
	Rewrap recipientRewrapCmd `cmd:"" help:"With a secret key: let added recipients read what was saved before."`
	Sign   recipientSignCmd   `cmd:"" help:"Have the owner sign who can read the backups of this host."`
}

type recipientListCmd struct {
	Kit string `help:"Print the recipient of this recovery kit instead; no configuration is needed." placeholder:"FILE"`
}

func (recipientListCmd) Help() string {
	return `Prints the recipients (age_recipients) in the configuration, one a line. It fails if the
owner has signed others.`
}

func (c recipientListCmd) Run(ctx context.Context, s *session) error {
	res, err := s.engine.ListRecipients(ctx, c.Kit, s)
	s.sum.Totals = res.Totals
	if len(res.Recipients.Recipients) > 0 {
		s.out.event(res.Recipients)
	}
	for _, r := range res.Recipients.Recipients {
		s.out.result("%s", r)
	}
	return err
}

// recipientsArg are recipients on the command line, and who decides.
type recipientsArg struct {
	Recipients []string `arg:"" name:"recipient" help:"Recipient, age1..." placeholder:"AGE1..."`
	ownerFlags
}

// options are those of the engine; question is what the owner is asked.
func (c *recipientsArg) options(s *session, question string) engine.RecipientOptions {
	o := engine.RecipientOptions{OwnerOptions: engine.OwnerOptions{Kit: c.Kit},
		Recipients: c.Recipients}
	if !c.Yes {
		o.Agree = func() bool { return s.ask(question) }
	}
	return o
}

// mayRead is what the owner is asked about recipients.
const mayRead = "may all of these, and nobody else, read the backups of this host?"

type recipientAddCmd struct{ recipientsArg }

func (recipientAddCmd) Help() string {
	return `Adds recipients to the configuration, shows them all, and signs them with the owner's
key from the recovery kit: the next backup is for them as well. With a secret key that reads
the backups in VAULTIK_AGE_SECRET_KEY the keys of earlier backups are wrapped for them, too,
so that they read all of it; without one, vaultik recipient rewrap does that later.`
}

func (c *recipientAddCmd) Run(ctx context.Context, s *session) (err error) {
	if err := c.check("recipient add"); err != nil {
		return err
	}
	s.sum.Totals, err = s.engine.AddRecipients(ctx, c.options(s, mayRead), s)
	return err
}

type recipientRemoveCmd struct{ recipientsArg }

func (recipientRemoveCmd) Help() string {
	return `Removes recipients from the configuration, shows those that are left, and signs them
with the owner's key from the recovery kit.

This takes nothing back. Whoever has the key of a removed recipient can read everything
that was saved before, also where newer snapshots share it, as long as the store has it.
What is new after the next backup, that key does not open. If the key was stolen, treat
all that was saved as known to the thief.`
}

func (c *recipientRemoveCmd) Run(ctx context.Context, s *session) (err error) {
	if err := c.check("recipient remove"); err != nil {
		return err
	}
	s.sum.Totals, err = s.engine.RemoveRecipients(ctx, c.options(s, mayRead), s)
	return err
}

type recipientRewrapCmd struct {
	Recipient []string `sep:"none" help:"A recipient that the owner has signed, if neither a snapshot nor the configuration names it; may be repeated, and all of a host are needed." placeholder:"AGE1..."`
}

func (recipientRewrapCmd) Help() string {
	return `Wraps the keys of earlier backups for the recipients that the owner has signed for each
host now. It needs a secret key in VAULTIK_AGE_SECRET_KEY that reads those backups, and no
host of the store: it can be done where the recovery kit is. The recipients are found in
the newest snapshots, or in the configuration. Nothing that is in the store is changed.`
}

func (c *recipientRewrapCmd) Run(ctx context.Context, s *session) (err error) {
	s.sum.Totals, err = s.engine.RewrapKeys(ctx, c.Recipient, s)
	return err
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
			return s.ask(mayRead)
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
