package matrix

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"vaultik/backends"
	"vaultik/backends/backendtest"
	"vaultik/backends/retry"
	"vaultik/internal/testsize"
)

var update = flag.Bool("update", false, "write docs/conformance.md as it was seen")

func TestMain(m *testing.M) {
	if os.Getenv(childPlace) != "" {
		os.Exit(child())
	}
	// rclone's remotes of HTTP keep idle connections for a minute, which the suite
	// would take for leaks.
	if err := os.Setenv("RCLONE_DISABLE_HTTP_KEEP_ALIVES", "true"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// place is where one store is, or will be. A child process gets it as JSON.
type place struct {
	URL     string
	S3      backends.S3Options
	Rclone  backends.RcloneOptions
	Retried bool // through backends/retry
	Torn    bool // known not to replace atomically, which the store itself cannot find out
}

func (p place) open(ctx context.Context, o backends.Options) (backends.Backend, error) {
	o.S3, o.Rclone = p.S3, p.Rclone
	b, err := backends.Open(ctx, p.URL, o)
	if err != nil {
		return nil, err
	}
	if p.Torn {
		b = torn{b}
	}
	if p.Retried {
		b = retry.Wrap(b, retry.Options{Elapsed: time.Minute})
	}
	return b, nil
}

// torn is a store that says of itself what is known of its server.
type torn struct{ backends.Backend }

func (b torn) Info(ctx context.Context) (backends.Info, error) {
	info, err := b.Backend.Info(ctx)
	info.AtomicReplace = false
	return info, err
}

// column is a kind of store on one server.
type column struct {
	name    string // as in the table
	url     string // what a user writes
	command string // how the server starts; "": there is none

	fresh   func(tb backendtest.TB) place       // a store that does not exist yet
	destroy func(t *testing.T, p place)         // removes all of a store, behind its back; nil: cannot be
	wrong   func(t *testing.T, p place) []place // the same with wrong credentials; nil: there are none
	away    func(t *testing.T, p place) place   // the same on a server that does not listen; nil: there is none
	file    func(tb backendtest.TB) place       // a path that is a file; nil: no such thing
	note    string                              // what else is to be known of it; "": nothing
	unknown func(p place) place                 // with a remote that is not configured; nil: no such thing
}

// TestMatrix is one run of everything. Servers start when their column does.
func TestMatrix(t *testing.T) {
	r := report{}
	for _, start := range columns() {
		t.Run(start.name, func(t *testing.T) {
			c := start.start(t)
			c.name = start.name
			seen := r.column(c)
			h := backendtest.Harness{
				Profile: profile(),
				New:     func(t *backendtest.T) backendtest.Opener { return c.fresh(t).open },
				Report:  seen.add,
			}
			backendtest.Run(t, h)
			for _, e := range extras() {
				seen.extra(t, c, e)
			}
			seen.capabilities(t, c)
		})
	}
	if testing.Short() || t.Failed() || !r.whole() {
		t.Log("docs/conformance.md is compared when everything has run and passed")
		return
	}
	r.compare(t, "../../docs/conformance.md", *update)
}

// profile is what the suite asks of each column: half a minute in all, unless
// time is no matter.
func profile() backendtest.Profile {
	if testsize.Pick(0, 1) == 1 {
		return backendtest.Full()
	}
	p := backendtest.Light()
	p.MaxObject = 16<<20 + 1
	return p
}
