package gc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// needs are what a manifest or a checkpoint needs, as places in the inventory: a few KiB each,
// since most of it is in lists that they share.
type needs struct {
	lists  []*list
	here   []int32         // root, keys and blobs that it names itself
	gone   []layout.Object // needed, and not in the inventory
	epochs []layout.Epoch  // of its keys
}

// list is a blob list, read once.
type list struct {
	at    int32 // of the list itself
	blobs []int32
	gone  []layout.Object
	err   error  // it could not be read
	live  bool   // its blobs are marked
	first uint64 // seq of the first gc object that condemned it, or a blob of it; 0: none
	named bool   // by the newest gc object
}

// deleted reports whether prune has deleted the list. Whatever names it was stored too late,
// by a machine that was held up and could not look again: it is not whole, and never will be.
func (l *list) deleted() bool { return l.named && errors.Is(l.err, fs.ErrNotExist) }

// checkpoint is one that pins something.
type checkpoint struct {
	set    layout.SetID
	seq    uint64
	at     int32
	stored time.Time
	needs
}

// reader gathers what manifests and checkpoints need.
type reader struct {
	store     Store
	host      layout.HostID
	inventory *inventory
	lists     map[snapshot.Sum]*list
	known     map[string]bool // keys that were read

	manifests   []*Snapshot
	checkpoints []*checkpoint
	notes       map[string]snapshot.Sum // what they are about, by id
	said        snapshot.Notes
	newest      time.Time // when the newest of them was stored
}

func newReader(s Store, host layout.HostID, v *inventory) *reader {
	return &reader{store: s, host: host, inventory: v, lists: map[snapshot.Sum]*list{},
		known: map[string]bool{}, notes: map[string]snapshot.Sum{}}
}

// read reads what is new since the last time.
func (r *reader) read(ctx context.Context) error {
	problems, err := r.store.Read(ctx, Visitor{
		Known: func(key string) bool { return r.known[key] },
		Manifest: func(m Manifest) error {
			r.known[m.Key] = true
			s, err := r.manifest(ctx, m)
			r.manifests = append(r.manifests, s)
			return err
		},
		Checkpoint: func(c Checkpoint) error {
			key := layout.Checkpoint(r.host, c.ID)
			r.known[key] = true
			n, err := r.needs(ctx, &c.Needs)
			at := r.inventory.find(layout.Object{Kind: layout.KindCheckpoint, Short: c.ID})
			r.checkpoints = append(r.checkpoints, &checkpoint{c.Set, c.Seq, at, c.Stored, n})
			r.seen(c.Stored)
			return err
		},
		Note: func(n *snapshot.Note) {
			r.known[layout.Note(r.host, n.ID)] = true
			r.notes[n.ID] = n.Sum
			r.said.Add(n)
		},
	})
	if err == nil && len(problems) > 0 {
		err = &ProblemsError{problems}
	}
	return err
}

func (r *reader) seen(stored time.Time) {
	if stored.After(r.newest) {
		r.newest = stored
	}
}

func (r *reader) manifest(ctx context.Context, m Manifest) (*Snapshot, error) {
	n, err := r.needs(ctx, &m.Needs)
	n.want(r.inventory, layout.Object{Kind: layout.KindRoot, Sum: m.Root.Name}, m.Root.Size)
	for _, k := range m.Keys {
		n.want(r.inventory, layout.Object{Kind: layout.KindEpochKey, Epoch: k.Epoch, N: k.N}, k.Size)
	}
	s := &Snapshot{
		Place: snapshot.Place{Host: m.Host, Set: m.Set, Seq: m.Seq}, Sum: m.Sum, Time: m.Time, Stored: m.Stored,
		Complete: m.Complete, Tags: slices.Clone(m.Tags),
		key: m.Key, size: m.Size, prev: m.Prev, needs: n,
	}
	if m.GC != nil {
		s.gc = m.GC.Seq
	}
	r.seen(m.Stored)
	return s, err
}

// needs are those of a manifest or checkpoint.
func (r *reader) needs(ctx context.Context, of *snapshot.Needs) (n needs, err error) {
	named := int64(len(of.Blobs))
	for _, ref := range of.Lists {
		named += ref.Count
	}
	if named != of.Count { // it was read without what it names: nothing would be needed
		return n, fmt.Errorf("internal error: %d of %d blobs of a snapshot are known", named, of.Count)
	}
	for _, k := range of.Keys {
		n.epochs = append(n.epochs, k.Epoch)
	}
	n.lists = make([]*list, 0, len(of.Lists))
	for _, ref := range of.Lists {
		l := r.lists[ref.Name]
		if l == nil {
			if l, err = r.list(ctx, ref); err != nil {
				return n, err
			}
			r.lists[ref.Name] = l
		}
		n.lists = append(n.lists, l)
	}
	n.here = make([]int32, 0, len(of.Blobs)+1)
	for i := range of.Blobs {
		n.want(r.inventory, layout.Object{Kind: layout.KindBlob, Sum: of.Blobs[i].Name}, of.Blobs[i].Size)
	}
	return n, nil
}

