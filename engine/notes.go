package engine

import (
	"bytes"

	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// AnnotateOptions say what is noted about a snapshot: one of Tags to Unpin.
type AnnotateOptions struct {
	Snapshot string // its id, or latest
	Pick     Pick
	Tags     []string // that it gets
	Untags   []string // that it loses
	Pin      bool     // no policy is to remove it
	Unpin    bool
	Kit      string // file with the recovery kit, if the owner is to sign; "": this machine signs
}

func (o *AnnotateOptions) command() string {
	switch {
	case len(o.Tags) > 0:
		return "snapshot tag"
	case len(o.Untags) > 0:
		return "snapshot untag"
	case o.Pin:
		return "snapshot pin"
	}
	return "snapshot unpin"
}

// Annotate puts tags and pins on a snapshot, or takes them off. It tells of the [events.Snapshot]
// as it is then.
func (e *Engine) Annotate(ctx context.Context, o AnnotateOptions,
	sink events.Sink) (events.Totals, error) {
	j := e.begin(o.command(), sink)
	return j.told(ctx, func() error { return j.annotate(ctx, o) })
}

func (j *job) annotate(ctx context.Context, o AnnotateOptions) error {
	for _, t := range slices.Concat(o.Tags, o.Untags) {
		if t == "" || strings.Contains(t, ",") {
			return fault.Misuse(o.command(), fmt.Sprintf("%q is no tag: a tag is not empty, and "+
				"has no comma", t))
		}
	}
	key, err := j.optionalIdentity()
	if err != nil {
		return err
	}
	op, err := j.openStore(ctx, backends.Options{})
	if err != nil {
		return err
	}
	defer op.Close()
	if op.Mirror {
		return notedElsewhere(op)
	}
	j.looksUp(op)
	cat, err := j.catalog(ctx, op)
	if err != nil {
		return err
	}
	if err := j.readNotes(ctx, cat); err != nil {
		return err
	}
	j.rest = ""
	for _, t := range slices.Concat(o.Tags, o.Untags) {
		j.rest += " " + config.Quote(t)
	}
	r, err := j.find(ctx, cat, o.Snapshot, o.Pick, key)
	if err != nil {
		return err
	}
	signer, err := j.noteSigner(op, r, &o)
	if err == nil {
		err = j.nameTags(ctx, cat, []*row{r}, key)
	}
	if err != nil {
		return err
	}
	n := &snapshot.Note{Store: op.Store.Doc.Store, Host: r.Host, ID: layout.NewULID(time.Now()),
		Time: time.Now(), Set: r.Set, Seq: r.Seq, Sum: r.Sum}
	changed, err := j.writeOn(cat, r, &o, n)
	if err != nil {
		return err
	}
	if changed {
		if err := putNote(ctx, op, n, signer); err != nil {
			return err
		}
		cat.notes.Add(n)
	}
	j.Tell(cat.event(r))
	return nil
}

func notedElsewhere(op *opened) error {
	return &fault.UsageError{Msg: backends.Redact(op.URL) +
		" is a mirror: its store would not know of it",
		Advice: "name the store itself, and update the mirror with vaultik store copy"}
}

// putNote signs and stores a note. Its name is new.
func putNote(ctx context.Context, op *opened, n *snapshot.Note, signer *keys.Signer) error {
	b, err := snapshot.EncodeNote(n, signer)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	_, err = op.Backend.Put(ctx, layout.Note(n.Host, n.ID), backends.Bytes(b, &sum),
		backends.PutOptions{IfAbsent: op.Store.Doc.Safety == ""})
	if err != nil {
		return fmt.Errorf("write note: %w", err)
	}
	return nil
}

// writeOn writes on a note what is asked for; false if all of it is so already.
func (j *job) writeOn(c *catalog, r *row, o *AnnotateOptions, n *snapshot.Note) (changed bool,
	err error) {
	mark := c.mark(r)
	switch {
	case len(o.Tags) > 0:
		err = j.tag(c, r, mark, o.Tags, n)
	case len(o.Untags) > 0:
		n.Untags, err = j.tagsNamed(c, r, mark, o.Untags)
	case o.Pin && len(mark.Pins) == 0:
		n.Pin = true
	case o.Pin:
		j.Note("snapshot %s is pinned already", r.short())
	case len(mark.Pins) > 0:
		n.Unpins = mark.Pins
	default:
		j.Note("snapshot %s is not pinned", r.short())
	}
	return n.Pin || len(n.Tags)+len(n.Untags)+len(n.Unpins) > 0, err
}

// tag gives a note the tags that a snapshot does not have yet.
func (j *job) tag(c *catalog, r *row, mark snapshot.Mark, names []string, n *snapshot.Note) error {
	if c.op.Host == nil || c.op.Host.ID != r.Host {
		return &fault.UsageError{Msg: "snapshot " + r.short() + " is of another host, which " +
			"keeps the secret that hides the names of its tags",
			Advice: "tag it there; or keep it in another way: " +
				j.vaultik("snapshot pin "+r.short())}
	}
	conf, err := j.config()
	if err != nil {
		return err
	}
	if err := j.checkRecipients(c.op, conf); err != nil {
		return err
	}
	var tags []snapshot.Tag
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		if _, has := c.hasTag(r, mark, name); has {
			j.Note("snapshot %s has the tag %q already", r.short(), name)
			continue
		}
		t := snapshot.Tag{ID: c.freeTag(r, mark, name), Name: snapshot.Text(name)}
		tags = append(tags, t)
		c.nameTag(t)
	}
	if len(tags) == 0 {
		return nil
	}
	slices.SortFunc(tags, func(a, b snapshot.Tag) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for _, t := range tags {
		n.Tags = append(n.Tags, t.ID)
	}
	epoch := ""
	if e := c.op.Host.Epoch; e != nil && e.Fresh(conf.Recipients, time.Now()) {
		epoch = e.Recipient
	}
	n.Sealed, err = snapshot.SealTags(tags, conf.Recipients, epoch)
	return err
}

// freeTag is the id that a snapshot's tag gets: one that no note has taken away.
func (c *catalog) freeTag(r *row, mark snapshot.Mark, name string) snapshot.TagID {
	for n := 0; ; n++ {
		id := snapshot.NewTag(c.op.Host.Secret.Tag(), r.Set, r.Seq, n, name)
		if !slices.Contains(mark.Untags, id) {
			return id
		}
	}
}

// hasTag finds the tag of a name that a snapshot has, by what is known here: names that were
// opened, and of this host's snapshots the ids that the name would have.
func (c *catalog) hasTag(r *row, mark snapshot.Mark, name string) (snapshot.TagID, bool) {
	own := c.op.Host != nil && c.op.Host.ID == r.Host
	if own {
		if id := c.freeTag(r, mark, name); slices.Contains(mark.Tags, id) {
			return id, true
		}
	}
	for _, id := range mark.Tags {
		if known, ok := c.tags[id]; ok && known == name {
			return id, true
		}
	}
	return snapshot.TagID{}, false
}

// tagsNamed are the tags of a snapshot with these names, all of which it must have.
func (j *job) tagsNamed(c *catalog, r *row, mark snapshot.Mark,
	names []string) (ids []snapshot.TagID, err error) {
	for _, name := range names {
		id, ok := c.hasTag(r, mark, name)
		if !ok {
			unknown := slices.ContainsFunc(mark.Tags, func(t snapshot.TagID) bool {
				_, known := c.tags[t]
				return !known
			})
			e := &fault.UsageError{Msg: fmt.Sprintf("snapshot %s has no tag %q", r.short(), name),
				Advice: "see its tags: " + j.vaultik("snapshots")}
			if own := c.op.Host != nil && c.op.Host.ID == r.Host; unknown && !own {
				e.Msg += " whose name is known here"
				e.Advice = "set " + keys.EnvIdentity + ", which opens the names of its tags"
			}
			return nil, e
		}
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b snapshot.TagID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids), nil
}

// noteSigner is who signs what is asked for: the owner, a machine that may prune, or, if
// nothing is unpinned, the host whose snapshot it is.
func (j *job) noteSigner(op *opened, r *row, o *AnnotateOptions) (*keys.Signer, error) {
	if o.Kit != "" {
		kit, err := ownersKit(o.Kit, op)
		if err != nil {
			return nil, err
		}
		return kit.Owner, nil
	}
	if op.Host == nil {
		return nil, &op.noHost
	}
	own := r.Host == op.Host.ID && op.trusted() == nil
	if op.mayPrune() || own && !o.Unpin {
		return op.Host.Signer, nil
	}
	what := "the snapshots of other hosts are not for this host to mark"
	if o.Unpin {
		what = "this host may pin its snapshots, and not unpin them: its thief could"
	}
	return nil, fault.WithHint(fmt.Errorf("%s; %s, and the owner", what, op.prunersText("may")),
		"have the owner sign it: "+j.again(r.short()+" --kit FILE"))
}

// mayPrune reports whether the owner lets this machine remove snapshots.
func (o *opened) mayPrune() bool {
	if o.Host == nil {
		return false
	}
	h, ok := o.Store.Trust.Host(o.Host.ID)
	return ok && h.Key == o.Host.Signer.Public() && h.Has(snapshot.RolePrune) && h.Revoked.IsZero()
}

// prunersText names the machines that may remove snapshots, with a verb for them.
func (o *opened) prunersText(verb string) string {
	var ids []string
	for _, h := range o.Store.Trust.Hosts {
		if h.Has(snapshot.RolePrune) && h.Revoked.IsZero() {
			ids = append(ids, h.Host.String())
		}
	}
	if len(ids) == 0 {
		return "no machine has the role prune"
	}
	return words.Plural(int64(len(ids)), "machine", "machines") + " with the role prune " + verb +
		" (" + strings.Join(ids, ", ") + ")"
}

// mark is what a snapshot has beside its contents.
func (c *catalog) mark(r *row) snapshot.Mark {
	return c.notes.Of(snapshot.Place{Host: r.Host, Set: r.Set, Seq: r.Seq}, r.Sum, r.Tags)
}

// readNotes reads the notes about all snapshots of a catalog. One that cannot be read is a
// problem.
func (j *job) readNotes(ctx context.Context, c *catalog) error {
	hosts := map[layout.HostID]bool{}
	for _, r := range c.rows {
		if hosts[r.Host] {
			continue
		}
		hosts[r.Host] = true
		problems, err := c.op.Store.EachNote(ctx, r.Host, nil, func(n *snapshot.LoadedNote) error {
			c.notes.Add(n.Note)
			if len(n.Sealed) > 0 {
				c.unopened = append(c.unopened, n)
			}
			return nil
		})
		if err == nil {
			err = unreachable(problems)
		}
		if err != nil {
			return err
		}
		c.problems = append(c.problems, problems...)
	}
	j.sayStrays(c.op)
	return nil
}

// nameTag notes the name of a tag.
func (c *catalog) nameTag(t snapshot.Tag) {
	if c.tags == nil {
		c.tags = map[snapshot.TagID]string{}
	}
	c.tags[t.ID] = string(t.Name)
}

// nameTags opens the names of the tags that snapshots have, with the key: those in their roots,
// unless these are open already, and those in notes. What cannot be opened costs names only.
func (j *job) nameTags(ctx context.Context, c *catalog, rows []*row, key *keys.Identity) error {
	if key == nil {
		return nil
	}
	wanted := map[snapshot.TagID]bool{}
	newest := map[layout.HostID]*row{}
	for _, r := range rows {
		for _, id := range c.mark(r).Tags {
			if _, known := c.tags[id]; known {
				continue
			}
			if wanted[id] = true; r.Root == nil && slices.Contains(r.Tags, id) {
				if _, err := c.rootOf(ctx, r, key); err != nil {
					return err
				}
			}
		}
		if old := newest[r.Host]; old == nil || old.Time.Before(r.Time) {
			newest[r.Host] = r
		}
	}
	for _, n := range c.unopened {
		r := newest[n.Host]
		want := func(t snapshot.TagID) bool { return wanted[t] }
		if r == nil || !slices.ContainsFunc(n.Tags, want) {
			continue
		}
		// A note is sealed to an epoch as well, so that a key in hardware is asked once an epoch.
		ids, _, err := c.op.Store.Identities(ctx, r.Manifest, key)
		if err != nil {
			return err
		}
		if err := c.openTags(n, ids); err != nil {
			j.Warn("", "%s: %v", n.Key, err)
		}
	}
	return nil
}

func (c *catalog) openTags(n *snapshot.LoadedNote, ids []age.Identity) error {
	tags, err := n.OpenTags(ids)
	if errors.Is(err, keys.ErrWrongIdentity) {
		return nil // the snapshots say so
	}
	for _, t := range tags {
		c.nameTag(t)
	}
	return err
}
