package faulty

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"vaultik/backends"
	"vaultik/backends/backendtest"
	"vaultik/backends/mem"
	"vaultik/internal/testsize"
)

var errTest = errors.New("test")

// Without rules nothing is different.
func TestBackend(t *testing.T) {
	testsize.Long(t)
	backendtest.Run(t, backendtest.Harness{New: func(t *backendtest.T) backendtest.Opener {
		t.Cleanup(func() { mem.Drop("faulty") })
		return func(ctx context.Context, o backends.Options) (backends.Backend, error) {
			b, err := backends.Open(ctx, "mem://faulty", o)
			if err != nil {
				return nil, err
			}
			return New(b), nil
		}
	}})
}

func put(t *testing.T, b backends.Backend, key, content string) error {
	_, err := b.Put(t.Context(), key, backends.Bytes([]byte(content), nil), backends.PutOptions{})
	return err
}

func TestRule_Counting(t *testing.T) {
	for _, c := range []struct {
		name string
		rule Rule
		want string // one letter a call: F fails
	}{
		{"all", Rule{}, "FFFFF"},
		{"third", Rule{Nth: 3}, "..F.."},
		{"two from the second on", Rule{Nth: 2, Times: 2}, ".FF.."},
		{"first two", Rule{Times: 2}, "FF..."},
		{"other op", Rule{Op: Get}, "....."},
		{"this op", Rule{Op: Put, Nth: 1}, "F...."},
		{"other key", Rule{Key: "b/"}, "....."},
		{"this key", Rule{Key: "a/", Nth: 5}, "....F"},
	} {
		c.rule.Do = Fail(errTest)
		b := New(mem.New(), c.rule)
		got := ""
		for range 5 {
			if err := put(t, b, "a/x", "x"); errors.Is(err, errTest) {
				got += "F"
			} else {
				got += "."
			}
		}
		if got != c.want || b.Calls(Put) != 5 {
			t.Errorf("%s: %s, want %s; %d calls", c.name, got, c.want, b.Calls(Put))
		}
	}
}

func TestFail_EveryOp(t *testing.T) {
	b := New(mem.New())
	if err := put(t, b, "x", "content"); err != nil {
		t.Fatal(err)
	}
	b.Add(Rule{Do: FailRetryable(errTest)})
	ctx := t.Context()
	_, _, getErr := b.Get(ctx, "x", 0, -1)
	_, rangeErr := backends.ReadRange(ctx, b, "x", 0, 1, nil)
	_, statErr := b.Stat(ctx, "x")
	_, listErr := backends.List(ctx, b, "")
	_, infoErr := b.Info(ctx)
	for _, err := range []error{put(t, b, "x", "new"), getErr, rangeErr, statErr, listErr, infoErr, b.Delete(ctx, "x")} {
		if !errors.Is(err, errTest) || !backends.Retryable(err) {
			t.Errorf("got %v, want a retryable errTest", err)
		}
	}
	b.Heal()
	if got, err := backends.ReadRange(ctx, b, "x", 0, -1, nil); err != nil || string(got) != "content" {
		t.Errorf("healed: %q, %v", got, err)
	}
}

func TestFailAfter(t *testing.T) {
	b := New(mem.New(), Rule{Nth: 1, Op: Put, Do: FailAfter(errTest)}, Rule{Nth: 1, Op: Delete, Do: FailAfter(errTest)}, Rule{Nth: 1, Op: Get, Do: FailAfter(errTest)})
	if err := put(t, b, "x", "content"); !errors.Is(err, errTest) {
		t.Errorf("Put: %v", err)
	}
	if _, err := b.Stat(t.Context(), "x"); err != nil {
		t.Errorf("the Put whose answer was lost has stored nothing: %v", err)
	}
	if _, _, err := b.Get(t.Context(), "x", 0, -1); !errors.Is(err, errTest) {
		t.Errorf("Get: %v", err)
	}
	if err := b.Delete(t.Context(), "x"); !errors.Is(err, errTest) {
		t.Errorf("Delete: %v", err)
	}
	if _, err := b.Stat(t.Context(), "x"); !errors.Is(err, backends.ErrNotFound) {
		t.Errorf("the Delete whose answer was lost has deleted nothing: %v", err)
	}
}

func TestNoSpace(t *testing.T) {
	b := New(mem.New(), Rule{Op: Put, Nth: 2, Do: NoSpace()})
	if err := errors.Join(put(t, b, "a", "x")); err != nil {
		t.Fatal(err)
	}
	if err := put(t, b, "b", "x"); !errors.Is(err, backends.ErrNoSpace) || backends.Retryable(err) {
		t.Errorf("Put into a full store: %v", err)
	}
}

