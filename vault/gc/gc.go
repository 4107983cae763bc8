// Package gc decides what prune deletes, and in which order: the protocol by which anybody who
// may prune removes what no snapshot needs, without a key, without a lock, beside running
// backups. docs/format.md has the rules and why they are safe. It does nothing itself: it works
// through a [Store], so that a model can drive it through every order of events.
//
// It holds about 70 MB a million blobs (make bench-gc), and up to as much again while the
// listing grows.
package gc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// Times are how long prune waits. All ages are differences of times that the store gave to two
// objects; no clock of a machine counts.
type Times struct {
	Age   time.Duration // of what nothing needs, before it is condemned; it saves work
	Grace time.Duration // from there to its deletion: what a backup may take to find out
	// Heeded deletes only what a snapshot of the host, made later, has seen condemned: for
	// stores whose times are those of the machines that write.
	Heeded bool
}

// Far are the times for stores that other machines use, and machines that may be paused.
var Far = Times{Age: 7 * 24 * time.Hour, Grace: 72 * time.Hour}

// Near are the times of a host that prunes its own part of a store that is not on a local disk,
// or after a crash, while it holds its lock: what it asked for before may still arrive.
var Near = Times{Grace: 15 * time.Minute}

// remembered is how long a name stays condemned after it was deleted, whoever has pruned:
// another prune, with longer times, may have been held up before it deletes it once more.
const remembered = 150 * time.Hour

// Look is how old what prune knows of manifests may be while it deletes. It is what a backup
// may take from its listing to its manifest.
const Look = 10 * time.Minute

// Object is an object of the host, as the store lists it.
type Object struct {
	layout.Object
	Size   int64
	Stored time.Time // by the store
}

// Head is the newest gc object about a host, and what the store has beside it.
type Head struct {
	GC      *snapshot.GC // nil: there is none
	Sum     snapshot.Sum
	Others  []snapshot.Sum             // of other newest ones, with which GC is united: a weak store
	Objects map[uint64]time.Time       // when each gc object was stored, by seq; the last, if several
	Weak    []layout.Object            // gc objects whose names are those of a weak store
	Lists   map[snapshot.Sum]time.Time // when each condemned list was
}

// Manifest is one that was verified.
type Manifest struct {
	*snapshot.Loaded
	Stored time.Time
}

// Checkpoint is one that was verified.
type Checkpoint struct {
	*snapshot.Checkpoint
	Stored time.Time
}

// Visitor takes what [Store.Read] reads. What is read is not used after the call.
type Visitor struct {
	Known      func(key string) bool // need not be read again
	Manifest   func(Manifest) error
	Checkpoint func(Checkpoint) error
	Note       func(*snapshot.Note)
}

// Store is what prune works on: a store's part about one host.
type Store interface {
	// Head reads the newest gc object.
	Head(ctx context.Context) (*Head, error)
	// EachCondemned reads a condemned list.
	EachCondemned(ctx context.Context, ref snapshot.ListRef, fn func(layout.Object) error) error
	// List calls fn for each object of the host that is in the store.
	List(ctx context.Context, fn func(Object) error) error
	// Read lists manifests, checkpoints and notes, and reads those that are not known. What
	// cannot be verified, and every fork and gap, is a problem.
	Read(ctx context.Context, v Visitor) (problems []error, err error)
	// BlobList reads a blob list.
	BlobList(ctx context.Context, ref snapshot.ListRef) ([]snapshot.BlobSize, error)
	// PutCondemned stores a condemned list.
	PutCondemned(ctx context.Context, names []string) (snapshot.ListRef, error)
	// Put signs and creates a gc object, and says what it is and when it was stored.
	// [ErrConflict]: another one is in its place. A weak store cannot tell: it puts the object
	// under its own name there, and [ErrOvertaken] if another newest one is there after that.
	Put(ctx context.Context, g *snapshot.GC) (snapshot.Sum, time.Time, error)
	// Delete removes objects; those that are gone are no error. Where ctx ends before all are
	// deleted, it is an error of ctx, and no request is left behind that could do it later.
	// A *[KeptError] says that all are deleted but some that the store does not let go.
	Delete(ctx context.Context, keys []string) error
}

var (
	// ErrConflict means that the place of a new gc object is taken.
	ErrConflict = errors.New("another gc object is in its place")
	// ErrOvertaken means that another machine prunes the same host.
	ErrOvertaken = errors.New("another machine prunes this host's part of the store now; nothing more was deleted")
	// ErrNewest means that the newest snapshot of a set was to be removed, and the set not.
	ErrNewest = errors.New("it is the newest snapshot of its set, which stays")
	// ErrUnexplained means that much more is not needed than snapshots were removed for.
	ErrUnexplained = errors.New("a large part of the store is needed by no snapshot that is or was there")
)

