package main

import (
	"context"
	"strings"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/words"
)

type repairCmd struct {
	From     string `help:"A mirror of the store, which has what is missing or damaged." placeholder:"URL"`
	ReadData bool   `help:"Read every object to find damage, instead of only listing it."`
	Parity   string `help:"Also make parity for blobs that have none: a share like 10%." placeholder:"SHARE"`
	DryRun   bool   `help:"Only show what would be done."`
	Parallel int    `help:"The same as --connections." placeholder:"N"`
}

func (repairCmd) Help() string {
	return `Finds what the store lacks or has damaged, as verify does, and puts it back: from a
mirror that store copy has made, or by the parity of a blob, which the setting parity or
--parity has stored beside it. It needs no key. Nothing is deleted, and no object is replaced
but by its right bytes, which are checked before. Without a source nothing changes.

What prune has condemned is taken off its list first, which needs the right to prune. Unless
the store is a directory of this machine, it then waits two hours: a prune that is under way
may still delete it.

What no source has is listed with the snapshots that need it. The next backup stores anew
what the files of its host still hold; older snapshots restore without what is lost.

It exits 13 if anything is left that is damaged; with --dry-run, if anything would be.`
}

func (c *repairCmd) Run(ctx context.Context, s *session) error {
	if err := s.parallel(c.Parallel); err != nil {
		return err
	}
	res, err := s.engine.RepairStore(ctx, engine.RepairStoreOptions{From: c.From,
		ReadData: c.ReadData, Parity: c.Parity, DryRun: c.DryRun}, s)
	s.sum.Totals = res.Totals
	return err
}

// showRepair says what was done about one object.
func (s *session) showRepair(e events.Repair) {
	out := s.out
	key := words.Printable(e.Key)
	switch e.Done {
	case events.RepairReleased:
		out.result("%s %s: %s", would(e.DryRun, "taken off what is condemned:"), key, e.Reason)
	case events.RepairParity:
		if out.verbose {
			out.result("%s %s", would(e.DryRun, "made"), key)
		}
	default:
		done := map[string]string{events.RepairPut: "put back", events.RepairReplaced: "replaced"}
		source := map[string]string{events.FromMirror: "from the mirror"}[e.From]
		if source == "" {
			source = "by its parity"
		}
		out.result("%s %s, %s: %s", would(e.DryRun, done[e.Done]), key, source,
			words.Printable(e.Reason))
		if len(e.Snapshots) > 0 {
			out.result("  needed by: %s", strings.Join(short(e.Snapshots), " "))
		}
	}
}

// showRepaired says how it ended.
func (s *session) showRepaired(e events.Repaired) {
	if e.Parities > 0 {
		s.out.result("%s the parity of %s", would(e.DryRun, "made"),
			words.Plural(e.Parities, "blob", "blobs"))
	}
	text := words.Plural(int64(e.Snapshots), "snapshot", "snapshots") + ", " +
		words.Plural(e.Objects, "object", "objects") + ": "
	switch {
	case e.Put == 0 && e.Left == 0:
		text += "nothing to repair"
	case e.Put == 0:
		text += "nothing put back"
	default:
		done := " put back"
		if e.DryRun {
			done = " would have been put back"
		}
		text += words.Plural(e.Put, "object", "objects") + done
	}
	if e.Left > 0 {
		text += ", " + words.Plural(e.Left, "problem", "problems") + " left"
	}
	s.out.result("%s", text)
}