func TestFlip(t *testing.T) {
	b := New(mem.New())
	if err := put(t, b, "x", "0000000000"); err != nil {
		t.Fatal(err)
	}
	b.Add(Rule{Op: Get, Do: Flip(4)})
	for _, c := range []struct {
		off, n int64
		want   string
	}{{0, -1, "0000100000"}, {4, 2, "10"}, {5, 2, "00"}, {3, 2, "01"}, {0, 4, "0000"}} {
		got, err := backends.ReadRange(t.Context(), b, "x", c.off, c.n, nil)
		if err != nil || string(got) != c.want {
			t.Errorf("ReadRange(%d, %d): %q, %v; want %q", c.off, c.n, got, err, c.want)
		}
		r, _, err := b.Get(t.Context(), "x", c.off, c.n)
		if err != nil {
			t.Fatal(err)
		}
		got, err = io.ReadAll(r)
		if err != nil || string(got) != c.want {
			t.Errorf("Get(%d, %d): %q, %v; want %q", c.off, c.n, got, err, c.want)
		}
	}
	b.Heal()
	b.Add(Rule{Op: Put, Do: Flip(0)})
	data := []byte("000")
	if _, err := b.Put(t.Context(), "y", backends.Bytes(data, nil), backends.PutOptions{}); err != nil || string(data) != "000" {
		t.Errorf("Put: %v, source now %q", err, data)
	}
	if got, err := backends.ReadRange(t.Context(), b, "y", 0, -1, nil); err != nil || string(got) != "100" {
		t.Errorf("stored %q, %v; want one bit flipped", got, err)
	}
}

func TestShort(t *testing.T) {
	b := New(mem.New())
	for _, key := range []string{"x", "y", "z"} {
		if err := put(t, b, key, "0123456789"); err != nil {
			t.Fatal(err)
		}
	}
	b.Add(Rule{Do: Short(2)})
	r, _, err := b.Get(t.Context(), "x", 3, -1)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); string(got) != "34" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Get: %q, %v", got, err)
	}
	if _, err := backends.ReadRange(t.Context(), b, "x", 0, 5, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("ReadRange: %v", err)
	}
	if got, err := backends.ReadRange(t.Context(), b, "x", 0, 2, nil); err != nil || string(got) != "01" {
		t.Errorf("ReadRange of less: %q, %v", got, err)
	}
	if list, err := backends.List(t.Context(), b, ""); len(list) != 2 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("List: %v, %v", list, err)
	}
	if err := put(t, b, "new", "0123"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Put: %v", err)
	}
	if _, err := b.Stat(t.Context(), "new"); !errors.Is(err, backends.ErrNotFound) {
		t.Errorf("a Put that was cut has stored something: %v", err)
	}
}

func TestWait(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan string, 1)
	b := New(mem.New(), Rule{Op: Put, Do: Tell(func(_ Op, key string) { entered <- key })}, Rule{Op: Put, Do: Wait(release)})
	done := make(chan error, 1)
	go func() { done <- put(t, b, "x", "x") }()
	if key := <-entered; key != "x" {
		t.Errorf("told %q", key)
	}
	if _, err := b.Stat(t.Context(), "x"); !errors.Is(err, backends.ErrNotFound) {
		t.Errorf("a Put that waits has stored something: %v", err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b.Add(Rule{Op: Get, Do: Tell(func(Op, string) { cancel() })}, Rule{Op: Get, Do: Wait(nil)})
	if _, _, err := b.Get(ctx, "x", 0, -1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while it waits: %v", err)
	}
}

func TestPanic(t *testing.T) {
	b := New(mem.New(), Rule{Op: Put, Nth: 1, Do: Panic("boom")})
	func() {
		defer func() {
			if v := recover(); v != "boom" {
				t.Errorf("recovered %v", v)
			}
		}()
		_ = put(t, b, "x", "x")
	}()
	if err := put(t, b, "x", "x"); err != nil {
		t.Errorf("after the panic: %v", err)
	}
}

func TestUnwrap(t *testing.T) {
	inner := mem.New()
	if b := New(inner); b.Unwrap() != inner {
		t.Error("Unwrap returns another backend")
	}
}

// The backend inside may lack ReadRange.
func TestReadRange_Plain(t *testing.T) {
	b := New(struct{ backends.Backend }{mem.New()})
	if err := put(t, b, "x", "0123456789"); err != nil {
		t.Fatal(err)
	}
	if got, err := backends.ReadRange(t.Context(), b, "x", 2, 3, nil); err != nil || !bytes.Equal(got, []byte("234")) {
		t.Errorf("ReadRange: %q, %v", got, err)
	}
}
