package prunemodel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"vaultik/vault/blob"
	"vaultik/vault/commit"
	"vaultik/vault/gc"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// host is a machine that backs up, and what it remembers on its disk.
type host struct {
	*machine
	part   *part
	files  map[*set][]int // contents of each set's files now
	before map[*set][]int // at some time before
	heads  map[*set]*head
	index  map[int]*stored // by content
	blobs  []*stored       // in the order in which they were made
	key    *epochKey       // seals new blobs
	clean  bool            // the last run ended by itself
	prunes bool            // itself, while it holds its lock
}

// head is what a host remembers of its newest manifest.
type head struct {
	seq  uint64
	sum  snapshot.Sum
	next map[snapshot.Sum]*made // that it was about to write
}

// stored is a blob in the index.
type stored struct {
	at       *object
	contents []int
	key      *epochKey
}

type epochKey struct {
	ref snapshot.KeyRef
	at  *object
}

// kinds is how many different contents the files of a host have: few, so that they come back.
const kinds = 10

func (w *world) host(name string, sets int) *host {
	p := w.part()
	id := w.id()
	copy(p.host[:], id[:])
	w.parts = append(w.parts, p)
	h := &host{part: p, files: map[*set][]int{}, before: map[*set][]int{}, heads: map[*set]*head{}, index: map[int]*stored{}, clean: true}
	for range sets {
		s := &set{}
		id := w.id()
		copy(s.id[:], id[:])
		p.sets = append(p.sets, s)
		h.heads[s] = &head{next: map[snapshot.Sum]*made{}}
		for c := range kinds {
			if w.rng.IntN(2) == 0 {
				h.files[s] = append(h.files[s], c)
			}
		}
	}
	h.machine = w.machine(name, w.skew(), h.process)
	return h
}

func (w *world) skew() time.Duration {
	if w.rng.IntN(3) == 0 {
		return 0
	}
	return w.upTo(192*time.Hour) - 96*time.Hour
}

// process is one run of the program: it backs up each set, and prunes, under the host's lock.
func (h *host) process(*machine) {
	w := h.w
	h.clean = true
	for _, s := range h.part.sets {
		h.edit(s)
		w.gather(h.machine)
		err := h.backup(s)
		h.clean = h.clean && err == nil
		if h.dead {
			break
		}
		if w.mends && w.chance(400) {
			w.lose(h.part)
		}
		if h.prunes && w.chance(500) {
			h.prune()
		}
	}
	if h.dead {
		h.clean = false
	}
	h.wake = w.now + w.upTo([]time.Duration{2 * time.Hour, 30 * time.Hour, 200 * time.Hour}[w.rng.IntN(3)])
}

// prune is what the host does itself. At once only where no request is still on its way.
func (h *host) prune() {
	times := gc.Near
	if h.w.local && h.clean {
		times = gc.Times{}
	}
	times.Heeded = h.w.clients
	_, _ = h.w.pruneOne(h.machine, h.part, times, nil)
}

// edit changes a few files: new contents appear, and old ones again; or all is as it was once.
func (h *host) edit(s *set) {
	switch {
	case h.before[s] != nil && h.w.chance(300):
		h.files[s], h.before[s] = h.before[s], h.files[s]
		return
	case h.before[s] == nil || h.w.chance(100):
		h.before[s] = slices.Clone(h.files[s])
	}
	for range 1 + h.w.rng.IntN(3) {
		c := h.w.rng.IntN(kinds)
		if i := slices.Index(h.files[s], c); i >= 0 && len(h.files[s]) > 1 {
			h.files[s] = slices.Delete(h.files[s], i, i+1)
		} else if i < 0 {
			h.files[s] = append(h.files[s], c)
		}
	}
}

// backup is one run: what it knows of the store, and what it makes.
type backup struct {
	*host
	set      *set
	listing  int // number of the newest
	gc       *snapshot.GCSeen
	listedAt time.Duration
	made     *made
	saved    *made
}

// errLost means that a commit did not come to an end.
var errLost = errors.New("objects are lost again and again")

