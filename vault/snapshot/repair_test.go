package snapshot

import (
	"slices"
	"testing"
	"time"

	"vaultik/vault/layout"
)

// The sum of the newest manifest is the last, also among those of one second and those of
// another set; what is not a manifest of its name says nothing.
func TestFindAuthors_recipients(t *testing.T) {
	w := newWorld(t)
	a, b, c := Sum{1}, Sum{2}, Sum{3}
	save := func(set layout.SetID, sum Sum, at time.Duration) *Loaded {
		m := w.manifest(set, nil)
		m.Recipients, m.Time = sum, testTime.Add(at)
		return w.commit(m)
	}
	save(w.set, b, 0)
	save(w.set, a, 0)
	save(w.set, Sum{}, time.Hour)
	save(layout.NewSetID(), c, -time.Hour)
	forged := save(w.set, Sum{9}, time.Hour)
	w.m.objects[layout.Manifest(w.host, layout.NewSetID(), 1)] = w.m.objects[forged.Key]
	delete(w.m.objects, forged.Key)
	found, _, err := FindAuthors(t.Context(), w.m, w.store, nil)
	w.must(err)
	if len(found) != 1 || !slices.Equal(found[0].Recipients, []Sum{c, b, a}) {
		t.Errorf("%+v", found)
	}
	save(w.set, b, 2*time.Hour)
	found, _, err = FindAuthors(t.Context(), w.m, w.store, nil)
	w.must(err)
	if len(found) != 1 || !slices.Equal(found[0].Recipients, []Sum{c, a, b}) {
		t.Errorf("%+v", found)
	}
}
