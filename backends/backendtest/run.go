package backendtest

import (
	"context"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"vaultik/backends"
)

// Opener opens one more handle on one store.
type Opener func(ctx context.Context, o backends.Options) (backends.Backend, error)

// Factory makes an Opener of a new store, which does not exist yet: the first
// Options.Create makes it. Cleaning up is the factory's.
type Factory func(t *testing.T) Opener

// Run holds a kind of store to the contract of backends.Backend.
func Run(t *testing.T, newStore Factory) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s *suite)
	}{
		{"Missing store", testMissingStore},
		{"Reopen", testReopen},
		{"Read-only", testReadOnly},
		{"Info", testInfo},
		{"Empty and missing", testEmpty},
		{"Sizes", testSizes},
		{"Empty object", testEmptyObject},
		{"Ranges", testRanges},
		{"Adapters", testAdapters},
		{"Keys", testKeys},
		{"Invalid keys", testInvalidKeys},
		{"Overwrite", testOverwrite},
		{"Overwrite while reading", testOverwriteRead},
		{"Same key, same bytes at once", testPutSame},
		{"Same key, other bytes at once", testPutOther},
		{"If absent", testIfAbsent},
		{"If absent, racing", testIfAbsentRace},
		{"Source of another size", testSourceSize},
		{"Source fails", testSourceFails},
		{"Source opened and closed", testSourceClosed},
		{"Source panics", testSourcePanics},
		{"Progress", testProgress},
		{"Checksum", testChecksum},
		{"Cancelled before", testCancelledBefore},
		{"Cancelled in put", testCancelledPut},
		{"Cancelled in get", testCancelledGet},
		{"Delete", testDelete},
		{"Delete while reading", testDeleteRead},
		{"List", testList},
		{"List stops", testListStops},
		{"List in motion", testListMotion},
		{"Close", testClose},
		{"All at once", testConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) {
			goroutines := runtime.NumGoroutine()
			fds := openFiles(t)
			s := &suite{open: newStore(t)}
			c.test(t, s)
			for _, b := range s.handles {
				if err := b.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
			wantGoroutines(t, goroutines)
			if now := openFiles(t); now > fds {
				t.Errorf("%d files open after the test, %d before", now, fds)
			}
		})
	}
}

// suite is one case's store and the handles opened on it.
type suite struct {
	open    Opener
	handles []backends.Backend
}

// handle opens the store, made if it is missing, until the end of the case.
func (s *suite) handle(t *testing.T, o backends.Options) backends.Backend {
	t.Helper()
	b, err := s.open(t.Context(), o)
	if err != nil {
		t.Fatalf("open %+v: %v", o, err)
	}
	s.handles = append(s.handles, b)
	return b
}

func (s *suite) create(t *testing.T) backends.Backend {
	t.Helper()
	return s.handle(t, backends.Options{Create: true})
}

func capabilities(t *testing.T, b backends.Backend) backends.Capabilities {
	t.Helper()
	info, err := b.Info(t.Context())
	if err != nil {
		t.Fatalf("Info: %v", err)
	}
	return info.Capabilities
}

// openFiles counts the open descriptors of this process, without its own.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// wantGoroutines checks that there are not more than n, once those that are about
// to end have ended.
func wantGoroutines(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Second); runtime.NumGoroutine() > n; runtime.Gosched() {
		if time.Now().After(deadline) {
			var stacks strings.Builder
			err := pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			t.Errorf("%d goroutines after the test, %d before (%v)\n%s", runtime.NumGoroutine(), n, err, stacks.String())
			return
		}
	}
}
