package main

import (
	"context"
	"os"
	"strings"

	"golang.org/x/term"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
)

type snapshotCmd struct {
	Tag    snapshotTagCmd    `cmd:"" help:"Put tags on a snapshot."`
	Untag  snapshotUntagCmd  `cmd:"" help:"Take tags off a snapshot."`
	Pin    snapshotPinCmd    `cmd:"" help:"Keep a snapshot, whatever a policy says."`
	Unpin  snapshotUnpinCmd  `cmd:"" help:"Let a policy decide about a snapshot again."`
	Remove snapshotRemoveCmd `cmd:"" help:"Remove snapshots, or a whole set."`
}

// noteFlags are of commands that note something about a snapshot.
type noteFlags struct {
	pick
	Kit string `help:"The recovery kit: the owner signs." placeholder:"FILE"`
}

func (f *noteFlags) run(ctx context.Context, s *session, o engine.AnnotateOptions) (err error) {
	o.Pick, o.Kit = f.engine(), f.Kit
	s.sum.Totals, err = s.engine.Annotate(ctx, o, s)
	return err
}

type snapshotTagCmd struct {
	Snapshot string   `arg:"" help:"ID, or latest."`
	Tags     []string `arg:"" name:"tag" help:"Tags."`
	noteFlags
}

func (snapshotTagCmd) Help() string {
	return `Names of tags are encrypted, so only the host that made a snapshot can tag it. A rule
--keep-tag of vaultik forget keeps snapshots by their tags.`
}

func (c *snapshotTagCmd) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, engine.AnnotateOptions{Snapshot: c.Snapshot, Tags: c.Tags})
}

type snapshotUntagCmd struct {
	Snapshot string   `arg:"" help:"ID, or latest."`
	Tags     []string `arg:"" name:"tag" help:"Tags that it has."`
	noteFlags
}

func (c *snapshotUntagCmd) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, engine.AnnotateOptions{Snapshot: c.Snapshot, Untags: c.Tags})
}

type snapshotPinCmd struct {
	Snapshot string `arg:"" help:"ID, or latest."`
	noteFlags
}

func (snapshotPinCmd) Help() string {
	return `A pinned snapshot is not removed, neither by vaultik forget nor by vaultik snapshot
remove. Each host may pin its own snapshots. Only a machine with the role prune, or the
owner (--kit), may unpin one: whoever breaks into a host cannot.`
}

func (c *snapshotPinCmd) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, engine.AnnotateOptions{Snapshot: c.Snapshot, Pin: true})
}

type snapshotUnpinCmd struct {
	Snapshot string `arg:"" help:"ID, or latest."`
	noteFlags
}

func (c *snapshotUnpinCmd) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, engine.AnnotateOptions{Snapshot: c.Snapshot, Unpin: true})
}

type snapshotRemoveCmd struct {
	Snapshot []string `arg:"" optional:"" help:"IDs; with --damaged also names of objects, as vaultik verify shows them."`
	pick
	Damaged bool `help:"Drop a damaged snapshot that nothing can repair, or one side of a fork, so that vaultik prune goes on."`
	Yes     bool `help:"Do not ask."`
}

func (snapshotRemoveCmd) Help() string {
	return `Removes the snapshots that are named; with --set and no ids the whole set, its newest
snapshot too. It asks before. The newest snapshot of a set stays otherwise, and so do the
last whole one and what is pinned. To remove snapshots by rules: vaultik forget.

The space comes back with vaultik prune.

--damaged is for what verify reports for good: first put the object back from a mirror
or another copy of the store, if there is one. A chain that has lost snapshots is for
the owner: vaultik store accept-rollback.`
}

func (c *snapshotRemoveCmd) Run(ctx context.Context, s *session) (err error) {
	o := engine.RemoveOptions{Snapshots: c.Snapshot, Pick: c.engine(), Damaged: c.Damaged}
	if !c.Yes {
		if !term.IsTerminal(int(os.Stdin.Fd())) {
			return &fault.UsageError{Command: "snapshot remove",
				Msg:    "snapshot remove asks before it removes, but there is no terminal",
				Advice: "if you know what is removed, add --yes"}
		}
		o.Agree = func() bool { return s.ask("remove this, for ever?") }
	}
	s.sum.Totals, err = s.engine.Remove(ctx, o, s)
	return err
}

// showSnapshot prints one snapshot with its tags and whether it is pinned.
func (s *session) showSnapshot(e events.Snapshot) {
	remarks := strings.Join(remarksOf(e), ", ")
	if remarks != "" {
		remarks = ": " + remarks
	}
	s.out.result("snapshot %.8s of %s, set %s%s", e.ID, words.Moment(e.Time),
		words.Printable(events.NameOf(e.SetName, e.SetName64, e.Set)), remarks)
}

// remarksOf is what a list says of a snapshot beside its numbers.
func remarksOf(e events.Snapshot) (out []string) {
	if !e.Complete {
		out = append(out, "incomplete")
	}
	if e.Pinned {
		out = append(out, "pinned")
	}
	for _, t := range e.Tags {
		out = append(out, "#"+words.Printable(t))
	}
	switch {
	case e.Unnamed > 0 && len(e.Tags) > 0:
		out = append(out, words.Plural(e.Unnamed, "more tag", "more tags"))
	case e.Unnamed > 0:
		out = append(out, words.Plural(e.Unnamed, "tag", "tags"))
	}
	return out
}
