package main

import (
	"context"
	"fmt"
	"time"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/words"
)

type pruneCmd struct {
	Host     []string `help:"Hosts to prune, by id (default: this one; on a machine that only prunes, all)." placeholder:"ID"`
	DryRun   bool     `name:"dry-run" short:"n" help:"Change nothing; show what would be deleted, now and later, and what keeps the rest."`
	Force    bool     `help:"Also remove a large part of the store that no snapshot explains."`
	TakeOver bool     `name:"take-over" help:"Go on although another machine has pruned too, in a store where only one may: it has stopped."`
	Parallel int      `help:"The same as --connections." placeholder:"N"`
}

func (pruneCmd) Help() string {
	return `Removes the objects that no snapshot needs: what belonged to removed snapshots, and what
interrupted backups left. It needs no key, and may run beside backups of any host.
It removes no snapshot.

In a store in a directory of this machine the space comes back at once. Elsewhere an
object is first condemned, so that backups leave it alone, and deleted by a later run:
after 15 minutes if only this host uses it, otherwise after three days. Run it
regularly; each run does what is due. Rerun it after an interruption.

If a snapshot of a host cannot be verified, nothing of that host is deleted, and the
exit code is 13. A store in which an object cannot be created only if it is absent may be
pruned by one machine; a second one is noticed, and both stop until one takes over.`
}

func (c *pruneCmd) Run(ctx context.Context, s *session) error {
	if err := s.parallel(c.Parallel); err != nil {
		return err
	}
	res, err := s.engine.Prune(ctx, engine.PruneOptions{Hosts: c.Host, DryRun: c.DryRun,
		Force: c.Force, TakeOver: c.TakeOver}, s)
	s.sum.Totals = res.Totals
	return err
}

// showPruned says what became of one host's part of the store.
func (s *session) showPruned(e events.Pruned) {
	host := words.Printable(events.NameOf(e.Hostname, e.Hostname64, e.Host))
	if e.Error != "" && e.Deleted.Objects == 0 {
		s.out.result("%s: nothing deleted", host)
		return
	}
	if e.Removed > 0 {
		s.out.result("%s: %s %s, %s", host, would(e.DryRun, "removed"),
			words.Plural(int64(e.Removed), "snapshot", "snapshots"),
			words.Plural(int64(e.Snapshots), "stays", "stay"))
	}
	freed := e.Deleted
	if e.DryRun {
		freed = e.Ripe
	}
	switch {
	case freed.Objects > 0 && e.Versions:
		s.out.result("%s: %s %s, %s", host, would(e.DryRun, "deleted"), objects(freed),
			words.Size(freed.Bytes))
		s.out.result("  the bucket keeps them as old versions: the space comes back when a " +
			"lifecycle rule of the bucket removes those, and without one never")
	case freed.Objects > 0:
		s.out.result("%s: %s %s, freeing %s", host, would(e.DryRun, "deleted"), objects(freed),
			words.Size(freed.Bytes))
	case e.All.Objects == 0:
		s.out.result("%s: nothing to delete: no snapshot yet", host)
	case e.Waiting.Objects > 0 || e.Young.Objects > 0 || e.Kept.Objects > 0:
		s.out.result("%s: nothing to delete yet", host)
	default:
		s.out.result("%s: nothing to delete: %s, %s, all needed by %s", host, objects(e.All),
			words.Size(e.All.Bytes), words.Plural(int64(e.Snapshots), "snapshot", "snapshots"))
	}
	if l := e.Locked; l.Objects > 0 && e.Unlocked != nil {
		s.out.result("  object lock keeps %s, %s of them, the last until %s", objects(l),
			words.Size(l.Bytes), words.Day(*e.Unlocked))
	}
	if k := e.Kept; k.Objects > 0 {
		s.out.result("  locked: %s, %s, that the store does not delete yet: "+
			"a later run tries again",
			objects(k), words.Size(k.Bytes))
	}
	if w := e.Waiting; w.Objects > 0 {
		s.out.result("  waiting: %s, %s, to be deleted %s", objects(w), words.Size(w.Bytes), due(e))
	}
	if y := e.Young; y.Objects > 0 {
		s.out.result("  too new: %s, %s, that no snapshot needs, stored in the last %s", objects(y),
			words.Size(y.Bytes), words.Lasting(time.Duration(e.Age)*time.Second))
	}
}

func objects(a events.Amount) string { return words.Plural(a.Objects, "object", "objects") }

func would(dry bool, done string) string {
	if dry {
		return "would have " + done
	}
	return done
}

// due says when what waits can be deleted.
func due(e events.Pruned) string {
	text := "by a later run"
	if e.Next != nil {
		text = fmt.Sprintf("by a run after %s", words.Day(*e.Next))
	}
	if e.AfterBackup {
		text += ", once this host has made another backup"
	}
	if time.Duration(e.Grace)*time.Second > time.Hour {
		return text + ": a running backup may still use them"
	}
	return text + ": what was asked for before may still arrive"
}
