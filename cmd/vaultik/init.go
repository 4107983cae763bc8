package main

import (
	"context"

	"vaultik/engine"
	"vaultik/engine/events"
)

type initCmd struct {
	Recipient   []string `help:"Recipient to encrypt to, instead of a new post-quantum key; may be repeated." placeholder:"AGE1..."`
	RecoveryKit string   `name:"recovery-kit" help:"Where to write the recovery kit (default: beside the configuration)." placeholder:"PATH"`
}

func (initCmd) Help() string {
	return `Creates the configuration, this host's id and keys, a new store and the recovery
kit. Only the kit holds the secret key that reads the backups and the store owner's
key. Move it to a safe place elsewhere. The store is at --store, or else in a
directory below ~/.local/share/vaultik.

Without Vaultik, the new key needs age 1.3 or newer, which many distributions do
not have yet. To recover with any age, generate an X25519 key (vaultik keygen
--classic) and give its public half to --recipient.`
}

func (c *initCmd) Run(ctx context.Context, s *session) (err error) {
	s.sum.Totals, err = s.engine.Init(ctx, engine.InitOptions{Recipients: c.Recipient,
		RecoveryKit: c.RecoveryKit}, s)
	return err
}

// showMade prints what must be kept beside the secret.
func (s *session) showMade(e events.StoreMade) {
	kit := events.NameOf(e.Kit, e.Kit64, "")
	s.out.result("configuration: %s", events.NameOf(e.Config, e.Config64, ""))
	s.out.result("recovery kit: %s", kit)
	s.out.result("owner: %s", e.Owner)
	s.out.result("store: %s", e.Store)
	s.out.result("url: %s", events.NameOf(e.URL, e.URL64, ""))
	if e.Secret {
		s.out.warn("", "move %s off this machine and keep it safe: without it nobody can read "+
			"the backups, with it anybody can",
			kit)
	} else {
		s.out.warn("",
			"move %s off this machine: it holds the owner's key of the store; the secret key of "+
				"the recipients is not in it", kit)
	}
}
