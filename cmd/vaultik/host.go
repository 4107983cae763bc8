package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
)

type hostCmd struct {
	Add    hostAddCmd    `cmd:"" help:"On a new machine: ask the owner of a store to be added."`
	Accept hostAcceptCmd `cmd:"" help:"With the recovery kit: accept what a new machine asks for."`
	List   hostListCmd   `cmd:"" help:"List the machines that the store trusts, or has trusted."`
	Revoke hostRevokeCmd `cmd:"" help:"With the recovery kit: stop trusting the key of a machine."`
	Resume hostResumeCmd `cmd:"" help:"Go on with backups after this machine, or its home, was put back."`
}

type hostAddCmd struct {
	Role      []string `help:"What this machine may do: write (back up; the default), prune, or write,prune." placeholder:"ROLE"`
	Recipient []string `sep:"none" help:"Recipient to encrypt to, where there is no configuration yet; may be repeated." placeholder:"AGE1..."`
	Output    string   `short:"o" help:"Write the request to this file, which must not exist." placeholder:"FILE"`
}

func (hostAddCmd) Help() string {
	return `Makes the keys of this machine, a configuration if there is none, and a request that is
shown, or written to a file. Take it to a machine with the recovery kit, by mail or as you
like, and run vaultik host accept there: it shows the same fingerprint of the key, which
you compare. After that this machine can back up. Run again, it shows the request again.

With --role prune the machine only prunes, for all hosts: it gets no keys that read or make
backups. With --role write,prune it does both.`
}

func (c *hostAddCmd) Run(ctx context.Context, s *session) (err error) {
	s.sum.Totals, err = s.engine.AddHost(ctx, engine.AddOptions{Roles: c.Role,
		Recipients: c.Recipient, File: c.Output}, s)
	return err
}

// showRequest prints what a person compares, and the request itself where it was made.
func (s *session) showRequest(e events.HostRequest) {
	s.out.result("machine: %s", words.Printable(events.NameOf(e.Hostname, e.Hostname64, e.Host)))
	s.out.result("host: %s", e.Host)
	s.out.result("fingerprint: %s", e.Key)
	s.out.result("roles: %s", strings.Join(e.Roles, " and "))
	if e.Sum != "" {
		s.showRecipients(events.Recipients{Recipients: e.Recipients, Sum: e.Sum, Kit: e.Kit})
	}
	switch {
	case e.File != "":
		s.out.result("request: %s", words.Printable(e.File))
	case e.Request != "":
		s.out.raw(e.Request)
	}
}

type hostAcceptCmd struct {
	Request string `arg:"" help:"File with the request of the new machine, or - for standard input." placeholder:"REQUEST"`
	Kit     string `required:"" help:"The recovery kit, which holds the owner's key." placeholder:"FILE"`
	Confirm string `help:"The fingerprint that the new machine shows; without it you are asked." placeholder:"SHA256:..."`
}

func (hostAcceptCmd) Help() string {
	return `Shows which machine asks for what, and adds it to the store's trust list, signed with
the owner's key from the recovery kit. Anybody can make a request in any name: compare the
fingerprint with the one that the new machine itself shows, and the recipients with those
that you know (vaultik recipient list). The request is found in any text around it, such as
a mail.`
}

func (c *hostAcceptCmd) Run(ctx context.Context, s *session) (err error) {
	if c.Confirm == "" && (c.Request == "-" || !term.IsTerminal(int(os.Stdin.Fd()))) {
		return &fault.UsageError{Command: "host accept",
			Msg:    "host accept asks whether the fingerprint is right, but there is no terminal",
			Advice: "give the fingerprint that the new machine shows: --confirm SHA256:..."}
	}
	text, err := readRequest(c.Request)
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	o := engine.AcceptOptions{Kit: c.Kit, Request: text, Confirm: c.Confirm,
		Agree: func(e events.HostRequest) bool {
			return s.ask("does the new machine show this fingerprint, " + e.Key +
				", and may it do that?")
		}}
	s.sum.Totals, err = s.engine.AcceptHost(ctx, o, s)
	return err
}

// readRequest reads a file, or standard input, up to one byte more than a request may have.
func readRequest(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(os.Stdin, engine.MaxRequest+1))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, engine.MaxRequest+1))
	return text, errors.Join(err, f.Close())
}

