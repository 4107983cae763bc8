package snapshot

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// largeObject is one object of a store, which counts what is asked of it.
type largeObject struct {
	Objects
	b     []byte
	asked int64
}

func (o *largeObject) Head(_ context.Context, _ string, n int64) ([]byte, error) {
	o.asked += n
	return o.b[:min(n, int64(len(o.b)))], nil
}

// What does not begin like a compressed object is not read to its end.
func TestGet_Large(t *testing.T) {
	noise := make([]byte, 8<<20)
	r := rand.NewChaCha8([32]byte{})
	if _, err := io.ReadFull(r, noise); err != nil {
		t.Fatal(err)
	}
	good := compressNames(noise)
	sparse := make([]byte, len(good)) // a small object, made long
	copy(sparse, compressNames(noise[:5000]))
	for name, b := range map[string][]byte{"zeros": make([]byte, len(good)), "noise": noise, "sparse": sparse} {
		o := &largeObject{b: b}
		_, err := (&Store{objects: o}).get(t.Context(), "x.zst", int64(len(b)), MaxManifest)
		if !errors.Is(err, ErrDamaged) || o.asked > sniffed {
			t.Errorf("%s: %v after %d bytes, want damage after at most %d", name, err, o.asked, sniffed)
		}
	}
	same := compressNames(make([]byte, 32<<20)) // its padding is most of it
	for name, b := range map[string][]byte{"good": good, "same": same} {
		o := &largeObject{b: b}
		got, err := (&Store{objects: o}).get(t.Context(), "x.zst", int64(len(b)), MaxManifest)
		if err != nil || len(got) != len(b) {
			t.Errorf("%s: %d bytes, %v; want all %d", name, len(got), err, len(b))
		}
	}
}
