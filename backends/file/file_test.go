package file

import (
	"context"
	"path/filepath"
	"testing"

	"vaultik/backends"
	"vaultik/backends/backendtest"
	"vaultik/internal/testsize"
)

func TestBackend(t *testing.T) {
	testsize.Long(t)
	backendtest.Run(t, backendtest.Harness{New: func(*backendtest.T) backendtest.Opener {
		root := filepath.Join(t.TempDir(), "a b", "störe")
		return func(ctx context.Context, o backends.Options) (backends.Backend, error) {
			return backends.Open(ctx, root, o)
		}
	}})
}
