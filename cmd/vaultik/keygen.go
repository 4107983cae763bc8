package main

import (
	"bytes"
	"fmt"
	"time"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/vault/keys"
)

type keygenCmd struct {
	Classic bool   `help:"Generate an X25519 key, which older tools and hardware support, instead of a post-quantum one."`
	Output  string `short:"o" help:"Write the identity to a new file (0600) instead of stdout." placeholder:"FILE"`
}

func (keygenCmd) Help() string {
	return `The identity is secret: it reads every backup made for its recipient. Keep it
off the machine that is backed up. The output is an age identity file.`
}

// Run makes a pair and prints it as age-keygen does.
func (c *keygenCmd) Run(s *session) error {
	secret, recipient, err := keys.Generate(c.Classic)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Second)
	var b bytes.Buffer
	fmt.Fprintf(&b, "# created: %s\n# public key: %s\n%s\n", now.Format(time.RFC3339), recipient,
		secret)
	ev := events.Identity{Type: "identity", Recipient: recipient, Created: now}
	if c.Output != "" {
		if err := engine.WriteNew(c.Output, b.Bytes()); err != nil {
			return fmt.Errorf("write identity: %w", err)
		}
		ev.File, ev.File64 = events.Twin(c.Output)
		s.out.result("%s", recipient)
	} else {
		ev.Identity = secret
		s.out.raw(b.String())
	}
	s.out.event(ev)
	s.out.note("keep the identity secret; give the recipient to: vaultik init --recipient")
	return nil
}
