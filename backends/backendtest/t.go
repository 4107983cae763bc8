package backendtest

import (
	"context"

	"vaultik/backends"
)

// TB is what cases use of *testing.T, so that the program can run them without
// linking package testing.
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any) // from the goroutine of the case only
	Cleanup(f func())
	Context() context.Context
	Failed() bool
}

// T is one run of a case: where it reports to, its store, the handles on it.
type T struct {
	TB
	Name    string // of the case
	Profile Profile

	open    Opener
	handles []backends.Backend
	lacks   string
}

// without notes that the store cannot do what this case is about: only that it
// says so is checked.
func (t *T) without(what string) { t.lacks = what }

// handle opens the store, made if it is missing, until the end of the case.
func (t *T) handle(o backends.Options) backends.Backend {
	t.Helper()
	b, err := t.open(t.Context(), o)
	if err != nil {
		t.Fatalf("open (create %v, read-only %v): %v", o.Create, o.ReadOnly, err)
	}
	t.handles = append(t.handles, b)
	return b
}

func (t *T) create() backends.Backend {
	t.Helper()
	return t.handle(backends.Options{Create: true})
}

func capabilities(t *T, b backends.Backend) backends.Capabilities {
	t.Helper()
	info, err := b.Info(t.Context())
	if err != nil {
		t.Fatalf("Info: %v", err)
	}
	return info.Capabilities
}
