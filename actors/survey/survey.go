// Package survey finds out what snapshots need, and what a store has of it. Checks and
// copies of snapshots begin with it. It is plain code and no job: it blocks, under the
// context of whoever asks.
package survey

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"vaultik/actors"
	"vaultik/backends"
	"vaultik/vault/layout"
	"vaultik/vault/plan"
	"vaultik/vault/snapshot"
)

// Survey is what is known of a store's objects that some snapshots need. ReadLists, then
// Gather and List are for one goroutine; the rest is for any.
type Survey struct {
	Inventory *plan.Inventory
	Snapshots []Snapshot   // gathered so far
	Fetched   atomic.Int64 // bytes

	// Tell is called with each problem as it is found. It is set before Gather.
	Tell func(Problem)

	// Deleted are the objects that prune says it has deleted. It is set before List.
	Deleted map[int]bool

	Spare, SpareSize int64 // unreferenced objects, and their bytes

	store backends.Backend
	asked []*snapshot.Loaded
	lists map[int]*List            // by object
	last  map[chain]int            // snapshot that was gathered
	read  map[listKey]*readingList // before Gather asks for it
	ahead chan struct{}            // a place for each list that was read and not asked for

	parity []uint32 // bytes of parity that the store lists, by blob; nil: of none

	mu  sync.Mutex
	bad map[int]bool // objects
}

// Snapshot is one that was gathered.
type Snapshot struct {
	*snapshot.Loaded
	Num       int      // among those asked for
	HostNum   int      // in the inventory
	BlobLists []*List  // in the order of the manifest
	Inline    []uint32 // blobs that the manifest names itself, as objects of the inventory
	Partial   bool     // a list is bad: not all blobs are known that the manifest names
}

// List is a blob list that was read.
type List struct {
	Object int      // of the inventory
	Blobs  []uint32 // objects of the inventory
	bytes  int64    // of these blobs
	bad    bool
}

// chain names the snapshots of one set of one host.
type chain struct {
	host layout.HostID
	set  layout.SetID
}

// listKey names a blob list.
type listKey struct {
	host layout.HostID
	name snapshot.Sum
}

// readingList is a blob list on its way.
type readingList struct {
	host  layout.HostID
	ref   snapshot.ListRef
	done  chan struct{} // closed when the others are set
	blobs []snapshot.BlobSize
	err   error
}

// New begins a survey of snapshots, whose manifests are verified already.
func New(store backends.Backend, snapshots []*snapshot.Loaded) *Survey {
	return &Survey{
		Inventory: plan.NewInventory(), store: store, asked: snapshots,
		lists: map[int]*List{}, last: map[chain]int{}, bad: map[int]bool{},
	}
}

// ObjectProblem is a problem with one object of the inventory.
func (s *Survey) ObjectProblem(i int, kind Kind, reason string) {
	s.tell(i, Problem{Kind: kind, Key: s.Inventory.Key(i), Reason: reason})
}

// ObjectError is an error that one object of the inventory has led to.
func (s *Survey) ObjectError(i int, err error) { s.tell(i, Of(err, s.Inventory.Key(i))) }

func (s *Survey) tell(i int, p Problem) {
	s.Inventory.At(i).State = plan.Bad
	s.SetBad(i)
	p.Snapshots = s.IDs(i)
	s.Tell(p)
}

// Fatal returns err if it ends a job: the job was cancelled, or the store is unreachable.
func Fatal(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if actors.StoreGone(err) {
		return err
	}
	return nil
}

// ReadLists begins to read all blob lists, so many at once, for Gather to find them there: at
// most so many are there that it has not asked for. wait returns when none is being read any
// more.
func (s *Survey) ReadLists(ctx context.Context, parallel int) (wait func()) {
	s.read, s.ahead = map[listKey]*readingList{}, make(chan struct{}, parallel)
	var all []*readingList // in the order in which Gather asks for them
	for _, m := range s.asked {
		for _, ref := range m.Lists {
			if k := (listKey{m.Host, ref.Name}); s.read[k] == nil {
				l := &readingList{host: m.Host, ref: ref, done: make(chan struct{})}
				s.read[k] = l
				all = append(all, l)
			}
		}
	}
	var wg sync.WaitGroup
	next := atomic.Int64{}
	for range min(parallel, len(all)) {
		wg.Go(func() {
			for {
				select {
				case s.ahead <- struct{}{}:
				case <-ctx.Done():
					return
				}
				i := next.Add(1) - 1
				if int(i) >= len(all) {
					return
				}
				l := all[i]
				l.blobs, l.err = s.readList(ctx, l.host, l.ref)
				close(l.done)
			}
		})
	}
	return wg.Wait
}

