package read

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"filippo.io/age"

	"vaultik/vault/blob"
	"vaultik/vault/keys"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

func TestReader_Chunk(t *testing.T) {
	w := newWorld(t)
	small, large := w.small(), w.large()
	r := w.reader()
	for range 2 {
		for _, c := range slices.Concat(small, large) {
			w.check(t.Context(), r, c)
		}
	}
	asked := w.store.requests()
	// The small blob is one request, the large one a head, six frames and an end.
	if len(asked) != 1+8 {
		t.Errorf("%d requests: %v", len(asked), asked)
	}
	if n := r.Fetched(); n != w.store.given || n < small[0].ref.Blob.Size {
		t.Errorf("fetched %d, the store gave %d", n, w.store.given)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.check(ctx, r, large[3]) // at hand
	other := w.small()
	_, err := r.Chunk(ctx, other[0].ref)
	isErr(t, "with an ended context", err, context.Canceled)
}

func TestReader_Tree(t *testing.T) {
	w := newWorld(t)
	if _, err := w.reader().Tree(); !errors.Is(err, ErrEmptySnapshot) {
		t.Errorf("of an empty snapshot: %v", err)
	}
	want := []string{"a", "a/b", "c"}
	var entries []page.Entry
	for _, p := range want {
		entries = append(entries, page.Entry{Path: p, Type: page.Dir})
	}
	leaf, err := new(page.Encoder).Leaf(nil, entries)
	w.must(err)
	w.root.Top, err = snapshot.TopOf(w.blob([][]byte{leaf})[0].ref)
	w.must(err)
	tree, err := w.reader().Tree()
	w.must(err)
	var got []string
	w.must(tree.Walk(t.Context(), "", func(e *page.Entry) error {
		got = append(got, e.Path)
		return nil
	}))
	if !slices.Equal(got, want) {
		t.Errorf("walked %q", got)
	}
}

// TestReader_ManyAtOnce reads much more than is kept, from many goroutines.
func TestReader_ManyAtOnce(t *testing.T) {
	w := newWorld(t)
	var all []stored
	for range 6 {
		all = append(all, w.large()...)
	}
	for range maxOpenBlobs + 8 {
		all = append(all, w.small()...)
	}
	r := w.reader()
	var wait sync.WaitGroup
	for i := range 8 {
		order := rand.New(rand.NewPCG(w.rand.Uint64(), uint64(i))).Perm(len(all))
		wait.Go(func() {
			for _, k := range order[:len(all)/2] {
				w.check(t.Context(), r, all[k])
			}
		})
	}
	wait.Wait()
	held := 0
	for _, e := range r.frames.kept.items {
		held += len(e.Value.(*lruItem[frameKey, []byte]).value)
	}
	if held > maxCachedFrames || held < maxCachedFrames/2 {
		t.Errorf("keeps %d bytes of frames", held)
	}
	if n := len(r.blobs.kept.items); n != maxOpenBlobs {
		t.Errorf("keeps %d blobs open", n)
	}
	left := len(r.ranges.loads) + len(r.frames.loads) + len(r.blobs.loads)
	if n := len(r.ranges.kept.items) + left; n != 0 {
		t.Errorf("%d loads are left behind", n)
	}
}

func TestReader_Refuses(t *testing.T) {
	w := newWorld(t)
	small, large := w.small(), w.large()
	other := w.small()
	edit := func(c stored, fn func(*page.Ref)) page.Ref {
		info := *c.ref.Blob
		c.ref.Blob = &info
		fn(&c.ref)
		return c.ref
	}
	small1 := func(fn func(*page.Ref)) page.Ref { return edit(small[0], fn) }
	large1 := func(fn func(*page.Ref)) page.Ref { return edit(large[1], fn) }
	elsewhere := other[0].ref.Blob.Name
	damaged, tooLarge, missing := blob.ErrDamaged, blob.ErrTooLarge, fs.ErrNotExist
	for name, c := range map[string]struct {
		ref  page.Ref
		want error
	}{
		"no blob":              {page.Ref{}, damaged},
		"a hole":               {page.Ref{Hole: 5, Blob: small[0].ref.Blob}, damaged},
		"another id":           {small1(func(r *page.Ref) { r.ID[0] ^= 1 }), damaged},
		"outside of its frame": {small1(func(r *page.Ref) { r.Span.Len = 1 << 20 }), damaged},
		"far outside":          {small1(func(r *page.Ref) { r.Span.Off = 1<<32 - 1 }), damaged},
		"a part of a frame":    {large1(func(r *page.Ref) { r.Span.FrameLen-- }), damaged},
		"outside of its blob":  {large1(func(r *page.Ref) { r.Span.FrameOff = 1 << 30 }), damaged},
		"too long a frame":     {large1(func(r *page.Ref) { r.Span.FrameLen = 1<<32 - 1 }), tooLarge},
		"another header":       {small1(func(r *page.Ref) { r.Blob.Hdr[0] ^= 1 }), damaged},
		"another blob":         {small1(func(r *page.Ref) { r.Blob.Name = elsewhere }), damaged},
		"a blob of no bytes":   {small1(func(r *page.Ref) { r.Blob.Size = 0 }), damaged},
		"a huge blob":          {small1(func(r *page.Ref) { r.Blob.Size = blob.MaxSize + 1 }), tooLarge},
		"a missing blob":       {small1(func(r *page.Ref) { r.Blob.Name[0] ^= 1 }), missing},
	} {
		_, err := w.reader().Chunk(t.Context(), c.ref)
		isErr(t, name, err, c.want)
		if errors.Is(err, damaged) != errors.Is(c.want, damaged) {
			t.Errorf("%s: damage: %v", name, err)
		}
	}
	_, err := New(w.store, w.root, nil).Chunk(t.Context(), small[0].ref)
	isErr(t, "no identity", err, blob.ErrNoIdentity)

	// The header is checked before anything is decrypted: no identity hears of another one.
	spy := &spy{}
	ref := small1(func(r *page.Ref) { r.Blob.Hdr[0] ^= 1 })
	_, err = New(w.store, w.root, []age.Identity{spy}).Chunk(t.Context(), ref)
	if isErr(t, "another header", err, damaged); spy.asked {
		t.Error("an identity was asked to open what the reference does not mean")
	}
}

type spy struct{ asked bool }

func (s *spy) Unwrap([]*age.Stanza) ([]byte, error) {
	s.asked = true
	return nil, keys.ErrWrongIdentity
}

// damage changes a byte in the middle of the object of a chunk, or cuts the object there.
func (w *world) damage(c stored, cut bool) {
	b := w.store.objects[w.key(c)]
	if b[len(b)/2] ^= 1; cut {
		w.store.objects[w.key(c)] = b[:len(b)/2]
	}
}

func TestReader_DamagedBlob(t *testing.T) {
	for _, cut := range []bool{false, true} {
		w := newWorld(t)
		large := w.large()
		w.damage(large[0], cut)
		r := w.reader()
		told := map[blob.Name]int{}
		r.OnDamage = func(info *blob.Info, err error) {
			isErr(t, "told", err, blob.ErrDamaged)
			told[info.Name]++
		}
		whole, good := 0, 0
		for _, c := range large {
			b, err := r.Chunk(t.Context(), c.ref)
			switch {
			case err != nil:
				isErr(t, "a damaged chunk", err, blob.ErrDamaged)
			case string(b) != string(c.data):
				t.Error("a chunk is another one")
			default:
				good++
			}
		}
		for _, a := range w.store.requests() {
			if a.whole {
				whole++
			}
		}
		// The damage is about the end of the third chunk, and concerns 64 KiB around it.
		if want := map[bool]int{false: 5, true: 3}[cut]; good > want || good < want-1 || whole != 1 {
			t.Errorf("cut: %v: %d chunks were read, the whole blob %d times", cut, good, whole)
		}
		// Where a part is bad, the others are read as ever; where the end is missing, none is.
		want := map[bool]int{false: 0, true: good}[cut]
		if n := told[large[0].ref.Blob.Name]; n != want {
			t.Errorf("cut: %v: told %d times of damage, %d chunks were read", cut, n, good)
		}
	}
}

// TestReader_OneDamagedBlob: of damaged blobs only the last is in memory, and one too
// large to be there is not read as a whole.
func TestReader_OneDamagedBlob(t *testing.T) {
	w := newWorld(t)
	a, b := w.large(), w.large()
	w.damage(a[0], true)
	w.damage(b[0], true)
	r := w.reader()
	var wait sync.WaitGroup
	for _, c := range []stored{a[0], b[0], a[0], b[0]} {
		wait.Go(func() { w.check(t.Context(), r, c) })
	}
	wait.Wait()
	w.check(t.Context(), r, a[1]) // to know which is the last
	if last := <-r.salvaged; last.Info() != *a[0].ref.Blob {
		t.Errorf("holds %v", last.Info().Name)
	} else {
		r.salvaged <- last
	}
	w.store.requests()
	info := *a[0].ref.Blob
	info.Size = maxSalvaged + 1
	ref := a[0].ref
	ref.Blob = &info
	_, err := r.Chunk(t.Context(), ref)
	isErr(t, "a large damaged blob", err, blob.ErrDamaged)
	for _, q := range w.store.requests() {
		if q.whole {
			t.Error("a large damaged blob is read as a whole")
		}
	}
	// What the store then says is no damage.
	r = w.reader()
	w.store.setBefore(func(_ context.Context, q request) error {
		if q.whole {
			return errStore
		}
		return nil
	})
	_, err = r.Chunk(t.Context(), a[0].ref)
	if isErr(t, "a store that fails", err, errStore); errors.Is(err, blob.ErrDamaged) {
		t.Errorf("a store that fails is damage: %v", err)
	}
	w.store.setBefore(nil)
	w.check(t.Context(), r, a[0])
}

var errStore = fmt.Errorf("the store says no")
