package main

import (
	"context"
	"fmt"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/words"
)

type hostCmd struct {
	Resume hostResumeCmd `cmd:"" help:"Go on with backups after this machine, or its home, was put back."`
}

type hostResumeCmd struct {
	SameHost bool   `name:"same-host" help:"This machine made the newer snapshots, before it was put back." xor:"word"`
	Kit      string `help:"The recovery kit: the owner decides, even if the newer snapshots do not follow from what this machine remembers." placeholder:"FILE" xor:"word"`
}

func (hostResumeCmd) Help() string {
	return `For a machine whose state is older than its newest snapshots: a virtual machine that was
reverted, a home directory that was restored. A backup refuses it, since a copy of
another machine looks the same.

With --same-host, every newer snapshot must be signed with this host's key and follow
from the last one that this machine remembers. With --kit it need not: the owner
decides. The next backup continues after the newest snapshot. If another machine made
it, that one is refused from then on.`
}

func (c *hostResumeCmd) Run(ctx context.Context, s *session) (err error) {
	s.sum.Totals, err = s.engine.ResumeHost(ctx, engine.ResumeOptions{SameHost: c.SameHost,
		Kit: c.Kit}, s)
	return err
}

func (s *session) showResumed(e events.Resumed) {
	known := "none"
	if e.Known > 0 {
		known = fmt.Sprint(e.Known)
	}
	s.out.result("set %s goes on after snapshot %d (%.8s of %s); the last known here was %s",
		words.Printable(events.NameOf(e.SetName, e.SetName64, e.Set)), e.Seq, e.Snapshot,
		words.Moment(e.Time), known)
}
