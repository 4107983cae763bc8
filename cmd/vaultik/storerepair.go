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
	Confirm []string `sep:"none" help:"A host that is yours, by its id or its key's fingerprint. May be repeated." placeholder:"HOST"`
}

func (storeRepairCmd) Help() string {
	return `For a store whose store.json or trust list is damaged, and of which there is no other
copy. It writes them anew, signed with the owner's key from the recovery kit.

The trust list says which hosts' snapshots count. If it is damaged, this shows every key
that has signed snapshots in the store, with the host's id and the number of snapshots,
and trusts those that you confirm, on the terminal or with --confirm. Confirm only what
you know: the id and key of a host are in its own host.json, and vaultik store info shows
them as long as the store is whole. Anybody who can write to the store can add a key of
their own. Nothing else in the store is changed.`
}

func (c *storeRepairCmd) Run(ctx context.Context, s *session) (err error) {
	o := engine.RepairOptions{Kit: c.Kit, Confirm: c.Confirm}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		o.Agree = func(events.Author) bool { return s.ask("is this key yours?") }
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
