package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"filippo.io/age"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/words"
	"vaultik/messages"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// catalog is what a store has, with all names that this session can know.
type catalog struct {
	rows     []*row // by time
	problems []snapshot.Problem
	op       *opened
	hostname string // of this host
	behind   int    // sets of which a mirror lacks what was seen of its store
	seen     map[config.SetOf]config.Point
	forked   map[config.SetOf]bool // another manifest stands where one was seen

	notes    snapshot.Notes
	tags     map[snapshot.TagID]string // names of tags, as far as they are known
	unopened []*snapshot.LoadedNote    // notes with names that are not among them yet
}

// row is one snapshot. Its root is read when it is asked for.
type row struct {
	*snapshot.Loaded
	Root *snapshot.Root // nil: not read, no key, or bad
}

func (r *row) short() string { return r.ID()[:8] }

func (r *row) when() string { return words.Moment(r.Time) }

// chain names the snapshots of one set of one host.
type chain struct {
	host layout.HostID
	set  layout.SetID
}

func (r *row) chain() chain { return chain{r.Host, r.Set} }

// catalog reads and verifies all manifests. What this machine has seen of a set
// and is not there any more is a problem like a damaged object.
func (j *job) catalog(ctx context.Context, op *opened) (*catalog, error) {
	done := j.showReads(op.Store, "read the list of snapshots")
	loaded, problems, err := op.Store.Manifests(ctx, snapshot.Filter{})
	done()
	if err != nil {
		return nil, err
	}
	c, err := j.catalogOf(ctx, op, loaded, problems)
	if err == nil {
		j.noteHeads(op, slices.DeleteFunc(slices.Clone(loaded), func(l *snapshot.Loaded) bool {
			// Else only the first to look would be told.
			return c.forked[config.SetOf{Host: l.Host, Set: l.Set}]
		}))
		j.sayBehind(c)
	}
	j.sayStrays(op)
	return c, err
}

// showReads shows how many snapshots were read, until the returned function is called.
func (j *job) showReads(st *snapshot.Store, phase string) (done func()) {
	p := &messages.Progress{}
	p.SetPhase(phase)
	p.SetUnit("snapshots")
	p.TotalKnown.Store(true)
	st.OnRead = func(done, total int) {
		p.FilesDone.Store(int64(done))
		p.FilesTotal.Store(int64(total))
	}
	stop := j.show(p)
	return func() {
		st.OnRead = nil
		stop()
	}
}

// heads is a catalog of the newest snapshot of each set and of those beside it that show
// that it is the newest. It is nil where anything is wrong with them: then only the whole
// catalog tells what is left.
func (j *job) heads(ctx context.Context, op *opened) (*catalog, error) {
	var seen []snapshot.Place
	note := func(points map[config.SetOf]config.Point) {
		for k, p := range points {
			seen = append(seen, snapshot.Place{Host: k.Host, Set: k.Set, Seq: p.Seq})
		}
	}
	note(op.Seen.Manifests(op.Store.Doc.Store))
	if op.Mirror {
		note(op.Seen.Mirror(op.URL).Manifests())
	}
	loaded, problems, err := op.Store.Heads(ctx, seen)
	if err != nil || len(problems) > 0 {
		return nil, errors.Join(err, unreachable(problems))
	}
	c, err := j.catalogOf(ctx, op, loaded, nil)
	if err != nil || len(c.problems) > 0 {
		return nil, err
	}
	j.noteHeads(op, loaded)
	j.sayStrays(op)
	j.sayBehind(c)
	return c, nil
}

// catalogOf is a catalog of manifests that were read.
func (j *job) catalogOf(ctx context.Context, op *opened, loaded []*snapshot.Loaded,
	problems []snapshot.Problem) (*catalog, error) {
	if err := unreachable(problems); err != nil {
		return nil, err
	}
	problems = append(problems, op.Store.Trust.CheckRecipients(loaded)...)
	seen := op.Seen.Manifests(op.Store.Doc.Store)
	c := &catalog{problems: problems, op: op, hostname: j.hostname(), seen: seen,
		forked: map[config.SetOf]bool{}}
	for _, l := range loaded {
		c.rows = append(c.rows, &row{Loaded: l})
	}
	slices.SortStableFunc(c.rows, func(a, b *row) int { return a.Time.Compare(b.Time) })
	if op.Mirror {
		behind, err := j.checkSeen(ctx, c, loaded, seen, true)
		if err != nil {
			return nil, err
		}
		c.behind = behind
		seen = op.Seen.Mirror(op.URL).Manifests()
	}
	_, err := j.checkSeen(ctx, c, loaded, seen, false)
	return c, err
}

