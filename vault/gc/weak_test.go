package gc

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// weakStore has several newest gc objects.
type weakStore struct {
	Store
	head  Head
	lists [][]string
}

func (w *weakStore) Head(context.Context) (*Head, error) { return &w.head, nil }

func (w *weakStore) PutCondemned(_ context.Context, names []string) (snapshot.ListRef, error) {
	w.lists = append(w.lists, slices.Clone(names))
	return snapshot.ListRef{Name: snapshot.Sum{byte(len(w.lists))}, Size: 9, Count: int64(len(names))}, nil
}

// A pruner that meets another does nothing until it is told to take over. Then it names each
// object once, in the youngest group of those that either has it in.
func TestPrune_severalNewest(t *testing.T) {
	w := &weakStore{head: Head{GC: &snapshot.GC{Seq: 7}, Others: []snapshot.Sum{{1}}}}
	if _, err := Prune(t.Context(), w, layout.HostID{1}, Options{}); !errors.Is(err, ErrOvertaken) {
		t.Errorf("without TakeOver: %v", err)
	}
	r := &run{store: w, o: Options{Boot: func() time.Duration { return 0 }},
		head: &Head{GC: &snapshot.GC{Seq: 7}, Sum: snapshot.Sum{2}}}
	w.head.Sum = r.head.Sum
	if err := r.lookAgain(t.Context()); !errors.Is(err, ErrOvertaken) {
		t.Errorf("before it deletes: %v", err)
	}
	var names []string
	for i := range uint32(snapshot.MaxInline + 10) {
		var sum [32]byte
		binary.BigEndian.PutUint32(sum[:], i)
		names = append(names, layout.Object{Kind: layout.KindBlob, Sum: sum}.Name())
	}
	r.next = &snapshot.GC{Host: layout.HostID{1}, Seq: 8, Prev: snapshot.Sum{2}, Others: w.head.Others}
	led := carried([]snapshot.Condemned{{First: 3, Deleted: 5, Names: slices.Clone(names[:9])}, {First: 3, Names: slices.Clone(names)},
		{First: 4, Names: append(slices.Clone(names[2:5]), names[3])}})
	groups, err := r.put(t.Context(), led)
	if err != nil || len(groups) != 2 || groups[0].First != 3 || groups[0].Deleted != 0 ||
		!slices.Equal(groups[1].Names, names[2:5]) {
		t.Fatalf("groups %+v, %v", groups, err)
	}
	if want := slices.Concat(names[:2], names[5:]); len(w.lists) != 1 || !slices.Equal(w.lists[0], want) {
		t.Errorf("%d lists, of %d names, want %d", len(w.lists), len(slices.Concat(w.lists...)), len(want))
	}
}
