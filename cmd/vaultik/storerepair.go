package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/term"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/words"
)

type storeRepairCmd struct {
	Kit     string   `required:"" help:"The recovery kit, which holds the owner's key." placeholder:"FILE"`
	Confirm []string `sep:"none" help:"A host that is yours, by its id or its key's fingerprint, recipients that are, by their sum, or the trust list that counts. May be repeated." placeholder:"HOST"`
}

func (storeRepairCmd) Help() string {
	return `For a store whose store.json or trust list is damaged, and of which there is no other
copy. It writes them anew, signed with the owner's key from the recovery kit.

The trust list says which hosts' snapshots count. If it is damaged, this shows every key
that has signed snapshots in the store, with the host's id and the number of snapshots,
and trusts those that you confirm, on the terminal or with --confirm. Confirm only what
you know: the id and key of a host are in its own host.json, and vaultik store info shows
them as long as the store is whole. Anybody who can write to the store can add a key of
their own.

The trust list also says for whom each host's backups are encrypted. The snapshots of a
host name them by a sum, which is shown. If it is that of the kit's own key, it is signed
again with the host. Else compare it with the age_recipients of that host, and confirm it
on the terminal or with --confirm SUM: somebody who has broken into the host can have
chosen them. What is not confirmed is not signed, and the host's next backup says so.

On a store that cannot create an object only if it is absent, the owner may have signed two
trust lists of one number, on two machines. Then --confirm says which one counts; what the
other one changed has to be done again.

Nothing else in the store is changed.`
}

func (c *storeRepairCmd) Run(ctx context.Context, s *session) (err error) {
	o := engine.RepairOptions{Kit: c.Kit, Confirm: c.Confirm}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		o.Agree = func(events.Author) bool { return s.ask("is this key yours?") }
		o.AgreeTo = func(e events.Recipients) bool {
			return s.ask("may the recipients with the sum " + e.Sum + ", and nobody else, " +
				"read the backups of that host?")
		}
	}
	s.sum.Totals, err = s.engine.RepairHead(ctx, o, s)
	return err
}

func (s *session) showAuthor(e events.Author) {
	host := "host " + e.Host
	if e.Host == "" {
		host = "a pruner"
	}
	text := fmt.Sprintf("%s, key %s: %s", host, e.Key,
		words.Plural(int64(e.Snapshots), "snapshot", "snapshots"))
	if e.Last != nil {
		text += ", the last of " + words.Moment(*e.Last)
	}
	if e.GCs > 0 {
		text += ", " + words.Plural(int64(e.GCs), "gc object", "gc objects")
	}
	if e.Known {
		text += "; it was trusted before"
	}
	s.out.result("%s", text)
}
