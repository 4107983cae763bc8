package actors

import (
	"context"
	"testing"

	"vaultik/internal/arena"
)

func TestBudget_Shrink(t *testing.T) {
	var mem arena.Arena
	defer mem.Close()
	b := NewBudget(&mem, 3, 1<<20)
	first, err := b.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	second, _ := b.Acquire(context.Background())
	if !b.Shrink() || b.Shrink() {
		t.Error("one of three is free")
	}
	b.Release(second)
	if !b.Shrink() {
		t.Error("one of two is free")
	}
	b.Release(first)
	if b.Shrink() {
		t.Error("the last one goes")
	}
	if last, err := b.Acquire(context.Background()); err != nil || cap(last.B) != 1<<20 {
		t.Errorf("%v", err)
	}
}
