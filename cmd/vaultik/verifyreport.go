package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vaultik/actors/survey"
	"vaultik/actors/verify"
	"vaultik/vault/keys"
	"vaultik/vault/snapshot"
)

// verification is what a verify finds, on its way to be said.
type verification struct {
	s        *session
	cat      *catalog
	rows     []*row
	signed   []snapshot.Problem // of manifests and their chains
	readData bool
	key      *keys.Identity // nil: none
}

// maxNamed is how many snapshots are named in one place.
const maxNamed = 8

// ofManifest is a problem that reading the manifests brought up.
func (v *verification) ofManifest(p snapshot.Problem) problemEvent {
	ev := problemEvent{Kind: manifestKind(p.Err), Key: p.Key, Reason: reasonOf(p.Err.Error()), Host: p.Host.String(), Set: p.Set.String(), Seq: p.Seq}
	for _, r := range v.rows {
		if r.Host == p.Host && r.Set == p.Set && r.Seq == p.Seq && !errors.Is(p.Err, snapshot.ErrGap) { // what comes after a gap is what it is
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
	case errors.Is(err, snapshot.ErrGap), errors.Is(err, snapshot.ErrRollback):
		return "missing"
	case errors.Is(err, snapshot.ErrUntrusted), errors.Is(err, snapshot.ErrRevoked):
		return "untrusted"
	case errors.Is(err, snapshot.ErrNewerFormat):
		return "newer"
	case errors.Is(err, snapshot.ErrDamaged), errors.Is(err, snapshot.ErrSignature):
		return "damaged"
	}
	return "unreadable"
}

// ofObject is a problem that the check brought up.
func ofObject(p survey.Problem) problemEvent {
	ev := problemEvent{Kind: string(p.Kind), Key: p.Key, Reason: reasonOf(p.Reason), Snapshots: p.Snapshots, MorePaths: p.MorePaths}
	for _, path := range p.Paths {
		ev.Paths = append(ev.Paths, pathOf(shown(path)))
	}
	for _, l := range p.Lost {
		ev.Lost = append(ev.Lost, lostText(l))
	}
	return ev
}

// reasonOf leaves out what the kind says already.
func reasonOf(text string) string {
	return strings.TrimPrefix(text, snapshot.ErrDamaged.Error()+": ")
}

// sayProblem prints one problem: it is a result.
func (v *verification) sayProblem(ev problemEvent) {
	ev.Type = "problem"
	out := v.s.out
	out.event(ev)
	where := ev.Key
	if where == "" {
		where = v.place(ev)
	}
	out.result("%s: %s: %s", ev.Kind, where, printable(ev.Reason))
	if len(ev.Snapshots) > 0 {
		out.result("  needed by: %s", strings.Join(short(ev.Snapshots), " "))
	}
	for _, l := range ev.Lost {
		out.result("  lost: %s", l)
	}
	var files []string
	for _, p := range ev.Paths {
		files = append(files, fmt.Sprintf("%q", p.raw()))
	}
	if len(files) > 0 {
		if ev.MorePaths {
			files = append(files, "and more")
		}
		out.result("  for: %s", strings.Join(files, " "))
	}
}

// place is a place in a chain, for people.
func (v *verification) place(ev problemEvent) string {
	set, host := ev.Set, ev.Host
	for _, r := range v.rows {
		if r.Set.String() == ev.Set && r.Host.String() == ev.Host {
			set, host = printable(v.cat.setName(r.chain(), r.Root)), printable(v.cat.hostName(r.chain(), r.Root))
		}
	}
	return fmt.Sprintf("snapshot %d of set %s of %s", ev.Seq, set, host)
}

// short are the ids as people know them, some of them if they are many.
func short(ids []string) (out []string) {
	for i, id := range ids {
		if i == maxNamed {
			return append(out, fmt.Sprintf("and %s more", count(int64(len(ids)-i))))
		}
		out = append(out, id[:8])
	}
	return out
}

// report prints what was found and returns what is to be said of it as an error.
func (v *verification) report(ctx context.Context, rep *verify.Report, err error) error {
	problems := make([]problemEvent, 0, len(rep.Problems))
	for _, p := range rep.Problems {
		problems = append(problems, ofObject(p))
	}
	for _, ev := range problems {
		v.sayProblem(ev)
	}
	found := rep.Found + int64(len(v.signed))
	if more := rep.Found - int64(len(rep.Problems)); more > 0 {
		v.s.out.result("and %s", plural(more, "problem more", "problems more"))
	}
	affected := v.affected(problems)
	v.s.sum.Files, v.s.sum.BytesRead, v.s.sum.Errors = rep.Entries, rep.Read, found
	v.s.out.event(verifiedEvent{Type: "verified", Snapshots: len(v.rows), Affected: affected, Objects: rep.Objects, Bytes: rep.Bytes,
		Checked: rep.Checked, Pages: rep.Pages, Chunks: rep.Chunks, Entries: rep.Entries, BytesRead: rep.Read, Problems: found})
	if err != nil {
		if ctx.Err() != nil {
			v.s.out.note("interrupted: %s read and checked so far, %s", plural(rep.Checked, "object", "objects"), v.verdict(found))
			return errInterrupted
		}
		return err
	}
	if len(v.rows) == 0 && found == 0 {
		v.s.out.note("the store has no snapshot yet")
	}
	if found > 0 {
		v.sayAffected(ctx, affected)
	}
	v.s.out.result("%s, %s, %s: %s (%s)", plural(int64(len(v.rows)), "snapshot", "snapshots"), plural(rep.Objects, "object", "objects"),
		size(rep.Bytes), v.verdict(found), v.checked(rep))
	return v.err(problems, found, affected)
}

func (v *verification) verdict(found int64) string {
	if found == 0 {
		return "no damage found"
	}
	return plural(found, "problem", "problems") + " found"
}

// checked says what was looked at.
func (v *verification) checked(rep *verify.Report) string {
	parts := []string{"signatures", "presence", "sizes"}
	if v.readData {
		parts = append(parts, "SHA-256")
	}
	if v.key != nil {
		parts = append(parts, plural(rep.Pages, "page", "pages"))
	}
	if v.key != nil && v.readData {
		parts = append(parts, plural(rep.Chunks, "chunk", "chunks"))
	}
	return "checked: " + strings.Join(parts, ", ")
}

// affected are the ids of the snapshots that need something bad, or are bad themselves.
func (v *verification) affected(problems []problemEvent) (out []string) {
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

// sayAffected names the snapshots that are affected, and those that are not.
func (v *verification) sayAffected(ctx context.Context, affected []string) {
	rows := slices.Clone(v.rows)
	slices.Reverse(rows) // newest first
	for _, bad := range []bool{true, false} {
		title := map[bool]string{true: "affected: ", false: "not affected: "}[bad]
		n := 0
		for _, r := range rows {
			if slices.Contains(affected, r.ID()) != bad {
				continue
			}
			if n++; n <= maxNamed {
				_, _ = v.cat.rootOf(ctx, r, v.key) // for its names; what is wrong with it has been said
				v.s.out.result("%ssnapshot %s", title, v.name(r))
			}
		}
		if n > maxNamed {
			v.s.out.result("%s%s", title, plural(int64(n-maxNamed), "older snapshot", "older snapshots"))
		}
	}
}

// err is how a verify ends that went through.
func (v *verification) err(problems []problemEvent, found int64, affected []string) error {
	if found == 0 {
		return nil
	}
	for _, p := range problems {
		if p.Kind != string(survey.ProblemUnreadable) {
			return v.damage(found, affected)
		}
	}
	if len(v.signed) > 0 || int64(len(problems)) < found {
		return v.damage(found, affected)
	}
	return &hinted{fmt.Errorf("%s could not be read: whether there is damage is not known", plural(found, "object", "objects")),
		"give this user access to the store, then: " + v.s.commandHere("verify --read-data")}
}

func (v *verification) damage(found int64, affected []string) error {
	rest := ""
	if whole := len(v.rows) - len(affected); whole > 0 {
		rest = fmt.Sprintf("; %s not affected", plural(int64(whole), "snapshot is", "snapshots are"))
	}
	return &damage{plural(found, "problem", "problems") + " in the store" + rest}
}
