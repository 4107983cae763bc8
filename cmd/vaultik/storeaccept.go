package main

import (
	"context"
	"fmt"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/words"
)

type storeAcceptCmd struct{ ownerFlags }

func (storeAcceptCmd) Help() string {
	return `For a store that was put back from an older copy. Snapshots that were made since are
gone, which verify reports as damage. This lists what is lost and records it in the
trust list, signed with the owner's key from the recovery kit; then verify no longer
reports it, and backups go on.

Use a complete copy of the store instead if there is one: a mirror can bring everything
back (vaultik store copy). Run this on the machine that has seen the newest snapshots.
Whoever can write to the store can put it back as well: be sure that it was you.`
}

func (c *storeAcceptCmd) Run(ctx context.Context, s *session) (err error) {
	if err := c.check("store accept-rollback"); err != nil {
		return err
	}
	o := engine.OwnerOptions{Kit: c.Kit}
	if !c.Yes {
		o.Agree = func() bool {
			return s.ask("are these lost, and nothing to be worried about?")
		}
	}
	s.sum.Totals, err = s.engine.AcceptRollback(ctx, o, s)
	return err
}

func (s *session) showRollback(e events.Rollback) {
	for _, l := range e.Sets {
		which := fmt.Sprintf("snapshot %d", l.From)
		if l.To > l.From {
			which = fmt.Sprintf("snapshots %d to %d", l.From, l.To)
		}
		s.out.result("lost: %s of set %s of %s", which,
			words.Printable(events.NameOf(l.SetName, l.SetName64, l.Set)),
			words.Printable(events.NameOf(l.Hostname, l.Hostname64, l.Host)))
	}
	for _, g := range e.GC {
		s.out.result("lost: what prune has noted about host %s, up to gc object %d", g.Host, g.Seq)
	}
	if e.TrustFrom == 0 {
		return
	}
	lists := fmt.Sprintf("trust list %d, and what it", e.TrustTo)
	if e.TrustTo > e.TrustFrom {
		lists = fmt.Sprintf("trust lists %d to %d, and what they", e.TrustFrom, e.TrustTo)
	}
	s.out.result("lost: %s changed about hosts and recipients", lists)
	for _, h := range e.Hosts {
		s.out.result("trusted again: %s", hostText(h))
	}
}