func (h *host) backup(s *set) (err error) {
	b := &backup{host: h, set: s}
	h.w.tell(h.machine, "backs up set %s: %v", s.id.String()[:2], h.files[s])
	defer func() {
		h.brink = false
		if err != nil {
			h.w.tell(h.machine, "ends: %v", err)
		}
	}()
	if err := b.List(); err != nil {
		return err
	}
	b.forget()
	if err := b.epoch(); err != nil {
		return err
	}
	for range 3 {
		if err := b.store(); err != nil {
			return err
		}
		missing, err := commit.Run(b)
		if err != nil {
			return err
		}
		if missing == 0 {
			h.w.tell(h.machine, "has saved %s", b.saved.at)
			b.saved.success = true
			b.set.hadWhole = b.set.hadWhole || !b.saved.removed
			if b.part.removed(b.saved) && !b.saved.removed {
				h.w.broke("%s is saved where another one was removed", b.saved.at)
			}
			if !b.saved.removed && !b.saved.whole() {
				h.w.broke("%s is saved, and %v is not there", b.saved.at, b.saved.gone())
			}
			return nil
		}
	}
	return errLost
}

// gone is what a manifest needs and nobody has.
func (m *made) gone() (out []*object) {
	for _, x := range m.needs {
		if !x.there {
			out = append(out, x)
		}
	}
	return out
}

// forget drops index rows of blobs that are gone, or whose epoch's key is. It returns how many.
func (b *backup) forget() (n int) {
	b.blobs = slices.DeleteFunc(b.blobs, func(s *stored) bool {
		if b.good(s.at) && b.good(s.key.at) {
			return false
		}
		for _, c := range s.contents {
			if b.index[c] == s {
				delete(b.index, c)
			}
		}
		n++
		return true
	})
	return n
}

// good reports whether an object can be relied upon.
func (b *backup) good(x *object) bool { return !b.doomed(x) && (b.present(x) || x.own == b) }

func (b *backup) doomed(x *object) bool { return x.doomed == b.listing }

func (b *backup) present(x *object) bool { return x.present == b.listing }

// epoch makes a new epoch key where there is none, and sometimes.
func (b *backup) epoch() error {
	w := b.w
	if b.key != nil && b.good(b.key.at) && (w.calm || w.chance(900)) {
		if w.calm || w.chance(950) {
			return nil
		}
		again := b.part.object(layout.Object{Kind: layout.KindEpochKey, Epoch: b.key.ref.Epoch, N: 1})
		return b.send("put another wrapping", func() { b.part.put(b.machine, again, 100, w.id()) })
	}
	var e layout.Epoch
	id := w.id()
	copy(e[:], id[:])
	at := b.part.object(layout.Object{Kind: layout.KindEpochKey, Epoch: e})
	ref := snapshot.KeyRef{Epoch: e, Size: 100, SHA256: w.id()}
	if err := b.send("put the epoch key", func() { b.part.put(b.machine, at, 100, ref) }); err != nil {
		return err
	}
	at.own = b
	b.key = &epochKey{ref, at}
	return nil
}

// store stores the contents that the index does not know, and sometimes a checkpoint.
func (b *backup) store() error {
	var todo []int
	for _, c := range b.files[b.set] {
		if b.index[c] == nil {
			todo = append(todo, c)
		}
	}
	for len(todo) > 0 {
		n := min(len(todo), 1+b.w.rng.IntN(2))
		s := &stored{contents: todo[:n:n], key: b.key,
			at: b.part.object(layout.Object{Kind: layout.KindBlob, Sum: b.w.id()})}
		err := b.send("put a blob", func() { b.part.put(b.machine, s.at, 1000, s.contents) })
		if err != nil {
			return err
		}
		s.at.own = b
		b.blobs = append(b.blobs, s)
		for _, c := range s.contents {
			b.index[c] = s
		}
		todo = todo[n:]
	}
	if !b.w.calm && b.w.chance(150) {
		return b.checkpoint()
	}
	return nil
}

// wanted are the blobs that the files are in.
func (b *backup) wanted() (out []*stored) {
	for _, s := range b.blobs {
		if slices.ContainsFunc(b.files[b.set], func(c int) bool { return b.index[c] == s }) {
			out = append(out, s)
		}
	}
	return out
}

// needs stores the blob lists that say which blobs are wanted, and names them.
func (b *backup) needs() (n snapshot.Needs, all []*object, err error) {
	var open []snapshot.BlobSize
	epochs := map[*epochKey]bool{}
	for _, s := range b.wanted() {
		if !epochs[s.key] {
			epochs[s.key] = true
			n.Keys = append(n.Keys, s.key.ref)
			all = append(all, s.key.at)
		}
		all = append(all, s.at)
		open = append(open, snapshot.BlobSize{Name: blob.Name(s.at.Sum), Size: s.at.size})
		n.Count++
		n.Bytes += s.at.size
		if s.at.Sum[0]%3 > 0 {
			continue
		}
		at, ref, err := b.list(open)
		if err != nil {
			return n, nil, err
		}
		n.Lists, all, open = append(n.Lists, ref), append(all, at), nil
	}
	n.Blobs = open
	return n, all, nil
}

