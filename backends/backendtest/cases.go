package backendtest

import (
	"context"

	"vaultik/backends"
)

// Case is one promise of the contract, held against a store of its own.
type Case struct {
	Name string // says what is promised; never changes
	Run  func(t *T)
}

// Cases returns all of them, in the order in which they run.
func Cases() []Case {
	return []Case{
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
		{"Delete many", testDeleteMany},
		{"List", testList},
		{"List stops", testListStops},
		{"List in motion", testListMotion},
		{"Close", testClose},
		{"All at once", testConcurrent},
	}
}

// Opener opens one more handle on one store.
type Opener func(ctx context.Context, o backends.Options) (backends.Backend, error)

// Harness is the kind of store that the cases run against.
type Harness struct {
	// New makes an Opener of a new store, for one case. The store does not exist
	// yet: the first Options.Create makes it. What must be cleaned up goes to
	// t.Cleanup, which runs after all handles are closed.
	New func(t *T) Opener
	// Profile is how much is asked of the store; zero: Full.
	Profile Profile
	// Omit has the names of cases that cannot run here, each with the reason.
	Omit map[string]string
	// Report, if set, gets the result of each case from Run. The test reports what
	// failed; Failures only says that something did.
	Report func(Result)
}

// Profile is how much the cases ask of a store.
type Profile struct {
	MaxObject int   // bytes of the largest object
	Many      int   // objects in the longest list
	Stats     int   // of these are asked for one by one
	Rounds    int   // repetitions of what must hold while other things happen
	Reads     int   // of one object while it is replaced, at most
	Block     int   // bytes of an object whose transfer is interrupted
	MaxKey    int   // bytes of the longest key, at most backends.MaxKey
	Up, Down  int64 // bytes that all cases move, about, with these numbers
	Calls     int   // and how many calls of the backend
}

// Full is for stores of our own.
func Full() Profile {
	return Profile{MaxObject: 64 << 20, Many: 1100, Stats: 1100, Rounds: 10, Reads: 100, Block: 4 << 20, MaxKey: backends.MaxKey, Up: 175e6, Down: 210e6, Calls: 5000}
}

// Light is for stores where every byte and every call costs time and money. The
// list is longer than a page of it still.
func Light() Profile {
	return Profile{MaxObject: 5<<20 + 1, Many: 1100, Stats: 20, Rounds: 4, Reads: 15, Block: 1 << 20, MaxKey: backends.MaxKey, Up: 44e6, Down: 32e6, Calls: 3000}
}

func (h *Harness) profile() Profile {
	if h.Profile == (Profile{}) {
		return Full()
	}
	return h.Profile
}

// run runs one case and closes what it has opened.
func (h *Harness) run(c Case, t *T) {
	t.open = h.New(t)
	defer func() {
		for _, b := range t.handles {
			if err := b.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	}()
	c.Run(t)
}
