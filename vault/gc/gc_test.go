package gc

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"vaultik/vault/blob"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// fakeStore is a store of one host with one set. Each call takes a second.
type fakeStore struct {
	host     layout.HostID
	set      layout.SetID
	now      time.Time
	objects  map[layout.Object]Object
	lists    map[snapshot.Sum][]snapshot.BlobSize
	made     map[string]*snapshot.Manifest
	stored   map[string]time.Time // when each of them was
	gcs      []*snapshot.GC
	times    map[uint64]time.Time
	problems []error
	calls    int
	failAt   int               // the number of a call that fails; 0: none
	before   func(call string) // is called before each call
}

var errFails = errors.New("the store does not answer")

func newFakeStore() *fakeStore {
	return &fakeStore{host: layout.HostID{1}, set: layout.SetID{2}, now: time.Unix(1_800_000_000, 0),
		objects: map[layout.Object]Object{}, lists: map[snapshot.Sum][]snapshot.BlobSize{},
		made: map[string]*snapshot.Manifest{}, stored: map[string]time.Time{}, times: map[uint64]time.Time{}}
}

func (f *fakeStore) call(name string) error {
	f.calls++
	f.now = f.now.Add(time.Second)
	if f.before != nil {
		f.before(name)
	}
	if f.calls == f.failAt {
		return errFails
	}
	return nil
}

