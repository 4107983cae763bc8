package engine

import (
	"encoding/hex"
	"errors"
	"strings"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/internal/words"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// requireSeen tells the store which gc objects this machine has seen. A mirror may be
// behind them.
func (o *opened) requireSeen() {
	if o.Mirror {
		return
	}
	for host, p := range o.Seen.GCs(o.Store.Doc.Store) {
		var sum snapshot.Sum
		if sum.UnmarshalText([]byte(p.Sum)) == nil {
			o.Store.RememberGC(host, snapshot.GCSeen{Seq: p.Seq, SHA256: sum})
		}
	}
}

// noteHeads remembers the newest manifest of each set and the newest gc object of each
// host, all of which were verified: from then on they, or later ones, must be there.
// loaded are sorted.
func (j *job) noteHeads(op *opened, loaded []*snapshot.Loaded) {
	if j.dry {
		return
	}
	id := op.Store.Doc.Store
	heads := map[config.SetOf]config.Point{}
	for i, l := range loaded {
		if i > 0 && loaded[i-1].Seq == l.Seq && loaded[i-1].Set == l.Set &&
			loaded[i-1].Host == l.Host {
			continue // which side of a fork is meant is not ours to say
		}
		heads[config.SetOf{Host: l.Host, Set: l.Set}] = config.Point{Seq: l.Seq,
			Sum: hex.EncodeToString(l.Sum[:])}
	}
	gcs := map[layout.HostID]config.Point{}
	for host, g := range op.Store.GCHeads() {
		gcs[host] = config.Point{Seq: g.Seq, Sum: g.SHA256.String()}
	}
	note := func(seen *config.Seen) (changed bool) {
		for k, p := range heads {
			changed = changed || p.Seq > seen.Manifest(id, k.Host, k.Set).Seq
			seen.NoteManifest(id, k.Host, k.Set, p)
		}
		for host, p := range gcs {
			changed = changed || p.Seq > seen.GC(id, host).Seq
			seen.NoteGC(id, host, p)
		}
		return changed
	}
	if !note(op.Seen) {
		return
	}
	err := j.state.UpdateSeen(func(seen *config.Seen) error {
		note(seen)
		return nil
	})
	j.sayForgetful(err)
}

// sayForgetful warns once that nothing can be remembered, on a rescue system for example.
// The command goes on.
func (j *job) sayForgetful(err error) {
	if err == nil || j.forgetful {
		return
	}
	j.forgetful = true
	j.Warn("", "cannot remember this store, so a later change of its owner, or the loss of its "+
		"newest snapshots, will go unnoticed: %v", err)
}

// strangers is what warnings call objects that prove nothing.
var strangers = map[layout.Kind][2]string{
	layout.KindTrust:    {"trust list", "trust lists"},
	layout.KindManifest: {"manifest", "manifests"},
	layout.KindGC:       {"gc object", "gc objects"},
	layout.KindNote:     {"note", "notes"},
}

// sayStrays warns of objects that were left out since nobody who is trusted has signed
// them: once for each kind.
func (j *job) sayStrays(op *opened) {
	for _, s := range op.Store.Strays() {
		revoked := errors.Is(s.Err, snapshot.ErrRevoked)
		k := strayKind{op.URL, s.Kind, revoked}
		if j.strays[k] {
			continue
		}
		if j.strays == nil {
			j.strays = map[strayKind]bool{}
		}
		j.strays[k] = true
		what := "not signed by a key that may"
		if revoked {
			what = "signed with a revoked key"
		}
		name := strangers[s.Kind]
		one := ""
		if s.Count > 1 {
			one = "the first is "
		}
		j.Warn(removeStray(op.URL, s.Key),
			"ignored: %s that the store should not have, %s%s: %s",
			words.Plural(int64(s.Count), name[0], name[1]), one, s.Key, what)
	}
}

// strayKind is what is said once.
type strayKind struct {
	url     string
	kind    layout.Kind
	revoked bool
}

// removeStray is how to remove an object that a stranger may have put there: a command where
// it is a file.
func removeStray(url, key string) string {
	const remove = "if nobody of yours put that there, remove it: "
	if dir := config.FilePath(url); dir != "" {
		return remove + "rm " + config.Quote(dir+"/"+key)
	}
	hint := remove + backends.Redact(url) + "/" + key
	if strings.HasPrefix(url, "s3:") {
		hint += "; if the bucket keeps versions, read what that hides: versions=oldest in the " +
			"URL (docs/add-only.md)"
	}
	return hint
}

// strayInLine is what to do about an object that stands where the next one goes, if that is
// what err is about, and "" if not. Where this machine has seen one, it is that one, damaged.
func (o *opened) strayInLine(err error) string {
	var p snapshot.Problem
	if !errors.As(err, &p) || !p.Next {
		return ""
	}
	var seen uint64
	switch id := o.Store.Doc.Store; {
	case p.Set.IsZero():
		seen = max(o.Seen.GC(id, p.Host).Seq, o.Store.GCHeads()[p.Host].Seq)
	default:
		seen = max(o.Seen.Manifest(id, p.Host, p.Set).Seq, o.Seen.Written(id, p.Host, p.Set).Seq)
	}
	if p.Seq <= seen {
		return ""
	}
	return removeStray(o.URL, p.Key)
}

// strayOf is strayInLine of the first problem that has one.
func (o *opened) strayOf(problems []snapshot.Problem) string {
	for _, p := range problems {
		if hint := o.strayInLine(p); hint != "" {
			return hint
		}
	}
	return ""
}
