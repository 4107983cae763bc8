package repair_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"vaultik/actors"
	"vaultik/actors/jobtest"
	"vaultik/actors/repair"
	"vaultik/backends"
	"vaultik/backends/faulty"
	"vaultik/backends/mem"
	"vaultik/internal/testtree"
	"vaultik/vault/layout"
	"vaultik/vault/parity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is a store of one blob, or its mirror.
type place struct {
	*mem.Backend
	*testing.T
}

func (p *place) put(key string, b []byte) {
	p.Helper()
	sum := sha256.Sum256(b)
	_, err := p.Put(p.Context(), key, backends.Bytes(b, &sum), backends.PutOptions{})
	jobtest.Must(p, err)
}

func (p *place) get(key string) []byte {
	p.Helper()
	b, err := backends.Head(p.Context(), p, key, 1<<30)
	if errors.Is(err, backends.ErrNotFound) {
		return nil
	}
	jobtest.Must(p, err)
	return b
}

func run(t *testing.T, spec *repair.Spec) ([]repair.Outcome, error) {
	t.Helper()
	s := actors.NewSystem(nil)
	defer s.Close()
	out := make([]repair.Outcome, len(spec.Objects))
	spec.OnDone = func(i int, o repair.Outcome) { out[i] = o }
	return out, repair.Run(t.Context(), s, spec)
}

// An object that is lost or damaged comes back from the first source whose bytes are right. Where
// none has them nothing changes; nor does it in a dry run, which says the same.
func TestRepair_Sources(t *testing.T) {
	host := layout.HostID{1}
	good := testtree.Bytes(3, 1<<20)
	sum := sha256.Sum256(good)
	key, x := layout.Blob(host, sum), layout.Parity(host, sum)
	var coder parity.Coder
	tenth, err := coder.Make(nil, good, 10)
	jobtest.Must(t, err)
	whole, err := (&parity.Coder{}).Make(nil, good, 100)
	jobtest.Must(t, err)
	flipped := func(sectors int) []byte { // bits of each of these many sectors
		b := bytes.Clone(good)
		for i := range sectors {
			b[i*4096+i] ^= 4
		}
		return b
	}
	badParity := bytes.Clone(tenth)
	for i := range badParity {
		badParity[i] ^= 1
	}
	most := parityOf(t, tenth, sum)
	for name, c := range map[string]struct {
		here, there   []byte // what the store has of the blob, and the mirror; nil: nothing
		hereX, thereX []byte // of its parity
		noMirror      bool
		from          repair.Source
		sectors       int
		why           string
	}{
		"lost, from the mirror":    {there: good, from: repair.FromMirror},
		"damaged, from the mirror": {here: flipped(1), there: good, hereX: tenth, from: repair.FromMirror},
		"the mirror is damaged, parity heals": {here: flipped(2), there: flipped(9), hereX: tenth,
			from: repair.FromParity, sectors: 2},
		"flips up to the parity's share": {here: flipped(most), hereX: tenth, noMirror: true,
			from: repair.FromParity, sectors: most},
		"one flip more": {here: flipped(most + 1), hereX: tenth, noMirror: true,
			why: "its parity: " + parity.ErrTooMuch.Error()},
		"cut short": {here: good[:len(good)-5000], hereX: tenth, noMirror: true,
			from: repair.FromParity, sectors: 2},
		"longer": {here: append(bytes.Clone(good), 1), hereX: tenth, noMirror: true,
			from: repair.FromParity},
		"lost, with parity as long as it is": {hereX: whole, noMirror: true,
			from: repair.FromParity, sectors: len(good) / 4096},
		"lost, with less": {hereX: tenth, noMirror: true,
			why: "its parity: " + parity.ErrTooMuch.Error()},
		"the parity is damaged, the mirror's is not": {here: flipped(1), hereX: badParity,
			thereX: tenth, from: repair.FromParity, sectors: 1},
		"what is left is in the mirror": {there: flipped(1), hereX: tenth,
			from: repair.FromParity, sectors: 1},
		"nothing": {here: flipped(1), why: "the mirror lacks it, too; it has no parity"},
		"nobody has it whole": {here: flipped(1), there: flipped(1), hereX: badParity,
			why: fmt.Sprintf("the mirror's: %v; its parity: %v", actors.ErrWrongSum,
				parity.ErrDamaged)},
	} {
		t.Run(name, func(t *testing.T) {
			store, mirror := &place{mem.New(), t}, &place{mem.New(), t}
			for _, p := range []struct {
				*place
				b, x []byte
			}{{store, c.here, c.hereX}, {mirror, c.there, c.thereX}} {
				if p.b != nil {
					p.put(key, p.b)
				}
				if p.x != nil {
					p.put(x, p.x)
				}
			}
			spec := &repair.Spec{Store: store, Mirror: mirror, Conditional: true,
				Objects: []repair.Object{{Key: key, Size: int64(len(good)), Sum: sum,
					There: c.here != nil}}}
			if c.noMirror {
				spec.Mirror = nil
			}
			for _, dry := range []bool{true, false} {
				spec.Dry = dry
				out, err := run(t, spec)
				jobtest.Must(t, err)
				got, text := out[0], ""
				if got.Err != nil {
					text = got.Err.Error()
				}
				if text != c.why || got.From != c.from || got.Sectors != c.sectors {
					t.Errorf("dry %v: %+v", dry, got)
				}
				want := c.here
				if !dry && c.why == "" {
					want = good
				}
				if !bytes.Equal(store.get(key), want) {
					t.Errorf("dry %v: the store has other bytes than it should", dry)
				}
			}
		})
	}
}