// number makes a name of a number.
func number(n int) (sum [32]byte) {
	binary.BigEndian.PutUint64(sum[:], uint64(n)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(sum[8:], uint64(n))
	return sum
}

func (f *fakeStore) put(kind layout.Kind, sum [32]byte, size int64) {
	o := layout.Object{Kind: kind, Host: f.host, Sum: sum}
	f.objects[o] = Object{Object: o, Size: size, Stored: f.now}
}

func (f *fakeStore) has(kind layout.Kind, sum [32]byte) bool {
	_, ok := f.objects[layout.Object{Kind: kind, Host: f.host, Sum: sum}]
	return ok
}

// snapshot stores one of some blobs, half of them in a list, and returns its sum.
func (f *fakeStore) snapshot(blobs ...int) snapshot.Sum {
	seq := uint64(len(f.made) + 1)
	m := &snapshot.Manifest{Host: f.host, Set: f.set, Seq: seq, Complete: true}
	var all []snapshot.BlobSize
	for _, n := range blobs {
		if !f.has(layout.KindBlob, number(n)) {
			f.put(layout.KindBlob, number(n), 1000)
		}
		all = append(all, snapshot.BlobSize{Name: blob.Name(number(n)), Size: 1000})
	}
	list := snapshot.Sum(number(int(1_000_000_000 + seq)))
	f.put(layout.KindBlobList, list, 70)
	f.lists[list] = all[:len(all)/2]
	m.Lists = []snapshot.ListRef{{Name: list, Size: 70, Count: int64(len(all) / 2)}}
	m.Blobs, m.Count = all[len(all)/2:], int64(len(all))
	m.Root = snapshot.RootRef{Name: number(int(2_000_000_000 + seq)), Size: 50}
	f.put(layout.KindRoot, m.Root.Name, 50)
	key := layout.Manifest(f.host, f.set, seq)
	f.made[key], f.stored[key] = m, f.now
	f.now = f.now.Add(time.Second)
	return f.sum(seq)
}

func (f *fakeStore) sum(seq uint64) snapshot.Sum { return number(int(3_000_000_000 + seq)) }

// whole reports whether all that a snapshot needs is there.
func (f *fakeStore) whole(m *snapshot.Manifest) bool {
	ok := f.has(layout.KindRoot, m.Root.Name) && f.has(layout.KindBlobList, m.Lists[0].Name)
	for _, b := range append(slices.Clone(m.Blobs), f.lists[m.Lists[0].Name]...) {
		ok = ok && f.has(layout.KindBlob, b.Name)
	}
	return ok
}

func (f *fakeStore) Head(context.Context) (*Head, error) {
	err := f.call("head")
	h := &Head{Objects: maps.Clone(f.times), Lists: map[snapshot.Sum]time.Time{}}
	if n := len(f.gcs); n > 0 {
		h.GC, h.Sum = f.gcs[n-1], number(n)
	}
	return h, err
}

func (f *fakeStore) EachCondemned(_ context.Context, ref snapshot.ListRef, fn func(layout.Object) error) error {
	for _, b := range f.lists[ref.Name] {
		if err := fn(layout.Object{Kind: layout.KindBlob, Host: f.host, Sum: b.Name}); err != nil {
			return err
		}
	}
	return f.call("condemned list")
}

func (f *fakeStore) List(_ context.Context, fn func(Object) error) error {
	for _, o := range f.objects {
		if err := fn(o); err != nil {
			return err
		}
	}
	return f.call("list") // after all of it, or, to whoever has called, a part
}

func (f *fakeStore) Read(_ context.Context, v Visitor) ([]error, error) {
	for key, m := range f.made {
		if v.Known(key) {
			continue
		}
		l := &snapshot.Loaded{Manifest: m, Sum: f.sum(m.Seq), Key: key, Size: 300}
		if err := v.Manifest(Manifest{Loaded: l, Stored: f.stored[key]}); err != nil {
			return nil, err
		}
	}
	return f.problems, f.call("read")
}

func (f *fakeStore) BlobList(_ context.Context, ref snapshot.ListRef) ([]snapshot.BlobSize, error) {
	if !f.has(layout.KindBlobList, ref.Name) {
		return nil, fs.ErrNotExist
	}
	return f.lists[ref.Name], f.call("blob list")
}

func (f *fakeStore) PutCondemned(_ context.Context, names []string) (snapshot.ListRef, error) {
	sum := snapshot.Sum(number(4_000_000_000 + len(f.lists)))
	f.lists[sum] = nil
	for _, name := range names {
		o, err := layout.ParseName(f.host, name)
		if err != nil {
			return snapshot.ListRef{}, err
		}
		f.lists[sum] = append(f.lists[sum], snapshot.BlobSize{Name: blob.Name(o.Sum)})
	}
	return snapshot.ListRef{Name: sum, Size: 9, Count: int64(len(names))}, f.call("put condemned")
}

func (f *fakeStore) Put(_ context.Context, g *snapshot.GC) (snapshot.Sum, time.Time, error) {
	err := f.call("put")
	if err == nil && g.Seq != uint64(len(f.gcs)+1) {
		err = ErrConflict
	}
	if err != nil {
		return snapshot.Sum{}, time.Time{}, err
	}
	f.gcs, f.times[g.Seq] = append(f.gcs, g), f.now
	return number(len(f.gcs)), f.now, nil
}

func (f *fakeStore) Delete(_ context.Context, keys []string) error {
	for _, key := range keys {
		if err := f.call("delete"); err != nil {
			return err
		}
		o, err := layout.Parse(key)
		if err != nil {
			return err
		}
		delete(f.made, key)
		delete(f.objects, o)
	}
	return nil
}

// prune prunes with an hour's grace, and removes these.
func (f *fakeStore) prune(expire ...snapshot.Sum) (*Result, error) {
	return f.with(Options{Choose: func([]*Snapshot) (Choice, error) { return Choice{Expire: expire}, nil }})
}

func (f *fakeStore) with(o Options) (*Result, error) {
	start := f.now
	if o.Now.IsZero() {
		o.Now = f.now
	}
	o.Grace, o.Boot = time.Hour, func() time.Duration { return f.now.Sub(start) }
	return Prune(context.Background(), f, f.host, o)
}

// What is removed is condemned, and deleted an hour later; nothing else is.
func TestPrune(t *testing.T) {
	f := newFakeStore()
	old := f.snapshot(1, 2, 3, 4)
	f.snapshot(3, 4, 5, 6)
	res, err := f.prune(old)
	if err != nil || res.Seq != 1 || res.Condemned.Objects != 4 || res.Deleted.Objects != 0 || len(f.made) != 1 {
		t.Fatalf("condemned: %+v, %v", res, err)
	}
	if res, err = f.prune(); err != nil || res.Waiting.Objects != 4 || res.Next.IsZero() {
		t.Fatalf("waiting: %+v, %v", res, err)
	}
	f.now = f.now.Add(time.Hour)
	if res, err = f.with(Options{Dry: true}); err != nil || res.Ripe.Objects != 4 || len(f.gcs) != 2 {
		t.Fatalf("dry: %+v, %v", res, err)
	}
	res, err = f.prune()
	if err != nil || res.Deleted.Objects != 4 || f.has(layout.KindBlob, number(1)) || !f.has(layout.KindBlob, number(3)) {
		t.Fatalf("deleted: %+v, %v", res, err)
	}
}

// A run that ends at any of its calls harms nothing, and the next ones bring it to its end.
func TestPrune_failsAnywhere(t *testing.T) {
	for at := 1; ; at++ {
		f := newFakeStore()
		old := f.snapshot(1, 2, 3, 4)
		f.snapshot(3, 4, 5, 6)
		f.failAt = at
		for range 3 {
			if _, err := f.prune(old); err != nil && !errors.Is(err, errFails) {
				t.Fatalf("call %d: %v", at, err)
			}
			f.now = f.now.Add(2 * time.Hour)
			for _, m := range f.made {
				if m.Seq == 2 && !f.whole(m) {
					t.Fatalf("call %d fails: the snapshot that stays is not whole", at)
				}
			}
		}
		over := f.calls < at
		f.failAt = 0
		if _, err := f.prune(); err != nil {
			t.Fatalf("call %d: %v", at, err)
		}
		if len(f.made) != 1 || len(f.objects) != 6 {
			t.Fatalf("call %d fails: %d snapshots, %d objects are left", at, len(f.made), len(f.objects))
		}
		if over {
			return
		}
	}
}

// What snapshots were removed for is explained, and does not stop later runs: however much it is,
// however young, and by whichever run they were removed.
func TestPrune_explained(t *testing.T) {
	for name, o := range map[string]Options{
		"all at once": {}, "snapshots first": {Keep: true}, "young": {Times: Times{Age: 7 * 24 * time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeStore()
			var many []int
			for n := range 300 {
				many = append(many, n)
			}
			old := f.snapshot(many...)
			f.snapshot(many[:10]...)
			o.Choose = func([]*Snapshot) (Choice, error) { return Choice{Expire: []snapshot.Sum{old}}, nil }
			for range 5 {
				if _, err := f.with(o); err != nil {
					t.Fatal(err)
				}
				f.now = f.now.Add(25 * time.Hour)
				f.put(layout.KindBlob, number(1000+f.calls), 1)
				o.Choose, o.Keep = nil, false
			}
			if f.has(layout.KindBlob, number(200)) {
				t.Error("what the snapshot needed is still there")
			}
		})
	}
}

// What a run cannot trust stops it before it deletes or writes anything, with an error that says so.
func TestPrune_stops(t *testing.T) {
	problem := errors.New("two manifests of one seq")
	for name, c := range map[string]struct {
		spoil  func(f *fakeStore)
		expire bool
		want   error
		force  bool // is enough
	}{
		"a fork, a gap or what cannot be verified": {spoil: func(f *fakeStore) {
			f.problems = []error{problem}
		}, want: problem},
		"a list that is lost": {spoil: func(f *fakeStore) {
			for sum := range f.lists {
				delete(f.objects, layout.Object{Kind: layout.KindBlobList, Host: f.host, Sum: sum})
			}
		}, want: fs.ErrNotExist},
		"a listing that fails half-way": {spoil: func(f *fakeStore) { f.failAt = f.calls + 2 }, want: errFails},
		"manifests that are gone": {spoil: func(f *fakeStore) {
			for n := range 150 {
				f.put(layout.KindBlob, number(1000+n), 1)
			}
		}, want: ErrUnexplained, force: true},
		"the newest snapshot": {spoil: func(*fakeStore) {}, expire: true, want: ErrNewest},
		"another one that is always faster": {spoil: func(f *fakeStore) {
			f.before = func(call string) {
				if call == "put" {
					f.gcs = append(f.gcs, &snapshot.GC{Seq: uint64(len(f.gcs) + 1)})
				}
			}
		}, want: ErrOvertaken},
		"another one that goes on before anything is deleted": {spoil: func(f *fakeStore) {
			f.before = func(call string) {
				if call == "head" && len(f.gcs) == 3 {
					f.gcs = append(f.gcs, &snapshot.GC{Seq: 4})
				}
			}
		}, want: ErrOvertaken},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeStore()
			newest := f.snapshot(1, 2, 3, 4)
			f.put(layout.KindBlob, number(100), 1)
			for range 2 {
				if _, err := f.prune(); err != nil {
					t.Fatal(err)
				}
				f.now = f.now.Add(time.Minute)
			}
			f.now = f.now.Add(time.Hour)
			c.spoil(f)
			before := maps.Clone(f.objects)
			o := Options{}
			if c.expire {
				o.Choose = func([]*Snapshot) (Choice, error) { return Choice{Expire: []snapshot.Sum{newest}}, nil }
			}
			if _, err := f.with(o); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if !maps.Equal(before, f.objects) {
				t.Errorf("%d objects are left of %d", len(f.objects), len(before))
			}
			if o.Force = true; c.force {
				if _, err := f.with(o); err != nil {
					t.Errorf("with force: %v", err)
				}
			}
		})
	}
}