// readList reads one blob list.
func (s *Survey) readList(ctx context.Context, host layout.HostID, ref snapshot.ListRef) (
	[]snapshot.BlobSize, error) {
	b, err := s.pinned(ctx, layout.BlobList(host, ref.Name), ref.Size, ref.Name)
	if err != nil {
		return nil, err
	}
	blobs, err := snapshot.DecodeBlobList(b)
	if err == nil && int64(len(blobs)) != ref.Count {
		err = fmt.Errorf("%w: it has %d blobs, not %d",
			snapshot.ErrDamaged, len(blobs), ref.Count)
	}
	return blobs, err
}

// Gather notes what one snapshot needs, for which it waits for its blob lists.
func (s *Survey) Gather(ctx context.Context, num int) error {
	inv, m := s.Inventory, s.asked[num]
	got := Snapshot{Loaded: m, Num: num, HostNum: inv.Host(m.Host)}
	k := chain{m.Host, m.Set}
	if last, ok := s.last[k]; ok {
		inv.Follows(num, last)
	}
	s.last[k] = num
	s.noted(inv.AddRoot(num, got.HostNum, m.Root))
	for _, k := range m.Keys {
		s.noted(inv.AddKey(num, got.HostNum, k))
	}
	count, bytes := int64(len(m.Blobs)), snapshot.TotalSize(m.Blobs)
	for _, ref := range m.Lists {
		i := s.noted(inv.AddList(num, got.HostNum, ref))
		l, err := s.blobList(ctx, i, got.HostNum, listKey{m.Host, ref.Name})
		if err != nil {
			return err
		}
		got.BlobLists = append(got.BlobLists, l)
		got.Partial = got.Partial || l.bad
		count += int64(len(l.Blobs))
		bytes += l.bytes
	}
	for _, b := range m.Blobs {
		got.Inline = append(got.Inline, uint32(s.noted(inv.AddBlob(num, got.HostNum, b))))
	}
	if !got.Partial && (count != m.Count || bytes != m.Bytes) {
		s.Tell(Problem{
			Kind: ProblemDamaged, Key: m.Key, Snapshots: []string{m.ID()},
			Reason: fmt.Sprintf("its blob lists do not add up: %d blobs of %d bytes, not %d of %d",
				count, bytes, m.Count, m.Bytes),
		})
	}
	s.Snapshots = append(s.Snapshots, got)
	return nil
}

// noted reports an object whose size is not what other snapshots say. It returns i.
func (s *Survey) noted(i int, err error) int {
	if err != nil {
		s.ObjectProblem(i, ProblemSize, err.Error())
	}
	return i
}