// list stores a blob list, unless it is there. Its name is not condemned.
func (b *backup) list(blobs []snapshot.BlobSize) (*object, snapshot.ListRef, error) {
	for salt := uint64(0); ; salt++ {
		h := salt*0x9e3779b97f4a7c15 + 1
		for i := range blobs {
			h = (h ^ binary.BigEndian.Uint64(blobs[i].Name[8:])) * 0xff51afd7ed558ccd
			h ^= h >> 29
		}
		var sum snapshot.Sum
		binary.BigEndian.PutUint64(sum[:], h)
		x := b.part.object(layout.Object{Kind: layout.KindBlobList, Sum: sum})
		ref := snapshot.ListRef{Name: sum, Size: 200, Count: int64(len(blobs))}
		if b.doomed(x) && !b.w.weak.noSalt {
			continue
		}
		if b.present(x) {
			return x, ref, nil
		}
		err := b.send("put a list", func() { b.part.put(b.machine, x, 200, blobs) })
		if err == nil {
			x.present = b.listing
		}
		return x, ref, err
	}
}

// checkpoint pins what was stored so far; the backup then takes long.
func (b *backup) checkpoint() error {
	n, _, err := b.needs()
	if err != nil {
		return err
	}
	b.w.ids++
	c := &snapshot.Checkpoint{Host: b.part.host, Set: b.set.id, Seq: b.heads[b.set].seq + 1,
		ID: fmt.Sprintf("%026d", b.w.ids), Time: b.wall(), Needs: n}
	x := b.part.object(layout.Object{Kind: layout.KindCheckpoint, Short: c.ID})
	if err := b.send("put a checkpoint", func() { b.part.put(b.machine, x, 300, c) }); err != nil {
		return err
	}
	b.wake = b.w.now + b.w.upTo(60*time.Hour)
	b.yield(struct{}{})
	return nil
}

// Age implements commit.Store, as do the following.
func (b *backup) Age() time.Duration {
	if b.saved != nil && b.w.weak.noSecondLook {
		return 0
	}
	return b.boot() - b.listedAt
}

// List reads the newest gc object first, as the program does.
func (b *backup) List() error {
	at := b.boot()
	if err := b.read("read the newest gc object"); err != nil {
		return err
	}
	b.w.listings++
	b.listing, b.gc = b.w.listings, nil
	if g := b.part.head; g != nil {
		b.gc = &snapshot.GCSeen{Seq: g.Seq, SHA256: b.part.headSum}
		if !b.w.weak.heedless {
			b.part.each(g, func(x *object, deleted bool) {
				if !deleted || !b.w.weak.forgotten {
					x.doomed = b.listing
				}
			})
		}
	}
	b.goOn()
	if err := b.read("list"); err != nil {
		return err
	}
	b.part.list(func(x *object) { x.present = b.listing })
	b.listedAt = at
	b.w.tell(b.machine, "has listed, and heeds gc object %d", b.heeds())
	return nil
}

// goOn goes on after the last manifest of a set that was removed as a whole: it may be one that
// arrived late, and that this machine does not know of.
func (b *backup) goOn() {
	if b.part.head == nil {
		return
	}
	for _, r := range b.part.head.Removed {
		if r.Set == b.set.id && r.Seq > b.heads[b.set].seq {
			*b.heads[b.set] = head{seq: r.Seq, sum: r.Sum, next: map[snapshot.Sum]*made{}}
		}
	}
}

func (b *backup) heeds() uint64 {
	if b.gc == nil {
		return 0
	}
	return b.gc.Seq
}

// each calls fn for each object that a gc object condemns.
func (p *part) each(g *snapshot.GC, fn func(x *object, deleted bool)) {
	for i := range g.Condemned {
		for _, name := range g.Condemned[i].Names {
			x := p.byName[name]
			if x == nil && p.mirrors {
				continue
			}
			if x == nil {
				p.world.broke("gc object %d condemns %s, which was never there", g.Seq, name)
				return
			}
			fn(x, g.Condemned[i].Deleted > 0)
		}
	}
}