// unreachable is the problem that nothing is known, nil if there is none of this kind.
func unreachable(problems []snapshot.Problem) error {
	for _, p := range problems {
		if errors.Is(p.Err, backends.ErrUnreachable) {
			return p.Err
		}
	}
	return nil
}

// sayBehind warns of a mirror that lacks what was seen of its store.
func (j *job) sayBehind(c *catalog) {
	if c.behind > 0 {
		j.Warn(j.vaultik("store copy --to "+config.Quote(c.op.URL)),
			"the mirror %s is behind its store: %s newer snapshots there",
			backends.Redact(c.op.URL), words.Plural(int64(c.behind), "set has", "sets have"))
	}
}

// checkSeen holds what a store shows against what was seen. What a mirror lacks is
// only counted; what stands in the place of another is a problem there, too.
func (j *job) checkSeen(ctx context.Context, c *catalog, loaded []*snapshot.Loaded,
	seen map[config.SetOf]config.Point, mirror bool) (behind int, err error) {
	for k, p := range seen {
		var sum snapshot.Sum
		if err := sum.UnmarshalText([]byte(p.Sum)); err != nil {
			return 0, j.badSeen()
		}
		err := c.op.Store.CheckSeen(ctx, loaded,
			snapshot.Place{Host: k.Host, Set: k.Set, Seq: p.Seq}, sum)
		if err == nil || c.op.Store.Trust.Accepts(k.Host, k.Set, p.Seq) {
			continue // the owner knows that it is gone
		}
		c.forked[k] = c.forked[k] || errors.Is(err, snapshot.ErrFork)
		switch {
		case c.said(k.Host, k.Set, p.Seq):
		case mirror && errors.Is(err, snapshot.ErrRollback):
			behind++
		default:
			pr := snapshot.Problem{Host: k.Host, Set: k.Set, Seq: p.Seq, Err: err}
			if manifestKind(err) == "unreadable" {
				errors.As(err, &pr)
			}
			c.problems = append(c.problems, pr)
		}
	}
	return behind, nil
}

// badSeen says that seen.json has a checksum that is none.
func (j *job) badSeen() error {
	return &config.Error{File: j.state.SeenFile(),
		Msg: "is damaged: a checksum in it is malformed", Err: config.ErrInvalid,
		Hint: j.state.ForgetSeen()}
}

// said reports whether a problem of that very manifest is known already.
func (c *catalog) said(h layout.HostID, set layout.SetID, seq uint64) bool {
	return slices.ContainsFunc(c.problems, func(p snapshot.Problem) bool {
		return p.Host == h && p.Set == set && p.Seq == seq
	})
}

// hostname is what this host calls itself in snapshots, "" where that is not known.
func (j *job) hostname() string {
	if c, err := j.config(); err == nil {
		return c.Hostname
	}
	return ""
}

// openRoots reads the roots of rows with the key, and calls fn for each row in order: with
// its root, or what is wrong with it. An error of fn, or the end of ctx, ends it.
func (j *job) openRoots(ctx context.Context, c *catalog, rows []*row, id *keys.Identity,
	fn func(r *row, root *snapshot.Root, err error) error) error {
	all := make([]*snapshot.Manifest, len(rows))
	for i, r := range rows {
		all[i] = r.Manifest
	}
	defer j.showReads(c.op.Store, "open the snapshots")()
	return c.op.Store.OpenAll(ctx, all, id, func(i int, o snapshot.Opened) error {
		c.note(rows[i], o.Problems)
		if o.Err == nil {
			c.keep(rows[i], o.Root)
		}
		return fn(rows[i], o.Root, o.Err)
	})
}

