package backendtest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"sync"

	"vaultik/backends"
)

func testMissingStore(t *T) {
	for _, o := range []backends.Options{{}, {ReadOnly: true}, {ReadOnly: true, Create: true}} {
		b, err := t.open(t.Context(), o)
		if err == nil {
			t.handles = append(t.handles, b)
		}
		wantOpError(t, "open a missing store", err, backends.ErrContainerNotFound)
		if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, backends.ErrNotFound) {
			t.Errorf("open a missing store: %v must match fs.ErrNotExist, not ErrNotFound", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := t.open(ctx, backends.Options{Create: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("open with a cancelled context: %v", err)
	}
	if _, err := t.open(t.Context(), backends.Options{}); !errors.Is(err, backends.ErrContainerNotFound) {
		t.Errorf("the store is there although nothing could create it: %v", err)
	}
	t.create()
	t.create() // an existing one is as good
	t.handle(backends.Options{})
}

func testReopen(t *T) {
	a, b := t.create(), t.create()
	data := random(1, 5000)
	put(t, a, "x/one", data)
	wantObject(t, b, "x/one", data)
	if got := keysOf(t, b, ""); len(got) != 1 {
		t.Errorf("second handle lists %v", got)
	}
	put(t, b, "x/two", data)
	wantObject(t, a, "x/two", data)
	if err := a.Close(); err != nil {
		t.Fatalf("%v", err)
	}
	c := t.handle(backends.Options{})
	wantObject(t, c, "x/one", data)
	if err := c.Delete(t.Context(), "x/one"); err != nil {
		t.Fatalf("%v", err)
	}
	wantAbsent(t, b, "x/one")
}

func testReadOnly(t *T) {
	put(t, t.create(), "a/b", []byte("content"))
	ro := t.handle(backends.Options{ReadOnly: true})
	src := newSource([]byte("other"))
	_, err := ro.Put(t.Context(), "a/b", src, backends.PutOptions{})
	wantOpError(t, "Put into a read-only store", err, backends.ErrReadOnly)
	_, err = ro.Put(t.Context(), "a/new", src, backends.PutOptions{IfAbsent: true})
	wantOpError(t, "Put into a read-only store", err, backends.ErrReadOnly)
	wantOpError(t, "Delete from a read-only store", ro.Delete(t.Context(), "a/b"), backends.ErrReadOnly)
	if src.opened.Load() != 0 {
		t.Errorf("a refused Put has opened its source")
	}
	wantObject(t, ro, "a/b", []byte("content"))
	wantAbsent(t, ro, "a/new")
}

func testInfo(t *T) {
	b := t.create()
	info, err := b.Info(t.Context())
	if err != nil {
		t.Fatalf("%v", err)
	}
	if info.Kind == "" || !strings.HasPrefix(info.Location, info.Kind+":") {
		t.Errorf("kind %q, location %q", info.Kind, info.Location)
	}
	if info.Free < -1 || info.Total < -1 || info.Free > info.Total {
		t.Errorf("free %d of %d bytes", info.Free, info.Total)
	}
	if info.Connections < 1 || info.MaxObjectSize < 0 {
		t.Errorf("connections %d, largest object %d", info.Connections, info.MaxObjectSize)
	}
}

func testClose(t *T) {
	b := t.create()
	data := random(2, 1<<20)
	put(t, b, "kept", data)
	r, _, err := b.Get(t.Context(), "kept", 0, -1)
	if err != nil {
		t.Fatalf("%v", err)
	}
	started, release := make(chan struct{}), make(chan struct{})
	start := sync.OnceFunc(func() { close(started) }) // a source may be opened more than once
	src := newSource(data)
	src.block = 64 << 10
	src.at = func(at int64) error {
		if at == 0 {
			start()
			<-release
		}
		return nil
	}
	putDone, closeDone := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := b.Put(context.WithoutCancel(t.Context()), "slow", src, backends.PutOptions{})
		putDone <- err
	}()
	<-started
	go func() { closeDone <- b.Close() }()
	for {
		if _, err := b.Stat(t.Context(), "kept"); errors.Is(err, backends.ErrClosed) {
			break
		}
		runtime.Gosched()
	}
	select {
	case err := <-closeDone:
		t.Errorf("Close returned (%v) while a Put was running", err)
		closeDone <- err
	default:
	}
	close(release)
	if err := <-putDone; err != nil {
		t.Errorf("Put that ran when Close was called: %v", err)
	}
	if err := <-closeDone; err != nil {
		t.Errorf("Close: %v", err)
	}
	wantClosed(t, b)
	if got, err := io.ReadAll(r); err != nil || len(got) != len(data) {
		t.Errorf("reader opened before Close: %d bytes, %v", len(got), err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("%v", err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	wantObject(t, t.handle(backends.Options{}), "slow", data)
}

func wantClosed(t *T, b backends.Backend) {
	t.Helper()
	ctx := t.Context()
	_, err := b.Put(ctx, "k", backends.Bytes([]byte("x"), nil), backends.PutOptions{})
	wantOpError(t, "Put after Close", err, backends.ErrClosed)
	_, _, err = b.Get(ctx, "k", 0, -1)
	wantOpError(t, "Get after Close", err, backends.ErrClosed)
	_, err = backends.ReadRange(ctx, b, "k", 0, 1, nil)
	wantOpError(t, "ReadRange after Close", err, backends.ErrClosed)
	_, err = b.Stat(ctx, "k")
	wantOpError(t, "Stat after Close", err, backends.ErrClosed)
	wantOpError(t, "Delete after Close", b.Delete(ctx, "k"), backends.ErrClosed)
	_, err = backends.List(ctx, b, "")
	wantOpError(t, "List after Close", err, backends.ErrClosed)
	_, err = b.Info(ctx)
	wantOpError(t, "Info after Close", err, backends.ErrClosed)
}
