package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vaultik/actors/survey"
	"vaultik/actors/verify"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/keys"
	"vaultik/vault/snapshot"
)

// verification is what a verify finds, on its way to be told.
type verification struct {
	*job
	cat    *catalog
	rows   []*row
	signed []snapshot.Problem // of manifests and their chains
	key    *keys.Identity     // nil: none
	// Snapshots were removed meanwhile, and not all problems are known by name: some of the
	// others may be of those.
	unsure bool
}

// maxNamed is how many snapshots are named in one place.
const maxNamed = 8

// tellSigned tells of what is wrong with manifests.
func (v *verification) tellSigned() {
	for _, p := range v.signed {
		v.tellProblem(v.ofManifest(p))
	}
}

// ofManifest is a problem that reading the manifests brought up.
func (v *verification) ofManifest(p snapshot.Problem) events.Problem {
	ev := events.Problem{Kind: manifestKind(p.Err), Key: p.Key, Reason: reasonOf(p.Err.Error()),
		Host: p.Host.String(), Set: p.Set.String(), Seq: p.Seq}
	for _, r := range v.rows {
		if r.Host == p.Host && r.Set == p.Set && r.Seq == p.Seq &&
			!errors.Is(p.Err, snapshot.ErrGap) { // what comes after a gap is what it is
			ev.Snapshots = append(ev.Snapshots, r.ID())
		}
	}
	return ev
}

// manifestKind is one word for what is wrong with a manifest.
func manifestKind(err error) string {
	switch {
	case errors.Is(err, snapshot.ErrFork):
		return "forked"
	case errors.Is(err, snapshot.ErrGap), errors.Is(err, snapshot.ErrRollback),
		errors.Is(err, snapshot.ErrGCRollback):
		return "missing"
	case errors.Is(err, snapshot.ErrUntrusted), errors.Is(err, snapshot.ErrRevoked),
		errors.Is(err, snapshot.ErrRecipients):
		return "untrusted"
	case errors.Is(err, snapshot.ErrNewerFormat):
		return "newer"
	case errors.Is(err, snapshot.ErrDamaged), errors.Is(err, snapshot.ErrSignature):
		return "damaged"
	}
	return "unreadable"
}

// ofObject is a problem that the check brought up.
func ofObject(p survey.Problem) events.Problem {
	ev := events.Problem{Kind: string(p.Kind), Key: p.Key, Reason: reasonOf(p.Reason),
		Snapshots: p.Snapshots, MorePaths: p.MorePaths, Err: p.Err}
	for _, path := range p.Paths {
		ev.Paths = append(ev.Paths, events.PathOf(shown(path)))
	}
	for _, l := range p.Lost {
		ev.Lost = append(ev.Lost, l.String())
	}
	return ev
}

// reasonOf leaves out what the kind says already.
func reasonOf(text string) string {
	return strings.TrimPrefix(text, snapshot.ErrDamaged.Error()+": ")
}

// tellProblem tells of one problem: it is a result.
func (v *verification) tellProblem(ev events.Problem) {
	ev.Type, ev.SetName, ev.HostName = "problem", ev.Set, ev.Host
	for _, r := range v.rows {
		if r.Set.String() == ev.Set && r.Host.String() == ev.Host {
			ev.SetName, ev.HostName = v.cat.setName(r.chain(), r.Root),
				v.cat.hostName(r.chain(), r.Root)
		}
	}
	v.Tell(ev)
}

// tellObjects tells of what is wrong with objects, found of them in all.
func (v *verification) tellObjects(problems []events.Problem, found int64) {
	for _, ev := range problems {
		v.tellProblem(ev)
	}
	if more := found - int64(len(problems)); more > 0 {
		v.Tell(events.MoreProblems{Count: more})
	}
}

// report tells what was found and returns what is to be said of it as an error.
func (v *verification) report(ctx context.Context, rep *verify.Report,
	err error) (ev events.Verified, whole bool, _ error) {
	problems := make([]events.Problem, 0, len(rep.Problems))
	for _, p := range rep.Problems {
		problems = append(problems, ofObject(p))
	}
	problems, found := v.withoutRemoved(ctx, problems, rep.Found)
	v.tellObjects(problems, found)
	found += int64(len(v.signed))
	affected := v.affected(problems)
	v.sum.Files, v.sum.BytesRead, v.sum.Errors = rep.Entries, rep.Read, found
	ev = events.Verified{Type: "verified", Snapshots: len(v.rows), Affected: affected,
		Objects: rep.Objects, Bytes: rep.Bytes,
		Checked: rep.Checked, Parity: rep.Parity, ParityOK: rep.ParityChecked,
		Pages: rep.Pages, Chunks: rep.Chunks, Entries: rep.Entries,
		BytesRead: rep.Read, Problems: found}
	v.Tell(ev)
	if err != nil {
		if ctx.Err() != nil {
			v.Note("interrupted: %s checked so far, %s",
				words.Plural(rep.Checked, "object", "objects"), words.Verdict(found))
			return ev, false, ErrInterrupted
		}
		return ev, false, err
	}
	if len(v.rows) == 0 && found == 0 {
		v.Note("the store has no snapshot yet")
	}
	if found > 0 {
		v.tellAffected(ctx, affected)
		if v.key == nil {
			v.Note("which files are affected, this command tells with the key in %s",
				keys.EnvIdentity)
		}
	}
	if err := v.err(problems, found, affected); err != nil {
		return ev, true, err
	}
	return ev, true, v.newestUnopened(rep)
}

