package mem

import (
	"context"
	"errors"
	"testing"

	"vaultik/backends"
	"vaultik/backends/backendtest"
)

func TestBackend(t *testing.T) {
	backendtest.Run(t, backendtest.Harness{New: func(t *backendtest.T) backendtest.Opener {
		t.Cleanup(func() { Drop("suite") })
		return func(ctx context.Context, o backends.Options) (backends.Backend, error) {
			return backends.Open(ctx, "mem://suite", o)
		}
	}})
}

func TestOpen_BadURLs(t *testing.T) {
	for _, u := range []string{"mem://", "mem://user:secret@x", "mem://x?y", "mem://x#y"} {
		if _, err := backends.Open(t.Context(), u, backends.Options{Create: true}); !errors.Is(err, backends.ErrConfig) {
			t.Errorf("open %s: %v, want ErrConfig", u, err)
		}
	}
}

func TestNew_SpacesAreApart(t *testing.T) {
	a, b := New(), New()
	if _, err := a.Put(t.Context(), "x", backends.Bytes([]byte("x"), nil), backends.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Stat(t.Context(), "x"); !errors.Is(err, backends.ErrNotFound) {
		t.Errorf("Stat in another space: %v", err)
	}
}
