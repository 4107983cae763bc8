package backup

import (
	"crypto/sha256"
	"testing"

	"vaultik/backends"
	"vaultik/backends/mem"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// TestCommitting_Whole: all that a manifest names beside blobs is asked for, where the listing
// lacks it; what is condemned is as good as gone.
func TestCommitting_Whole(t *testing.T) {
	host, list, root, epoch := layout.NewHostID(), snapshot.Sum{1}, snapshot.Sum{2}, layout.Epoch{3}
	objects := []string{
		layout.BlobList(host, list), layout.EpochKey(host, epoch, 1), layout.Root(host, root),
	}
	m := &snapshot.Manifest{Host: host, Root: snapshot.RootRef{Name: root, Size: 5}}
	m.Lists = []snapshot.ListRef{{Name: list, Size: 5, Count: 1}}
	m.Keys = []snapshot.KeyRef{{Epoch: epoch, N: 1, Size: 5}}
	whole := func(name, without, doomed, short string) bool {
		t.Helper()
		store := mem.New()
		for _, key := range objects {
			b := []byte("12345")
			if key == short {
				b = b[:4]
			}
			if key == without {
				continue
			}
			if _, err := store.Put(t.Context(), key, backends.Bytes(b, nil),
				backends.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		c := &committing{next: m, committer: &committer{
			run:   &backupRun{spec: &Spec{Host: Host{ID: host}, Store: store}, ctx: t.Context()},
			lists: map[snapshot.Sum]int64{}, epochs: map[layout.Epoch]keyObject{epoch: {n: 0}},
			doomed: marksOf(t, doomed),
		}}
		ok, err := c.Whole()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return ok
	}
	if !whole("all", "", "", "") {
		t.Error("something is missing, and nothing is")
	}
	for _, key := range objects {
		if whole("without "+key, key, "", "") || whole("condemned "+key, "", key, "") ||
			whole("cut "+key, "", "", key) {
			t.Errorf("whole without %s", key)
		}
	}
}

// marksOf are marks of objects; "" is none.
func marksOf(t *testing.T, keys ...string) layout.Marks {
	t.Helper()
	var marks []layout.Mark
	for _, key := range keys {
		if key == "" {
			continue
		}
		o, err := layout.Parse(key)
		if err != nil {
			t.Fatal(err)
		}
		marks = append(marks, o.Mark())
	}
	return layout.NewMarks(marks)
}

// TestCommitter_blobList: a condemned name is not stored again, and the one in its place is the
// same each time.
func TestCommitter_blobList(t *testing.T) {
	host, blobs := layout.NewHostID(), []snapshot.BlobSize{{Name: [32]byte{1}, Size: 5}}
	c := &committer{run: &backupRun{spec: &Spec{Host: Host{ID: host}}}}
	var condemned []string
	seen := map[snapshot.Sum]bool{}
	for n := range 3 {
		b, sum, err := c.blobList(blobs)
		if err != nil || sum != sha256.Sum256(b) || seen[sum] {
			t.Fatalf("%d condemned: name %v, %v", n, sum, err)
		}
		if _, again, err := c.blobList(blobs); err != nil || again != sum {
			t.Errorf("%d condemned: another name the second time, %v", n, err)
		}
		seen[sum] = true
		condemned = append(condemned, layout.BlobList(host, sum))
		c.doomed = marksOf(t, condemned...)
	}
}