// Missing asks for those by name that this run has stored and no listing shows.
func (b *backup) Missing() (int, error) {
	for _, s := range b.wanted() {
		for _, x := range []*object{s.at, s.key.at} {
			if b.present(x) || x.own != b {
				continue
			}
			if err := b.read("ask for " + x.key[20:30]); err != nil {
				return 0, err
			}
			if !x.there {
				x.own = nil
			}
		}
	}
	if n := b.forget(); n == 0 {
		return 0, nil
	}
	missing := 0
	for _, c := range b.files[b.set] {
		if b.index[c] == nil {
			missing++
		}
	}
	if missing > 0 && !b.good(b.key.at) {
		return missing, b.epoch()
	}
	return missing, nil
}

// Write makes the manifest.
func (b *backup) Write() error {
	n, all, err := b.needs()
	if err != nil {
		return err
	}
	root := b.part.object(layout.Object{Kind: layout.KindRoot, Sum: b.w.id()})
	if err := b.send("put the root", func() { b.part.put(b.machine, root, 400, b.files) }); err != nil {
		return err
	}
	h := b.heads[b.set]
	l := &snapshot.Loaded{Sum: b.w.id(), Size: 500, Manifest: &snapshot.Manifest{Host: b.part.host,
		Set: b.set.id, Seq: h.seq + 1, Prev: h.sum, Time: b.wall(), Complete: true, Needs: n,
		Root: snapshot.RootRef{Name: root.Sum, Size: 400}}}
	at := b.part.object(layout.Object{Kind: layout.KindManifest, Set: b.set.id, Seq: l.Seq})
	l.Key = at.key
	b.made = &made{Loaded: l, set: b.set, at: at, needs: append(all, root)}
	b.part.manifests = append(b.part.manifests, b.made)
	b.set.made = append(b.set.made, b.made)
	for _, x := range b.made.needs {
		x.needers = append(x.needers, b.made)
	}
	return nil
}

// Whole looks for what the manifest names beside blobs. Its place must not be one that was pruned.
func (b *backup) Whole() (bool, error) {
	if b.part.removed(b.made) {
		return false, nil
	}
	for _, x := range b.made.needs {
		if x.Kind == layout.KindBlob {
			continue
		}
		if b.doomed(x) {
			return false, nil
		}
		if b.present(x) {
			continue
		}
		if err := b.read("ask for " + x.key[20:30]); err != nil {
			return false, err
		}
		if !x.there {
			return false, nil
		}
	}
	return true, nil
}

// Publish creates the manifest.
func (b *backup) Publish(within time.Duration) (bool, error) {
	m, h, start := b.made, b.heads[b.set], b.boot()
	b.brink = true
	m.GC = b.gc
	h.next[m.Sum] = m
	taken := false
	put := func() {
		if taken = m.at.there; !taken {
			b.part.put(b.machine, m.at, 500, m)
		}
	}
	err := b.step("put " + m.at.String())
	if err != nil {
		return false, err
	}
	switch {
	case b.leaves:
		b.w.leave(b.machine, "put "+m.at.String(), put)
		return false, errKilled
	case b.boot()-start > within: // it has given up; the server may have it, or get it
		if b.w.chance(300) {
			put()
		} else if !b.w.local && b.w.chance(500) {
			b.w.fly("put "+m.at.String(), put)
		}
		return b.arrived()
	case !b.w.calm && !b.w.local && b.w.chance(2*b.w.rough.late):
		if b.w.chance(700) {
			b.w.fly("put "+m.at.String(), put)
		}
		b.dead = b.w.chance(700)
		return b.arrived()
	}
	put()
	if err := b.step("answer to put " + m.at.String()); err != nil {
		return false, err
	}
	if taken || b.boot()-start > within {
		return b.arrived()
	}
	b.written(m)
	return true, nil
}

// written notes a manifest that is in the store.
func (b *backup) written(m *made) {
	*b.heads[b.set] = head{seq: m.Seq, sum: m.Sum, next: map[snapshot.Sum]*made{}}
	b.saved = m
}

// arrived looks which manifest is in the place where one was to be.
func (b *backup) arrived() (bool, error) {
	if err := b.read("look for " + b.made.at.String()); err != nil {
		return false, err
	}
	if !b.made.at.there {
		return false, nil
	}
	found := b.made.at.what.(*made)
	if b.heads[b.set].next[found.Sum] == nil {
		return false, fmt.Errorf("%s is another machine's", b.made.at)
	}
	b.written(found)
	return found == b.made, nil
}

// Heeded asks for the gc object after the one that was heeded.
func (b *backup) Heeded() (bool, error) {
	if b.w.weak.unfenced || b.w.weak.noSecondLook {
		return true, nil
	}
	if err := b.read("ask for the next gc object"); err != nil {
		return false, err
	}
	return b.part.head == nil || b.part.head.Seq == b.heeds(), nil
}
