package blob

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

// What Probe reads of a blob, and which damage it finds: in the header, in the record that was
// picked, in the last one; and all damage of a small one.
func TestProbe(t *testing.T) {
	o, other := classicOwner(), newOwner(t, true, 0)
	r := newRand(t)
	for _, total := range []int{100, 100 << 10, 1 << 20} {
		b := NewBuilder(nil)
		build(b, someChunks(r, total))
		sealed, err := b.Seal(o.recipients, o.epoch)
		if err != nil {
			t.Fatal(err)
		}
		small := sealed.Size <= wholeFetch
		start := int64(headerLen(sealed.Bytes))
		records := (sealed.Size - start + ageEncChunk - 1) / ageEncChunk
		probe := func(store *object, owner owner, at int64) error {
			return Probe(context.Background(), sealed.Name, sealed.Size, store.fetch, owner.ids,
				func(n int64) int64 {
					if n != max(1, records-1) {
						t.Errorf("%d bytes: to pick one of %d records, of %d", total, n, records)
					}
					return at
				})
		}
		for at := range max(1, records-1) {
			store := &object{bytes: sealed.Bytes}
			if err := probe(store, o, at); err != nil {
				t.Errorf("%d bytes: %v", total, err)
			}
			read := int64(0)
			for _, c := range store.calls {
				read += c[1]
			}
			if len(store.calls) > 3 || !small && read > 200<<10 || small && len(store.calls) > 1 {
				t.Errorf("%d bytes: read %v", total, store.calls)
			}
			places := map[string]int64{"the header": start - 30, "the MAC": start - 17,
				"the nonce": start - 1, "the record that is picked": start + at*ageEncChunk,
				"the last record": sealed.Size - 1}
			for place, off := range places {
				flipped := bytes.Clone(sealed.Bytes)
				flipped[off] ^= 1
				if err := probe(&object{bytes: flipped}, o, at); !errors.Is(err, ErrDamaged) {
					t.Errorf("%d bytes, %s flipped: %v", total, place, err)
				}
			}
			if at > 0 || small {
				flipped := bytes.Clone(sealed.Bytes)
				flipped[start+100] ^= 1
				if err := probe(&object{bytes: flipped}, o, at); small != errors.Is(err, ErrDamaged) {
					t.Errorf("%d bytes, the first record flipped, %d picked: %v", total, at, err)
				}
			}
		}
		if err := probe(&object{bytes: sealed.Bytes}, other, 0); !errors.Is(err, ErrNoIdentity) {
			t.Errorf("%d bytes, another identity: %v", total, err)
		}
		short := sealed.Bytes[:sealed.Size-1]
		if err := probe(&object{bytes: short}, o, 0); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes, cut: %v", total, err)
		}
		away := errors.New("the store is away")
		if err := probe(&object{err: away}, o, 0); !errors.Is(err, away) {
			t.Errorf("%d bytes: %v", total, err)
		}
	}
}
