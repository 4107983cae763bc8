package backendtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"

	"vaultik/backends"
)

// random returns n bytes that depend on seed only.
func random(seed uint64, n int) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// source returns b as a Source that knows its hash.
func source(b []byte) backends.Source {
	sum := sha256.Sum256(b)
	return backends.Bytes(b, &sum)
}

func put(t *T, b backends.Backend, key string, data []byte) {
	t.Helper()
	info, err := b.Put(t.Context(), key, source(data), backends.PutOptions{})
	if err != nil {
		t.Fatalf("Put %s: %v", key, err)
	}
	if info.Key != key || info.Size != int64(len(data)) {
		t.Fatalf("Put %s returned %q of %d bytes, stored %d", key, info.Key, info.Size, len(data))
	}
}

func get(ctx context.Context, b backends.Backend, key string, off, n int64) ([]byte, error) {
	r, _, err := b.Get(ctx, key, off, n)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

// wantObject checks an object by Stat and Get.
func wantObject(t *T, b backends.Backend, key string, data []byte) {
	t.Helper()
	info, err := b.Stat(t.Context(), key)
	if err != nil {
		t.Errorf("Stat %s: %v", key, err)
		return
	}
	if info.Key != key || info.Size != int64(len(data)) {
		t.Errorf("Stat %s: %q of %d bytes, want %d", key, info.Key, info.Size, len(data))
	}
	if sum := sha256.Sum256(data); info.SHA256 != nil && !bytes.Equal(info.SHA256, sum[:]) {
		t.Errorf("Stat %s: the store vouches for SHA-256 %x, it is %x", key, info.SHA256, sum)
	}
	got, err := get(t.Context(), b, key, 0, -1)
	if err != nil {
		t.Errorf("Get %s: %v", key, err)
	} else if sha256.Sum256(got) != sha256.Sum256(data) {
		t.Errorf("Get %s: %d bytes, not the %d that were put", key, len(got), len(data))
	}
}

// wantAbsent checks that nothing is to be seen of key.
func wantAbsent(t *T, b backends.Backend, key string) {
	t.Helper()
	if _, err := b.Stat(t.Context(), key); !errors.Is(err, backends.ErrNotFound) {
		t.Errorf("Stat of absent %s: %v, want ErrNotFound", key, err)
	}
	if _, err := get(t.Context(), b, key, 0, -1); !errors.Is(err, backends.ErrNotFound) {
		t.Errorf("Get of absent %s: %v, want ErrNotFound", key, err)
	}
	for _, k := range keysOf(t, b, "") {
		if k == key {
			t.Errorf("absent %s is listed", key)
		}
	}
}

// keysOf lists prefix and checks that nothing is listed twice.
func keysOf(t *T, b backends.Backend, prefix string) []string {
	t.Helper()
	seen := map[string]bool{}
	var keys []string
	err := b.ListStream(t.Context(), prefix, func(o backends.ObjectInfo) error {
		if seen[o.Key] {
			t.Errorf("list %q: %s twice", prefix, o.Key)
		}
		seen[o.Key] = true
		keys = append(keys, o.Key)
		return nil
	})
	if err != nil {
		t.Errorf("list %q: %v", prefix, err)
	}
	return keys
}

// wantOpError checks that err is of a kind, has the form of a backend's error and says
// that retrying is pointless.
func wantOpError(t *T, what string, err, kind error) {
	t.Helper()
	var op *backends.OpError
	switch {
	case !errors.Is(err, kind):
		t.Errorf("%s: %v, want %v", what, err, kind)
	case !errors.As(err, &op):
		t.Errorf("%s: %T is no *OpError", what, err)
	case op.Retryable:
		t.Errorf("%s: %v is called retryable", what, err)
	}
}

// testSource is a Source that does not say that it is in memory and can misbehave.
type testSource struct {
	data   []byte
	size   int64
	block  int               // bytes a Read, 0: all
	at     func(int64) error // called with the offset before each Read
	opened atomic.Int32
	open   atomic.Int32
}

func newSource(data []byte) *testSource { return &testSource{data: data, size: int64(len(data))} }

func (s *testSource) Size() int64    { return s.size }
func (s *testSource) SHA256() []byte { return nil }

func (s *testSource) Open() (io.ReadSeekCloser, error) {
	s.opened.Add(1)
	s.open.Add(1)
	return &testReader{s: s, r: bytes.NewReader(s.data)}, nil
}

type testReader struct {
	s      *testSource
	r      *bytes.Reader
	closed bool
}

func (r *testReader) Read(p []byte) (int, error) {
	if r.closed {
		panic("backendtest: read after close")
	}
	if r.s.at != nil {
		if err := r.s.at(r.r.Size() - int64(r.r.Len())); err != nil {
			return 0, err
		}
	}
	if r.s.block > 0 && len(p) > r.s.block {
		p = p[:r.s.block]
	}
	return r.r.Read(p)
}

func (r *testReader) Seek(off int64, whence int) (int64, error) { return r.r.Seek(off, whence) }

func (r *testReader) Close() error {
	if r.closed {
		panic("backendtest: closed twice")
	}
	r.closed = true
	r.s.open.Add(-1)
	return nil
}

// failAt returns a hook for testSource.at that fails once offset is reached.
func failAt(offset int64, err error) func(int64) error {
	return func(at int64) error {
		if at >= offset {
			return err
		}
		return nil
	}
}

func keyOf(format string, args ...any) string { return fmt.Sprintf(format, args...) }
