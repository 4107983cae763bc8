package index

import (
	"sync"
	"testing"

	"vaultik/internal/testsize"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
)

// Many readers beside a writer, with resets and drops between: an answer is the
// truth or absence.
func TestIndex_Concurrent(t *testing.T) {
	testsize.Long(t)
	r := newSource(t)
	x := open(t, t.TempDir())
	var all []StoredBlob
	names := map[chunk.ID]blob.Name{}
	for range 12 {
		s := r.stored(1500)
		all = append(all, s)
		for _, row := range s.Rows {
			names[row.ID] = s.Name
		}
	}
	key, set := LeafKey{Set: r.set()}, r.set()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			ids, out := make([]chunk.ID, 100), make([]Loc, 100)
			for i := g; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				s := all[i%len(all)]
				for j := range ids {
					ids[j] = s.Rows[(i*7+j)%len(s.Rows)].ID
				}
				if err := x.Chunks(ids, out); err != nil {
					t.Error(err)
					return
				}
				for j, loc := range out {
					// The blob may be dropped, and after a reset the number be given
					// again, between the two calls; while it is there, it is the right one.
					if in, ok := x.Blob(loc.Blob); ok && loc.Span != s.Rows[(i*7+j)%len(s.Rows)].Span {
						t.Errorf("chunk of %v in %v", names[ids[j]], in.Name)
					}
				}
				x.Leaf(key)
				x.LeafEntries(key)
				x.Branch(BranchKey{Set: set})
				x.Stats()
				x.Empty()
				x.Blobs(func(n BlobNum, _ blob.Info) bool { return n < 3 })
			}
		})
	}
	for round := range 3 {
		for i, s := range all {
			b := &Batch{Blobs: []StoredBlob{s},
				Leaves:   []LeafRow{{key, r.leaf(InBatch(0))}},
				Entries:  []EntriesRow{{key, r.entries(50, []BlobNum{InBatch(0)})}},
				Branches: []BranchRow{{BranchKey{Set: set}, Branch{Page: Loc{Blob: InBatch(0)}}}}}
			if _, err := x.Write(b); err != nil {
				t.Fatal(err)
			}
			if i%4 == 0 {
				must(t, x.DropBlobs([]blob.Name{s.Name}))
				must(t, x.Sync())
			}
		}
		if round == 1 {
			must(t, x.Reset())
		}
	}
	close(stop)
	wg.Wait()
	must(t, x.Close())
}