// whole reports whether all of it is listed, and nothing was condemned by a gc object for which
// it came too late.
func (n *needs) whole(first func(at int32) uint64, late func(seq uint64) bool) bool {
	return len(n.gone) == 0 &&
		!slices.ContainsFunc(n.here, func(at int32) bool { return late(first(at)) }) &&
		!slices.ContainsFunc(n.lists, func(l *list) bool {
			return l.err != nil || l.at < 0 || len(l.gone) > 0 || late(l.first)
		})
}

func (n *needs) want(v *inventory, o layout.Object, size int64) {
	at := v.find(o)
	if at >= 0 {
		n.here = append(n.here, at)
	}
	if at < 0 || v.all[at].size != small(size) {
		n.gone = append(n.gone, o)
	}
}

// list reads a blob list. What is wrong with it is kept: whether that matters depends on who
// needs it.
func (r *reader) list(ctx context.Context, ref snapshot.ListRef) (*list, error) {
	o := layout.Object{Kind: layout.KindBlobList, Host: r.host, Sum: ref.Name}
	l := &list{at: r.inventory.find(o)}
	blobs, err := r.store.BlobList(ctx, ref)
	if ctx.Err() != nil {
		return nil, err
	}
	if l.err = err; err != nil {
		return l, nil //nolint:nilerr // it is kept
	}
	var n needs
	n.here = make([]int32, 0, len(blobs))
	for i := range blobs {
		n.want(r.inventory, layout.Object{Kind: layout.KindBlob, Sum: blobs[i].Name}, blobs[i].Size)
	}
	l.blobs, l.gone = n.here, n.gone
	return l, nil
}

// marks are what is marked as needed while it is gathered.
type marks struct {
	v       *inventory
	epochs  map[layout.Epoch]bool
	missing map[[32]byte]bool // blobs that are needed and not there: their parity may heal them
	sums    map[snapshot.Sum]bool
}

// mark marks what something needs. A list that could not be read is an error: what it names is
// needed, and nobody knows what that is.
func (m *marks) mark(n *needs) error {
	for _, l := range n.lists {
		if l.err != nil && !l.deleted() {
			return l.err
		}
		if l.live {
			continue
		}
		l.live = true
		if l.at >= 0 {
			m.v.all[l.at].needs = true
		}
		m.places(l.blobs, l.gone)
	}
	m.places(n.here, n.gone)
	for _, e := range n.epochs {
		m.epochs[e] = true
	}
	return nil
}

func (m *marks) places(at []int32, gone []layout.Object) {
	for _, i := range at {
		m.v.all[i].needs = true
	}
	for _, o := range gone {
		if o.Kind == layout.KindBlob {
			m.missing[o.Sum] = true
		}
	}
}

// rest marks what is needed because something else is: every wrapping of an epoch's key, the
// parity of a blob, the notes about a snapshot.
func (m *marks) rest(notes map[string]snapshot.Sum) {
	for i, of := 0, m.v.of(layout.KindEpochKey); i < len(of); i++ {
		of[i].needs = of[i].needs || m.epochs[of[i].object(layout.HostID{}).Epoch]
	}
	for i, of := 0, m.v.of(layout.KindParity); i < len(of); i++ {
		at := m.v.look(uint8(layout.KindBlob), of[i].id)
		of[i].needs = of[i].needs || at >= 0 && m.v.all[at].needs || m.missing[of[i].id]
	}
	for i, of := 0, m.v.of(layout.KindNote); i < len(of); i++ {
		about, read := notes[of[i].object(layout.HostID{}).Short]
		of[i].needs = of[i].needs || !read || m.sums[about]
	}
}

// needed marks what the snapshots need, and the checkpoints that are valid.
func (r *reader) needed(m *marks, live func(*Snapshot) bool, valid func(*checkpoint) bool) error {
	for _, s := range r.manifests {
		if !live(s) {
			continue
		}
		if err := m.mark(&s.needs); err != nil {
			return fmt.Errorf("what snapshot %s needs is not known: %w", s.Sum.String()[:8], err)
		}
		m.sums[s.Sum] = true
	}
	for _, c := range r.checkpoints {
		if !valid(c) {
			continue
		}
		if err := m.mark(&c.needs); err != nil {
			return fmt.Errorf("what a running backup needs is not known: %w", err)
		}
		if c.at >= 0 {
			m.v.all[c.at].needs = true
		}
	}
	m.rest(r.notes)
	return nil
}