// newestUnopened is an error if the key does not open the newest snapshot of a set: what is
// saved now is for others. Older ones may be so, since recipients change.
func (v *verification) newestUnopened(rep *verify.Report) error {
	newest := map[chain]*row{}
	for _, r := range v.rows {
		if n := newest[r.chain()]; n == nil || r.Seq > n.Seq {
			newest[r.chain()] = r
		}
	}
	for _, r := range v.rows {
		if newest[r.chain()] == r && slices.Contains(rep.Unopened, r.Sum) {
			return &unopened{v.cat.setName(r.chain(), nil), v.cat.hostName(r.chain(), nil), r}
		}
	}
	return nil
}

// unopened: the newest snapshot of a set is for other keys than the one that was given.
type unopened struct {
	set, host string
	row       *row
}

func (e *unopened) Error() string {
	return fmt.Sprintf("the newest snapshot of set %s of %s, %s of %s, "+
		"does not open with this key: it is for other recipients",
		e.set, e.host, e.row.short(), e.row.when())
}

func (*unopened) Exit() fault.Code { return fault.NoIdentity }
func (*unopened) Hint() string {
	return "on that host, compare age_recipients with the recovery kit: vaultik config show"
}

// affected are the ids of the snapshots that need something bad, or are bad themselves.
func (v *verification) affected(problems []events.Problem) (out []string) {
	bad := map[string]bool{}
	for _, p := range v.signed {
		for _, id := range v.ofManifest(p).Snapshots {
			bad[id] = true
		}
	}
	for _, p := range problems {
		for _, id := range p.Snapshots {
			bad[id] = true
		}
	}
	for _, r := range v.rows {
		if bad[r.ID()] {
			out = append(out, r.ID())
		}
	}
	return out
}

// tellAffected names the snapshots that are affected, and those that are not.
func (v *verification) tellAffected(ctx context.Context, affected []string) {
	rows := slices.Clone(v.rows)
	slices.Reverse(rows) // newest first
	for _, bad := range []bool{true, false} {
		ev := events.Affected{Bad: bad}
		for _, r := range rows {
			if slices.Contains(affected, r.ID()) != bad {
				continue
			}
			if len(ev.Named) == maxNamed {
				ev.Older++
				continue
			}
			_, _ = v.cat.rootOf(ctx, r, v.key) // for its names; what is wrong with it has been said
			ev.Named = append(ev.Named, events.NamedSnapshot{ID: r.ID(), Time: r.Time,
				Set: v.cat.setName(r.chain(), r.Root), Host: v.cat.hostName(r.chain(), r.Root)})
		}
		v.Tell(ev)
	}
}

// err is how a verify ends that went through.
func (v *verification) err(problems []events.Problem, found int64, affected []string) error {
	if found == 0 {
		return nil
	}
	why := onlyUnread(v.signed)
	if len(v.signed) > 0 && why == nil {
		return v.damage(found, affected)
	}
	for _, p := range problems {
		if p.Kind != string(survey.ProblemUnreadable) {
			return v.damage(found, affected)
		}
		if why == nil {
			why = p.Err
		}
	}
	if int64(len(problems)+len(v.signed)) < found && v.unsure {
		return fault.WithHint(errors.New("snapshots were removed from the store while it was "+
			"read, and more is missing than can be told apart from that"),
			"rerun the command: "+v.here("verify"))
	}
	if int64(len(problems)+len(v.signed)) < found {
		return v.damage(found, affected)
	}
	return notRead(words.Plural(found, "object", "objects"), why, v.here("verify --read-data"))
}

func (v *verification) damage(found int64, affected []string) error {
	rest := ""
	if whole := len(v.rows) - len(affected); whole > 0 {
		is := "are"
		if whole == 1 {
			is = "is"
		}
		rest = fmt.Sprintf("; %s of %s %s not affected", words.Count(int64(whole)),
			words.Plural(int64(len(v.rows)), "snapshot", "snapshots"), is)
	}
	err := fault.Damaged(words.Plural(found, "problem", "problems") + " in the store" + rest)
	for _, p := range v.signed {
		if errors.Is(p.Err, snapshot.ErrRollback) || errors.Is(p.Err, snapshot.ErrGap) ||
			errors.Is(p.Err, snapshot.ErrGCRollback) ||
			v.cat.forked[config.SetOf{Host: p.Host, Set: p.Set}] {
			return fault.WithHint(err, v.acceptHint(v.cat.op))
		}
	}
	if hint := v.cat.op.strayOf(v.signed); hint != "" {
		return fault.WithHint(err, hint)
	}
	return err
}
