package gc

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// releaseStore has condemned lists, and pruners that were faster so many times.
type releaseStore struct {
	weakStore
	lists  map[snapshot.Sum][]layout.Object
	faster int
	put    *snapshot.GC
}

func (s *releaseStore) EachCondemned(_ context.Context, ref snapshot.ListRef,
	fn func(layout.Object) error) error {
	for _, o := range s.lists[ref.Name] {
		if err := fn(o); err != nil {
			return err
		}
	}
	return nil
}

func (s *releaseStore) Put(_ context.Context, g *snapshot.GC) (snapshot.Sum, time.Time, error) {
	if s.faster > 0 {
		s.faster--
		s.head.GC.Seq++
		return snapshot.Sum{}, time.Time{}, ErrConflict
	}
	s.put = g
	return snapshot.Sum{9}, time.Time{}, nil
}

// What is put back is taken off what is condemned, wherever it is named; all else that the newest
// gc object says is said again, in the same groups.
func TestRelease(t *testing.T) {
	host := layout.HostID{1}
	var objects []layout.Object
	var names []string
	for i := range 6 {
		o := layout.Object{Kind: layout.KindBlob, Host: host, Sum: [32]byte{byte(i)}}
		objects, names = append(objects, o), append(names, o.Name())
	}
	mixed := snapshot.ListRef{Name: snapshot.Sum{1}, Count: 2}
	other := snapshot.ListRef{Name: snapshot.Sum{2}, Count: 1}
	gcNow := func() *snapshot.GC {
		return &snapshot.GC{Host: host, Seq: 7, Pruned: []snapshot.Pruned{{From: 1, To: 2}},
			Dropped: []snapshot.Dropped{{Seq: 3}}, Removed: []snapshot.Removed{{Seq: 4}},
			Condemned: []snapshot.Condemned{
				{First: 3, Deleted: 5, Names: slices.Clone(names[:2]),
					Lists: []snapshot.ListRef{mixed, other}},
				{First: 6, Names: slices.Clone(names[2:3])}}}
	}
	s := &releaseStore{lists: map[snapshot.Sum][]layout.Object{
		mixed.Name: {objects[3], objects[4]}, other.Name: {objects[5]}}, faster: 1}
	s.head = Head{GC: gcNow(), Sum: snapshot.Sum{8}}
	wanted := func(o layout.Object) bool {
		return o == objects[1] || o == objects[2] || o == objects[3]
	}
	seq, err := Release(t.Context(), s, host, time.Unix(5, 0), wanted)
	if err != nil || seq != 9 { // 8 was another's
		t.Fatalf("seq %d, %v", seq, err)
	}
	g := s.put
	if g.Prev != s.head.Sum || len(g.Pruned) != 1 || len(g.Dropped) != 1 || len(g.Removed) != 1 ||
		len(g.Condemned) != 1 {
		t.Fatalf("%+v", g)
	}
	c := g.Condemned[0]
	if c.First != 3 || c.Deleted != 5 || !slices.Equal(c.Lists, []snapshot.ListRef{other}) ||
		!slices.Equal(c.Names, []string{names[0], names[4]}) {
		t.Errorf("left are %+v", c)
	}

	s.put = nil
	none := func(layout.Object) bool { return false }
	if seq, err := Release(t.Context(), s, host, time.Unix(5, 0), none); seq != 0 || err != nil ||
		s.put != nil {
		t.Errorf("nothing to release: seq %d, %v", seq, err)
	}
	s.faster = maxStarts
	if _, err := Release(t.Context(), s, host, time.Unix(5, 0), wanted); !errors.Is(err,
		ErrOvertaken) {
		t.Errorf("another pruner is always faster: %v", err)
	}
	s.head.Others, s.faster = []snapshot.Sum{{1}}, 0
	if _, err := Release(t.Context(), s, host, time.Unix(5, 0), wanted); !errors.Is(err,
		ErrOvertaken) || s.put != nil {
		t.Errorf("beside another newest gc object: %v", err)
	}
}