// parityOf is how many sectors of one blob, one after the other, its parity can heal.
func parityOf(t *testing.T, x []byte, name [32]byte) (n int) {
	t.Helper()
	p, err := parity.Open(x, name)
	jobtest.Must(t, err)
	good := testtree.Bytes(3, 1<<20)
	for n = 0; ; n++ {
		good[n*4096+n] ^= 4
		if _, _, err := p.Heal(good); err != nil {
			if n < 256/10 {
				t.Fatalf("10 %% of parity heals %d of 256 sectors", n)
			}
			return n
		}
	}
}

// Parity is made of a blob, whatever stands in its place, and never of a damaged one.
func TestRepair_MakesParity(t *testing.T) {
	store := &place{mem.New(), t}
	var objects []repair.Object
	var made [][]byte
	for i := range 3 {
		b := testtree.Bytes(uint64(i), 30_000)
		x, err := (&parity.Coder{}).Make(nil, b, 20)
		jobtest.Must(t, err)
		made = append(made, x)
		sum := sha256.Sum256(b)
		o := repair.Object{Key: layout.Blob(layout.HostID{1}, sum), Size: int64(len(b)), Sum: sum,
			Parity: true}
		objects = append(objects, o)
		if i == 2 {
			b[9] ^= 1
		}
		store.put(o.Key, b)
	}
	x := func(i int) string { return layout.Parity(layout.HostID{1}, objects[i].Sum) }
	bad := []byte("nothing of that kind")
	store.put(x(1), bad)
	for _, dry := range []bool{true, false} {
		out, err := run(t, &repair.Spec{Store: store, Objects: objects, Parity: 20, Dry: dry,
			Conditional: true})
		jobtest.Must(t, err)
		if n := int64(len(made[0])); out[0].Bytes != n || out[1].Bytes != n ||
			!dry && !errors.Is(out[2].Err, actors.ErrWrongSum) {
			t.Errorf("dry %v: %+v", dry, out)
		}
		if dry && (store.get(x(0)) != nil || !bytes.Equal(store.get(x(1)), bad)) {
			t.Error("a dry run has put something")
		}
	}
	if !bytes.Equal(store.get(x(0)), made[0]) || !bytes.Equal(store.get(x(1)), made[1]) ||
		store.get(x(2)) != nil {
		t.Error("the parity is not what it should be")
	}
}

// A store that is gone ends the repair, and an object that cannot be put does not.
func TestRepair_Errors(t *testing.T) {
	var objects []repair.Object
	mirror := &place{mem.New(), t}
	for i := range 3 {
		b := testtree.Bytes(uint64(i), 1000)
		sum := sha256.Sum256(b)
		o := repair.Object{Key: layout.Blob(layout.HostID{1}, sum), Size: 1000, Sum: sum}
		mirror.put(o.Key, b)
		objects = append(objects, o)
	}
	store := faulty.New(mem.New(), faulty.Rule{Op: faulty.Put, Key: objects[1].Key,
		Do: faulty.Fail(backends.ErrPermission)})
	out, err := run(t, &repair.Spec{Store: store, Mirror: mirror, Objects: objects})
	if failed := []bool{out[0].Err != nil, out[1].Err != nil, out[2].Err != nil}; err != nil ||
		!slices.Equal(failed, []bool{false, true, false}) {
		t.Errorf("%v, %v", failed, err)
	}
	store.Add(faulty.Rule{Op: faulty.Put, Do: faulty.Fail(backends.ErrUnreachable)})
	if _, err := run(t, &repair.Spec{Store: store, Mirror: mirror,
		Objects: objects}); !errors.Is(err, backends.ErrUnreachable) {
		t.Errorf("the store is gone: %v", err)
	}
}

// A call that never returns does not hold a repair for ever.
func TestRepair_HangingCallIsLeftBehind(t *testing.T) {
	s := actors.NewSystem(nil)
	defer s.Close()
	hang := jobtest.NewHang(t)
	spec := &repair.Spec{Store: mem.New(), Objects: []repair.Object{{Key: "k"}}, Warn: hang.Warn}
	spec.Faults.HangTime, spec.Faults.OnDownload = jobtest.HangTime, hang.Call
	ctx, cancel := context.WithCancelCause(t.Context())
	hang.Ends(t, cancel, func() error { return repair.Run(ctx, s, spec) }, "a system call")
}