// ProblemsError says why nothing is deleted under a host.
type ProblemsError struct{ Problems []error }

// Error implements error.
func (e *ProblemsError) Error() string {
	return fmt.Sprintf("nothing was deleted, because not all snapshots can be read: %v", errors.Join(e.Problems...))
}

// KeptError names objects that the store does not delete yet, since they are locked.
type KeptError struct{ Keys []string }

// Error implements error.
func (e *KeptError) Error() string {
	return fmt.Sprintf("the store keeps %s, and %d more objects", e.Keys[0], len(e.Keys)-1)
}

// Unwrap returns the problems.
func (e *ProblemsError) Unwrap() []error { return e.Problems }

// Snapshot is a manifest that is there, and neither pruned nor dropped.
type Snapshot struct {
	Place    snapshot.Place
	Sum      snapshot.Sum
	Time     time.Time // by the host's clock
	Stored   time.Time // by the store's
	Complete bool      // nothing that was asked for is missing from it
	Whole    bool      // the store lists all that it needs, and no prune may be deleting of that
	Tags     []snapshot.TagID
	Pins     []string // ids of the notes that pin it

	key  string
	size int64
	prev snapshot.Sum
	gc   uint64 // seq of the gc object that its host has heeded
	needs
}

// Choice is which snapshots are to be removed.
type Choice struct {
	Expire  []snapshot.Sum
	Dropped []snapshot.Dropped // objects in the places of manifests that are none
	Removed []layout.SetID     // sets of which all are removed, the newest too
}

// Options are what a run is to do.
type Options struct {
	Times
	Now      time.Time             // by this machine's clock, for people, and for what a dry run says
	Boot     func() time.Duration  // a clock that counts suspended time
	Force    bool                  // condemn what is unexplained
	Keep     bool                  // only remove snapshots: condemn what they needed, and delete nothing else
	Dry      bool                  // write and delete nothing
	TakeOver bool                  // go on from several newest gc objects: the others have stopped
	Done     func(deleted, of int) // progress; may be nil
	// Lock is for how long the store keeps the bytes of an object from when it was stored,
	// deleted or not. It changes what is said, and not what is done.
	Lock time.Duration
	// Choose says what to remove of the snapshots, which are sorted by set and seq. It may be
	// nil.
	Choose func(all []*Snapshot) (Choice, error)
}

// Amount is a number of objects, and their bytes.
type Amount struct {
	Objects int64
	Bytes   int64
}

func (a *Amount) add(size int64) { a.Objects++; a.Bytes += size }

// Result is what a run did, or would do.
type Result struct {
	Seq       uint64      // of the gc object that was written; 0: none
	Snapshots []*Snapshot // those that stay
	Expired   []*Snapshot // that were removed
	All       Amount      // that the store lists under this host
	Needed    Amount      // by snapshots that stay, and by running backups
	Young     Amount      // not needed, and too young to condemn
	Condemned Amount      // by this run
	Waiting   Amount      // condemned, and to be deleted later
	Ripe      Amount      // condemned, and to be deleted now
	Deleted   Amount      // of these, those that were
	Kept      Amount      // that were to be deleted, snapshots too, and that the store keeps
	Locked    Amount      // of Ripe, those whose bytes stay for now: see Options.Lock
	Unlocked  time.Time   // when the last of these can go; zero: there are none
	Next      time.Time   // when the first of those that wait can be deleted; zero: none waits
}

// maxStarts is how often a run begins again after another pruner was faster.
const maxStarts = 3

// Prune removes snapshots, condemns what nothing needs, and deletes what has been condemned for
// long enough. With an error the result says how far it came. It may be stopped at any point.
func Prune(ctx context.Context, s Store, host layout.HostID, o Options) (*Result, error) {
	var err error
	for range maxStarts {
		r := &run{store: s, host: host, o: o}
		if err = r.plan(ctx); err != nil || !r.write {
			return &r.result, err
		}
		if o.Dry {
			now := r.now() // the store's clock is asked by writing; a dry run goes by this machine's
			if r.o.Now.After(now) {
				now = r.o.Now
			}
			r.advance(snapshot.Sum{}, now)
			r.ripe()
			return &r.result, nil
		}
		if err = r.publish(ctx); err == nil {
			return &r.result, r.sweep(ctx)
		}
		if !errors.Is(err, ErrConflict) {
			return &r.result, err
		}
	}
	return &Result{}, fmt.Errorf("%w: %w", ErrOvertaken, err)
}
