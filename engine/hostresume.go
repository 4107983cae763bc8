package engine

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// ResumeOptions say by whose word a host goes on: exactly one is given.
type ResumeOptions struct {
	SameHost bool   // the user's: this machine made the newer snapshots, before it was put back
	Kit      string // the owner's: file with the recovery kit
}

// ResumeHost has this machine go on after snapshots that it does not know of, since its state
// was put back from an older copy. It tells of each set, [events.Resumed].
func (e *Engine) ResumeHost(ctx context.Context, o ResumeOptions, sink events.Sink) (events.Totals,
	error) {
	j := e.begin("host resume", sink)
	return j.told(ctx, func() error { return j.resumeHost(ctx, o) })
}

func (j *job) resumeHost(ctx context.Context, o ResumeOptions) error {
	if o.SameHost == (o.Kit != "") {
		return &fault.UsageError{
			Msg: "host resume needs either your word that this machine made the newer snapshots, " +
				"or the owner's kit",
			Ways: []string{j.vaultik("host resume --same-host"),
				j.vaultik("host resume --kit FILE")},
		}
	}
	unlock, err := j.lockHost()
	if err != nil {
		return err
	}
	defer unlock()
	op, err := j.openStore(ctx, backends.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer op.Close()
	if err := op.takesBackups(); err != nil {
		return err
	}
	if o.Kit != "" {
		if _, err := ownersKit(o.Kit, op); err != nil {
			return err
		}
	}
	heads, err := j.newerHeads(ctx, op, o.SameHost)
	if err != nil {
		return err
	}
	if err := j.refuseClone(op.Host, true); err != nil {
		return err
	}
	return j.resumeAfter(op, heads)
}

// newerHead is the newest snapshot of a set, which this machine does not know for its own.
type newerHead struct {
	head  *snapshot.Loaded
	known uint64 // the last that this machine knows
}

// newerHeads finds the sets of which the store has more than this machine has written. With
// proof each of these snapshots must follow from the last that it wrote.
func (j *job) newerHeads(ctx context.Context, op *opened, proof bool) ([]newerHead, error) {
	loaded, problems, err := op.Store.Manifests(ctx, snapshot.Filter{Host: op.Host.ID})
	if err == nil {
		err = unreachable(problems)
	}
	if err != nil {
		return nil, err
	}
	bySet := map[layout.SetID][]*snapshot.Loaded{}
	for _, l := range loaded {
		bySet[l.Set] = append(bySet[l.Set], l)
	}
	var out []newerHead
	for set, all := range bySet {
		head := all[len(all)-1] // they are sorted
		w := op.Seen.Written(op.Store.Doc.Store, op.Host.ID, set)
		if head.Seq < w.Seq || head.Seq == w.Seq && head.ID() == w.Sum {
			continue
		}
		if err := j.follows(op, all, problems, w.Point, proof); err != nil {
			return nil, err
		}
		out = append(out, newerHead{head, w.Seq})
	}
	slices.SortFunc(out, func(a, b newerHead) int { return cmp.Compare(a.head.Key, b.head.Key) })
	return out, nil
}

// follows fails unless the newest of a set's snapshots can be gone on after. With proof they
// must continue from the one that this machine wrote last.
func (j *job) follows(op *opened, all []*snapshot.Loaded, problems []snapshot.Problem,
	last config.Point, proof bool) error {
	head := all[len(all)-1]
	for _, p := range problems {
		if p.Set != head.Set || p.Seq <= last.Seq && p.Seq != head.Seq {
			continue
		}
		if proof || p.Seq >= head.Seq {
			return fault.WithHint(&notFollowing{op.Sets.Name(head.Set), head, p}, j.here("verify"))
		}
	}
	there := last.Seq == 0 || slices.ContainsFunc(all, func(l *snapshot.Loaded) bool {
		return l.Seq == last.Seq && l.ID() == last.Sum
	})
	if proof && !there {
		return fault.WithHint(&notFollowing{op.Sets.Name(head.Set), head, fmt.Errorf(
			"snapshot %d, the last that this machine wrote, is not in the store", last.Seq)},
			"if it is this machine all the same: "+j.vaultik("host resume --kit FILE"))
	}
	return nil
}

// notFollowing: what the store has does not continue from what this machine has written.
type notFollowing struct {
	set  string
	head *snapshot.Loaded
	err  error
}

func (e *notFollowing) Error() string {
	return fmt.Sprintf("cannot go on after snapshot %d of set %s: %v", e.head.Seq,
		cmp.Or(e.set, e.head.Set.String()), e.err)
}

func (e *notFollowing) Unwrap() error { return e.err }

func (*notFollowing) Exit() fault.Code { return fault.Damage }

// resumeAfter remembers the newest snapshots as this machine's own. Another machine that made
// them does not know what this one writes from now on, and is refused.
func (j *job) resumeAfter(op *opened, heads []newerHead) error {
	store, host := op.Store.Doc.Store, op.Host.ID
	err := j.state.UpdateSeen(func(seen *config.Seen) error {
		for _, h := range heads {
			seen.NoteWritten(store, host, h.head.Set,
				config.Point{Seq: h.head.Seq, Sum: hex.EncodeToString(h.head.Sum[:])})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, h := range heads {
		name := cmp.Or(op.Sets.Name(h.head.Set), h.head.Set.String())
		ev := events.Resumed{Type: "resumed", Set: h.head.Set.String(), Snapshot: h.head.ID(),
			Seq: h.head.Seq, Time: h.head.Time, Known: h.known}
		ev.SetName, ev.SetName64 = events.Twin(name)
		j.Tell(ev)
	}
	if len(heads) == 0 {
		j.Note("nothing to resume: this machine knows all snapshots of this host")
		return nil
	}
	j.Note("if another machine made them, it is refused at its next backup: " +
		"make it a separate host, as it then says")
	return nil
}
