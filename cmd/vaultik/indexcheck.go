package main

import (
	"context"
	"os"

	"golang.org/x/term"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
)

type indexCheckCmd struct{}

func (indexCheckCmd) Help() string {
	return `Says whether the index of this host agrees with what the store lists, and with the
newest snapshot of each set. It needs no key, and changes nothing.

Blobs that the index knows and the store no longer has were pruned, or lost; the next
backup forgets them. It exits 13 if the store lacks what the newest snapshots need, and
1 if the index does not know what they have.`
}

func (indexCheckCmd) Run(ctx context.Context, s *session) (err error) {
	s.sum.Totals, err = s.engine.CheckIndex(ctx, s)
	return err
}

// showIndexChecked prints how index and store compare.
func (s *session) showIndexChecked(e events.IndexChecked) {
	out := s.out.result
	out("index: %s: %s; compared with the newest snapshot of %s", e.Raw(),
		words.Plural(e.Blobs, "blob", "blobs"), words.Plural(int64(e.Sets), "set", "sets"))
	for _, d := range []struct {
		n    int64
		text string
	}{
		{e.Gone, "in the index, and not in the store, or condemned: the next backup forgets them"},
		{e.Size, "of another size in the store"},
		{e.Missing, "needed by the newest snapshots, and not in the store"},
		{e.Unknown, "needed by the newest snapshots, and not in the index"},
	} {
		if d.n > 0 {
			out("  %s %s", words.Plural(d.n, "blob", "blobs"), d.text)
		}
	}
	if e.BadRows > 0 {
		out("  %s unreadable: they count for nothing", words.Plural(e.BadRows, "row", "rows"))
	}
	if e.Gone+e.Size+e.Missing+e.Unknown+e.BadRows == 0 {
		out("index and store agree")
	}
}

type indexDropCmd struct {
	Yes bool `help:"Do not ask."`
}

func (indexDropCmd) Help() string {
	return `Removes what this host remembers of its store. Nothing is lost: snapshots stay, and
restore, ls and verify do not need it. But the next backup reads all files and uploads
them again, until "vaultik index rebuild" puts an index in its place.

An index that is damaged is set aside by the next backup itself.`
}

func (c *indexDropCmd) Run(ctx context.Context, s *session) (err error) {
	o := engine.DropIndexOptions{}
	if !c.Yes {
		if !term.IsTerminal(int(os.Stdin.Fd())) {
			return &fault.UsageError{Msg: "index drop asks before it removes the index, but " +
				"there is no terminal",
				Advice: "add --yes: the next backup uploads everything again"}
		}
		o.Confirm = func(dir string) bool {
			return s.ask("remove the index in " + words.Printable(dir) +
				"? the next backup reads and uploads everything again")
		}
	}
	s.sum.Totals, err = s.engine.DropIndex(ctx, o, s)
	return err
}