// No clock of the machine counts, and where the store's goes back nothing is deleted.
func TestPrune_clocksThatJump(t *testing.T) {
	f := newFakeStore()
	f.snapshot(1, 2)
	f.put(layout.KindBlob, number(100), 1)
	for _, years := range []int{0, 10, -10} {
		if res, err := f.with(Options{Now: f.now.AddDate(years, 0, 0)}); err != nil || res.Deleted.Objects > 0 {
			t.Fatalf("the machine's clock is %d years off: %+v, %v", years, res, err)
		}
	}
	f.now = f.now.Add(-48 * time.Hour)
	if res, err := f.prune(); err != nil || res.Deleted.Objects > 0 {
		t.Fatalf("the store's clock goes back: %+v, %v", res, err)
	}
}

// Another pruner that was faster once is no reason to give up.
func TestPrune_startsAgain(t *testing.T) {
	f := newFakeStore()
	f.snapshot(1, 2)
	f.put(layout.KindBlob, number(100), 1)
	once := true
	f.before = func(call string) {
		if call == "put" && once {
			once = false
			f.gcs, f.times[1] = append(f.gcs, &snapshot.GC{Seq: 1}), f.now
		}
	}
	if res, err := f.prune(); err != nil || res.Seq != 2 || res.Condemned.Objects != 1 {
		t.Errorf("%+v, %v", res, err)
	}
}

// BenchmarkPrune decides about a million blobs, of which one in ten is not needed, and says how
// many bytes a blob it has in use while it deletes, beside what the store itself takes.
func BenchmarkPrune(b *testing.B) {
	f := newFakeStore()
	const blobs, each = 1_000_000, 9_000
	for n := range blobs {
		f.put(layout.KindBlob, number(n), 1000)
	}
	for from := 0; from < blobs*9/10; from += each {
		all := make([]int, each)
		for i := range all {
			all[i] = from + i
		}
		f.snapshot(all...)
	}
	for b.Loop() {
		f.gcs, f.times = nil, map[uint64]time.Time{}
		var empty, full runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&empty)
		f.before = func(call string) {
			if call == "head" && len(f.gcs) == 1 { // it is about to delete
				runtime.GC()
				runtime.ReadMemStats(&full)
			}
		}
		if _, err := f.prune(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric((float64(full.HeapAlloc)-float64(empty.HeapAlloc))/blobs, "B/blob")
	}
}
