package matrix

import (
	"errors"
	"strings"
	"testing"
	"time"

	"vaultik/backends"
)

// extra is a promise that takes more than one open store to see.
type extra struct {
	name  string
	lacks func(c *column) string // why it does not apply; "": it does
	run   func(t *testing.T, c *column)
}

func extras() []extra {
	return []extra{
		{"Killed while putting", func(c *column) string {
			if c.destroy == nil {
				return "anything that outlives the process"
			}
			return ""
		}, testCrash},
		{"Store vanishes", func(c *column) string {
			if c.destroy == nil {
				return "anything that outlives the process"
			}
			return ""
		}, testVanishes},
		{"Wrong credentials", func(c *column) string {
			if c.wrong == nil {
				return "credentials"
			}
			return ""
		}, testWrong},
		{"Server down", func(c *column) string {
			if c.away == nil {
				return "a server"
			}
			return ""
		}, testAway},
		{"Root is a file", func(c *column) string {
			if c.file == nil {
				return "files in the way"
			}
			return ""
		}, testFile},
		{"Unknown remote", func(c *column) string {
			if c.unknown == nil {
				return "names of remotes"
			}
			return ""
		}, testUnknown},
	}
}

// testVanishes: what was open and is removed is missing, never empty.
func testVanishes(t *testing.T, c *column) {
	p := c.fresh(t)
	b := opened(t, p)
	if _, err := b.Put(t.Context(), "x/y", backends.Bytes([]byte("x"), nil), backends.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	c.destroy(t, p)
	n := 0
	err := b.ListStream(t.Context(), "", func(backends.ObjectInfo) error { n++; return nil })
	gone(t, "List", err)
	if n > 0 {
		t.Errorf("%d objects listed of a store that is gone", n)
	}
	_, err = p.open(t.Context(), backends.Options{})
	gone(t, "open", err)
	if _, err := b.Stat(t.Context(), "x/y"); err == nil {
		t.Error("Stat finds an object in a store that is gone")
	}
}

func gone(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, backends.ErrContainerNotFound) || errors.Is(err, backends.ErrNotFound) {
		t.Errorf("%s, the store having vanished: %v, want ErrContainerNotFound", what, err)
	}
}

// quick is how soon an error must come that no waiting can mend.
const quick = 10 * time.Second

// testWrong: wrong credentials are told as such and at once, whether the store exists.
func testWrong(t *testing.T, c *column) {
	p := c.fresh(t)
	if err := opened(t, p).Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range append(c.wrong(t, p), c.wrong(t, c.fresh(t))...) {
		began := time.Now()
		err := use(t, p)
		if took := time.Since(began); took > quick {
			t.Errorf("took %v", took)
		}
		if !errors.Is(err, backends.ErrAuth) && !errors.Is(err, backends.ErrPermission) {
			t.Errorf("%v, want ErrAuth or ErrPermission", err)
		}
		if backends.Retryable(err) {
			t.Errorf("%v is called retryable", err)
		}
	}
}

// testAway: a server that does not answer may be back later.
func testAway(t *testing.T, c *column) {
	err := use(t, c.away(t, c.fresh(t)))
	var op *backends.OpError
	if !errors.As(err, &op) || !op.Retryable {
		t.Errorf("%v, want an error that is worth another try", err)
	}
	for _, wrong := range []error{backends.ErrNotFound, backends.ErrContainerNotFound, backends.ErrConfig, backends.ErrAuth} {
		if errors.Is(err, wrong) {
			t.Errorf("a server that is down is %v: %v", wrong, err)
		}
	}
}

// testFile: a file is no store, and stays as it is.
func testFile(t *testing.T, c *column) {
	p := c.file(t)
	for _, create := range []bool{false, true} {
		b, err := p.open(t.Context(), backends.Options{Create: create})
		if err == nil {
			t.Errorf("create %v: opened", create)
			_ = b.Close()
		} else if !errors.Is(err, backends.ErrConfig) || backends.Retryable(err) {
			t.Errorf("create %v: %v, want ErrConfig", create, err)
		}
	}
}

// testUnknown: a remote that is not configured is told as such, with those that are.
func testUnknown(t *testing.T, c *column) {
	_, err := c.unknown(c.fresh(t)).open(t.Context(), backends.Options{})
	if !errors.Is(err, backends.ErrRemoteNotFound) || backends.Retryable(err) {
		t.Errorf("%v, want ErrRemoteNotFound", err)
	}
	if err != nil && !strings.Contains(err.Error(), remote) {
		t.Errorf("%v; it must name the remotes that there are: %s", err, remote)
	}
}

// use opens a store and asks for its objects: which of the two fails is the
// business of its kind.
func use(t *testing.T, p place) error {
	t.Helper()
	b, err := p.open(t.Context(), backends.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	return b.ListStream(t.Context(), "", func(backends.ObjectInfo) error { return nil })
}

func opened(t *testing.T, p place) backends.Backend {
	t.Helper()
	b, err := p.open(t.Context(), backends.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}
