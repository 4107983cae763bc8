// Package commit decides in which order a backup makes its snapshot: the part of the protocol
// that keeps prune from deleting what a snapshot needs while it is being made. It does nothing
// itself, so that a model can drive it through every order of events; docs/format.md, "Order of
// writes", has the reasons.
package commit

import (
	"fmt"
	"time"
)

// Fresh is how old the listing may be by which everything that a manifest needs is there, when
// the store has acknowledged the manifest. By then prune has seen the manifest, or has condemned
// nothing that it needs.
const Fresh = 10 * time.Minute

// Rounds is how often a commit looks at the store again because the manifest was not
// acknowledged in time, or something that it needs was lost meanwhile.
const Rounds = 3

// Store is what a commit does with the store.
type Store interface {
	// Age is how old the newest listing is, by a clock that counts suspended time. It may
	// change with every call.
	Age() time.Duration
	// List lists the host's objects and reads the newest gc object, whichever first: the age
	// counts from before both. What that condemns counts as absent from then on.
	List() error
	// Missing counts the blobs that are needed and absent; they are to be stored again. What
	// this run has stored itself may be too new to be listed: it is asked for by name.
	Missing() (int, error)
	// Write stores blob lists and root, and makes the manifest.
	Write() error
	// Whole reports whether lists, root and epoch keys of the manifest are there, and not
	// condemned.
	Whole() (bool, error)
	// Publish creates the manifest and reports whether it is there, whoever's request it was
	// that put it. It gives up after this time.
	Publish(within time.Duration) (bool, error)
	// Heeded reports whether the gc object that the newest listing was held against is still
	// the newest. It asks for the next one by its name, since a listing may be behind.
	Heeded() (bool, error)
}

// Run commits. With missing blobs nothing is to be relied upon that it has published: store
// them, and run again.
func Run(s Store) (missing int, err error) {
	for range Rounds {
		if done, missing, err := attempt(s); done || err != nil {
			return missing, err
		}
	}
	return 0, fmt.Errorf("the store took longer than %v to accept the manifest, or lost what it "+
		"names, %d times", Fresh, Rounds)
}

// attempt is done with a manifest that has everything, and where blobs are missing.
func attempt(s Store) (done bool, missing int, err error) {
	if missing, err = s.Missing(); err != nil || missing > 0 {
		return true, missing, err
	}
	if err := s.Write(); err != nil {
		return false, 0, err
	}
	if s.Age() > Fresh/5 {
		if ok, missing, err := again(s); !ok {
			return missing > 0, missing, err
		}
	}
	left := Fresh - s.Age()
	if left <= 0 {
		return false, 0, nil // it would be late for certain
	}
	published, err := s.Publish(left)
	if err != nil || !published {
		return false, 0, err
	}
	// Where nothing was condemned before the manifest was there, all later prunes see it. This
	// holds on a machine that was paused, too, which no clock of its own tells.
	if s.Age() <= Fresh {
		if heeded, err := s.Heeded(); err != nil || heeded {
			return true, 0, err
		}
	}
	// Prune has gone on, or the store or this machine was held up. What was condemned since the
	// listing may have been deleted: look again, and if anything is missing, make another
	// manifest.
	ok, missing, err := again(s)
	return ok || missing > 0, missing, err
}

// again lists, and reports whether everything that the manifest needs is there.
func again(s Store) (ok bool, missing int, err error) {
	if err := s.List(); err != nil {
		return false, 0, err
	}
	if missing, err = s.Missing(); err != nil || missing > 0 {
		return false, missing, err
	}
	if ok, err = s.Whole(); err != nil {
		return false, 0, err
	}
	return ok, 0, nil
}
