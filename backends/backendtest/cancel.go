package backendtest

import (
	"context"
	"errors"
	"io"
	"time"

	"vaultik/backends"
)

func testCancelledBefore(t *T) {
	b := t.create()
	put(t, b, "x", []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	src := newSource([]byte("new"))
	_, err := b.Put(ctx, "x", src, backends.PutOptions{})
	wantCancelled(t, "Put", err)
	if src.opened.Load() != 0 {
		t.Errorf("a cancelled Put has opened its source")
	}
	_, _, err = b.Get(ctx, "x", 0, -1)
	wantCancelled(t, "Get", err)
	_, err = backends.ReadRange(ctx, b, "x", 0, 1, nil)
	wantCancelled(t, "ReadRange", err)
	_, err = b.Stat(ctx, "x")
	wantCancelled(t, "Stat", err)
	wantCancelled(t, "Delete", b.Delete(ctx, "x"))
	_, err = b.Info(ctx)
	wantCancelled(t, "Info", err)
	err = b.ListStream(ctx, "", func(backends.ObjectInfo) error {
		t.Errorf("a cancelled list calls back")
		return nil
	})
	wantCancelled(t, "List", err)
	wantObject(t, b, "x", []byte("x"))
}

func testCancelledPut(t *T) {
	b := t.create()
	size := int64(t.Profile.Block)
	for _, at := range []int64{0, size / 2, size - 1} {
		ctx, cancel := context.WithCancel(t.Context())
		src := newSource(random(20, int(size)))
		src.block = 100_000
		var cancelled time.Time
		src.at = func(off int64) error {
			if off+100_000 > at && cancelled.IsZero() {
				cancelled = time.Now()
				cancel()
			}
			return nil
		}
		_, err := b.Put(ctx, "c/new", src, backends.PutOptions{})
		cancel()
		wantCancelled(t, keyOf("Put, at %d", at), err)
		if took := time.Since(cancelled); took > 2*time.Second {
			t.Errorf("Put, cancelled at %d, has returned %v later", at, took)
		}
		if n := src.open.Load(); n != 0 {
			t.Errorf("%d readers of the source left open", n)
		}
		wantAbsent(t, b, "c/new")
	}
	put(t, b, "c/new", []byte("after"))
	wantObject(t, b, "c/new", []byte("after"))
}

func testCancelledGet(t *T) {
	b := t.create()
	data := random(21, t.Profile.Block)
	put(t, b, "c/x", data)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, _, err := b.Get(ctx, "c/x", 0, -1)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatalf("%v", err)
	}
	cancel()
	if n, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Errorf("reading after cancel: %d bytes, %v", n, err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close after cancel: %v", err)
	}
	early, _, err := b.Get(t.Context(), "c/x", 0, -1)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if err := early.Close(); err != nil {
		t.Errorf("Close without reading: %v", err)
	}
}

func wantCancelled(t *T, what string, err error) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%s with a cancelled context: %v", what, err)
	}
}