// openRoot is what lists show of the root of a row, which is read once; nil without
// an error if there is no key.
func (c *catalog) openRoot(ctx context.Context, r *row, id *keys.Identity) (*snapshot.Root, error) {
	if r.Root != nil || id == nil {
		return r.Root, nil
	}
	root, _, err := c.wholeRoot(ctx, r, id)
	if err != nil {
		return nil, err
	}
	c.keep(r, root)
	return root, nil
}

// keep keeps what lists show of the root of a row: there may be thousands of them.
func (c *catalog) keep(r *row, root *snapshot.Root) {
	for _, t := range root.Tags {
		c.nameTag(t)
	}
	root.Tags = nil
	root.Errors, root.Excludes, root.Filters, root.Recipients = nil, nil, nil, nil
	r.Root = root
}

// wholeRoot reads the root of a row, and what opens its pages.
func (c *catalog) wholeRoot(ctx context.Context, r *row, id *keys.Identity) (*snapshot.Root,
	[]age.Identity, error) {
	o := c.op.Store.Open(ctx, r.Manifest, id)
	c.note(r, o.Problems)
	return o.Root, o.IDs, o.Err
}

// note notes what is wrong with the epoch keys of a row.
func (c *catalog) note(r *row, problems []snapshot.Problem) {
	for _, p := range problems {
		// That the key is wrong is said by the root, unless another way in was found.
		if r.Root == nil && !errors.Is(p.Err, keys.ErrWrongIdentity) {
			c.problems = append(c.problems, p)
		}
	}
}

// hostName is the host's name for people: as the root has it, this host's own, as it was
// remembered, or its id.
func (c *catalog) hostName(k chain, root *snapshot.Root) string {
	if root != nil && root.Hostname != "" {
		return string(root.Hostname)
	}
	if c.op.Host != nil && c.op.Host.ID == k.host && c.hostname != "" {
		return c.hostname
	}
	return cmp.Or(string(c.op.Known.Hosts[k.host]), k.host.String())
}

// setName is the set's name for people: as the root has it, as sets.json, or its id.
func (c *catalog) setName(k chain, root *snapshot.Root) string {
	if root != nil && root.SetName != "" {
		return string(root.SetName)
	}
	if name := c.op.Sets.Name(k.set); name != "" && c.op.Host != nil && c.op.Host.ID == k.host {
		return name
	}
	return k.set.String()
}

// event is a row for --json.
func (c *catalog) event(r *row) events.Snapshot {
	ev := events.Snapshot{Type: "snapshot", ID: r.ID(), Time: r.Time, Host: r.Host.String(),
		Set: r.Set.String(), Seq: r.Seq, Complete: r.Complete, Blobs: r.Count, Stored: r.Bytes}
	if name := c.hostName(r.chain(), r.Root); name != ev.Host {
		ev.Hostname, ev.Hostname64 = events.Twin(name)
	}
	if name := c.setName(r.chain(), r.Root); name != ev.Set {
		ev.SetName, ev.SetName64 = events.Twin(name)
	}
	mark := c.mark(r)
	ev.Pinned = len(mark.Pins) > 0
	for _, id := range mark.Tags {
		if name, ok := c.tags[id]; ok {
			ev.Tags = append(ev.Tags, name)
		} else {
			ev.Unnamed++
		}
	}
	slices.Sort(ev.Tags)
	if r.Root != nil {
		for _, p := range r.Root.Paths {
			ev.Paths = append(ev.Paths, events.PathOf(string(p)))
		}
		n := r.Root.Counts
		ev.Files, ev.Bytes, ev.Errors = &n.Files, &n.Bytes, &n.Errors
	}
	return ev
}

// newestFirst sorts chains by the time of their newest snapshot.
func newestFirst(chains []chain, newest map[chain]time.Time) {
	slices.SortFunc(chains, func(a, b chain) int {
		return cmp.Or(newest[b].Compare(newest[a]), cmp.Compare(a.host.String(), b.host.String()),
			cmp.Compare(a.set.String(), b.set.String()))
	})
}

// problemWith is an error about one snapshot as a problem.
func problemWith(r *row, err error) snapshot.Problem {
	return snapshot.Problem{Host: r.Host, Set: r.Set, Seq: r.Seq,
		Err: fmt.Errorf("snapshot %s: %w", r.short(), err)}
}
