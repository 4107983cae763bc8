package file

import (
	"context"
	"path/filepath"
	"testing"

	"vaultik/backends"
	"vaultik/backends/backendtest"
)

func TestBackend(t *testing.T) {
	backendtest.Run(t, backendtest.Harness{New: func(*backendtest.T) backendtest.Opener {
		root := filepath.Join(t.TempDir(), "a b", "störe")
		return func(ctx context.Context, o backends.Options) (backends.Backend, error) {
			return backends.Open(ctx, root, o)
		}
	}})
}