// blobList is a blob list, once it is read, the same for all snapshots that share it.
func (s *Survey) blobList(ctx context.Context, i, host int, k listKey) (*List, error) {
	if l := s.lists[i]; l != nil {
		return l, nil
	}
	l := &List{Object: i}
	s.lists[i] = l
	got := s.read[k]
	select {
	case <-got.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	<-s.ahead
	delete(s.read, k)
	if got.err != nil {
		l.bad = true
		if err := Fatal(ctx, got.err); err != nil {
			return nil, err
		}
		if KindOf(got.err) != ProblemMissing { // the listing reports that
			s.ObjectError(i, got.err)
		}
		return l, nil
	}
	s.Inventory.At(i).State = plan.Checked
	l.Blobs, l.bytes = make([]uint32, len(got.blobs)), snapshot.TotalSize(got.blobs)
	for n, b := range got.blobs {
		l.Blobs[n] = uint32(s.noted(s.Inventory.AddListed(i, host, b)))
	}
	return l, nil
}

// pinned reads an object of known size and hash.
func (s *Survey) pinned(
	ctx context.Context,
	key string,
	size int64,
	sum snapshot.Sum,
) ([]byte, error) {
	b, err := backends.ReadRange(ctx, s.store, key, 0, size, nil)
	if err != nil {
		return nil, actors.DamagedIfShort(err)
	}
	s.Fetched.Add(int64(len(b)))
	if sha256.Sum256(b) != sum {
		return nil, actors.ErrWrongSum
	}
	return b, nil
}

// List compares what is needed of one host with what the store lists.
func (s *Survey) List(ctx context.Context, host int) error {
	inv := s.Inventory
	seen := make([]bool, inv.Len())
	prefix := layout.HostPrefix(inv.Hosts()[host])
	err := s.store.ListStream(ctx, prefix, func(o backends.ObjectInfo) error {
		// A foreign name is not ours to judge.
		if name, err := layout.Parse(o.Key); err == nil {
			s.listed(name, &o, seen)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the store: %w", err)
	}
	if err := s.unlisted(ctx, host, seen); err != nil {
		return err
	}
	for _, i := range slices.Sorted(maps.Keys(s.Deleted)) {
		if inv.HostOf(i) == host && inv.At(i).State != plan.Bad { // it may be read all the same
			s.Tell(Problem{Kind: ProblemCondemned, Key: inv.Key(i), Snapshots: s.IDs(i),
				Reason: "it is there, but prune says that it has deleted it: it may vanish"})
		}
	}
	return nil
}

// maxGone is how many objects that a list lacks must be found to be missing, each by a call of
// its own, until a list is believed.
const maxGone = 1_000

// unlisted tells what of a host is missing from what only is not listed: lists may lag
// behind, and have no link in the place of an object, whose contents may be where it leads.
func (s *Survey) unlisted(ctx context.Context, host int, seen []bool) error {
	inv, gone := s.Inventory, 0
	for i := range seen {
		if seen[i] || inv.HostOf(i) != host {
			continue
		}
		var info backends.ObjectInfo
		err := backends.ErrNotFound
		if gone < maxGone {
			info, err = s.store.Stat(ctx, inv.Key(i))
		}
		switch {
		case Fatal(ctx, err) != nil:
			return Fatal(ctx, err)
		case err != nil && KindOf(err) == ProblemMissing:
			gone++
			reason := "it is missing"
			if s.Deleted[i] {
				reason += ": prune says that it has deleted it"
			}
			s.ObjectProblem(i, ProblemMissing, reason)
		case err != nil:
			s.ObjectError(i, err)
		default:
			name, err := layout.Parse(info.Key)
			if err != nil {
				return err
			}
			s.listed(name, &info, seen)
		}
	}
	return nil
}

// listed notes one object that the store has.
func (s *Survey) listed(name layout.Object, info *backends.ObjectInfo, seen []bool) {
	if name.Kind == layout.KindParity && s.besides(name, info.Size) {
		return
	}
	i, ok := s.Inventory.Find(name)
	if !ok {
		switch name.Kind {
		case layout.KindManifest, layout.KindCheckpoint, layout.KindNote:
		default:
			s.Spare++
			s.SpareSize += info.Size
		}
		return
	}
	seen[i] = true
	obj := s.Inventory.At(i)
	if at := info.ModTime.Unix(); at > 0 && at <= math.MaxUint32 {
		obj.Stored = uint32(at)
	}
	switch {
	case obj.State == plan.Bad: // reported already
	case obj.Size != info.Size:
		s.ObjectProblem(i, ProblemSize, fmt.Sprintf("it has %d bytes, not %d", info.Size,
			obj.Size))
	case obj.State == plan.Unseen:
		obj.State = plan.Present
	}
}

// besides notes parity that lies beside a blob of the inventory.
func (s *Survey) besides(name layout.Object, size int64) bool {
	name.Kind = layout.KindBlob
	i, ok := s.Inventory.Find(name)
	if ok && s.parity == nil {
		s.parity = make([]uint32, s.Inventory.Len())
	}
	if ok {
		s.parity[i] = uint32(min(size, math.MaxUint32))
	}
	return ok
}

// Parity is how many bytes of parity the store lists beside a blob; 0: none.
func (s *Survey) Parity(i int) int64 {
	if i >= len(s.parity) {
		return 0
	}
	return int64(s.parity[i])
}

// SetBad notes that an object is bad.
func (s *Survey) SetBad(i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad[i] = true
}

// IDs are the snapshots that need an object, by their ids.
func (s *Survey) IDs(i int) []string {
	nums := s.Inventory.Snapshots(i)
	out := make([]string, len(nums))
	for k, n := range nums {
		out[k] = s.asked[n].ID()
	}
	return out
}

// Bad are the objects that are known to be bad so far.
func (s *Survey) Bad() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.bad))
}