type hostListCmd struct{ cacheFlag }

func (hostListCmd) Help() string {
	return `Lists ids, keys, roles and the last snapshot of each machine, and of revoked ones what
stands. It needs no key. Names are those that this machine has learnt; with the secret key
in VAULTIK_AGE_SECRET_KEY it reads and remembers those of all hosts that back up.`
}

func (c *hostListCmd) Run(ctx context.Context, s *session) (err error) {
	if err := s.cached(c.cacheFlag); err != nil {
		return err
	}
	s.sum.Totals, err = s.engine.ListHosts(ctx, s)
	return err
}

func (s *session) showHost(e events.Host) {
	name := words.Printable(events.NameOf(e.Hostname, e.Hostname64, ""))
	if name != "" {
		name = " " + name
	}
	text := "host " + e.Host + name + ": may " + strings.Join(e.Roles, " and ")
	if e.Since != nil {
		text += ", since " + words.Day(*e.Since)
	}
	if e.Last != nil {
		text += fmt.Sprintf(", last snapshot %.8s of %s", e.Snapshot, words.Day(*e.Last))
	}
	if e.Here {
		text += " (this machine)"
	}
	if e.Revoked != nil {
		text = "host " + e.Host + name + ": revoked " + words.Day(*e.Revoked)
	}
	s.out.result("%s", text)
	s.out.result("  key %s", e.Key)
	if e.Revoked != nil {
		s.showStanding(e.Stands, e.StandsGC)
	}
}

func (s *session) showStanding(sets []events.Standing, gcs []events.StandingGC) {
	for _, l := range sets {
		when := ", which is missing"
		if l.Time != nil {
			when = " of " + words.Moment(*l.Time)
		}
		s.out.result("  stands: set %s up to snapshot %d, %.8s%s",
			words.Printable(events.NameOf(l.SetName, l.SetName64, l.Set)), l.Seq, l.Snapshot, when)
	}
	for _, g := range gcs {
		s.out.result("  stands: what it pruned of host %s up to gc object %d", g.Host, g.Seq)
	}
	if len(sets)+len(gcs) == 0 {
		s.out.result("  stands: nothing that it has signed")
	}
}

type hostRevokeCmd struct {
	Host  string   `arg:"" help:"Id of the host, or its name if this machine knows it." placeholder:"HOST"`
	Until []string `sep:"none" help:"Last snapshot of a set that counts, by its id (default: the newest of each set); may be repeated." placeholder:"ID"`
	ownerFlags
}

func (hostRevokeCmd) Help() string {
	return `For a machine whose key was stolen, or that is retired. Shows what stands of all that
its key has signed: of each set the snapshots up to the newest that is there now, or up to the
one that --until names. Nothing else counts from then on, whatever time it claims. What was
pruned with the key, so far, stays pruned.

The snapshots that stand can be restored as before. Whoever has the key can still store
objects, if the store's credentials are theirs too: change those. A machine that was revoked
stays so; added again, it is another host.`
}

func (c *hostRevokeCmd) Run(ctx context.Context, s *session) (err error) {
	if err := c.check("host revoke"); err != nil {
		return err
	}
	o := engine.RevokeOptions{OwnerOptions: engine.OwnerOptions{Kit: c.Kit}, Host: c.Host,
		Until: c.Until}
	if !c.Yes {
		o.Agree = func() bool {
			return s.ask("is this the machine, and is all that it has signed else not to count?")
		}
	}
	s.sum.Totals, err = s.engine.RevokeHost(ctx, o, s)
	return err
}

func (s *session) showRevocation(e events.Revocation) {
	host := e.Host
	if name := events.NameOf(e.Hostname, e.Hostname64, ""); name != "" {
		host += " " + words.Printable(name)
	}
	s.out.result("revoke host %s: may %s", host, strings.Join(e.Roles, " and "))
	s.out.result("  key %s", e.Key)
	s.showStanding(e.Stands, e.StandsGC)
	if e.Dropped > 0 {
		s.out.result("  no longer counts: %s", words.Plural(int64(e.Dropped), "newer snapshot",
			"newer snapshots"))
	}
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
