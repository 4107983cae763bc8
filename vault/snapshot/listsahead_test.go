package snapshot

import (
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"

	"vaultik/vault/layout"
)

// Lists that will be asked for are read meanwhile, as many at once as there are connections and
// each once; who asks for one that was not announced, or is lost, gets what BlobList says.
func TestListsAhead(t *testing.T) {
	w := newWorld(t)
	var refs []ListRef
	for i := range 12 {
		blobs := []BlobSize{{Name: [32]byte{byte(i)}, Size: int64(i + 1)}}
		b, err := EncodeBlobList(blobs, 0)
		w.must(err)
		refs = append(refs, ListRef{Name: sumOf(b), Size: int64(len(b)), Count: 1})
		w.m.objects[layout.BlobList(w.host, sumOf(b))] = b
	}
	lost := layout.BlobList(w.host, refs[7].Name)
	delete(w.m.objects, lost)
	synctest.Test(t, func(t *testing.T) {
		g := &gated{memory: w.m, gate: make(chan struct{}), lists: true}
		s, err := OpenStore(t.Context(), g, Pin{})
		if err != nil {
			t.Fatal(err)
		}
		s.Parallel = 3
		a := s.ReadListsAhead(w.host)
		a.Add(t.Context(), refs[:6])
		a.Add(t.Context(), refs[:10])
		synctest.Wait()
		if n := g.waits.Load(); n != 3 {
			t.Errorf("%d are read at once, want 3", n)
		}
		close(g.gate)
		for i, ref := range refs[:11] {
			blobs, err := a.Read(t.Context(), ref)
			if lost := i == 7; lost != errors.Is(err, fs.ErrNotExist) || !lost && (err != nil || blobs[0].Size != int64(i+1)) {
				t.Errorf("%d: %v, %v", i, blobs, err)
			}
		}
		if n := g.waits.Load(); n != 11 {
			t.Errorf("11 lists were read in %d requests", n)
		}
		a.Add(t.Context(), refs)
		a.Close()
	})
}
