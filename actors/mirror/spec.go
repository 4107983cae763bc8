package mirror

import (
	"time"

	"vaultik/actors"
	"vaultik/actors/survey"
	"vaultik/backends"
	"vaultik/messages"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// Spec is one copy of a store to its mirror. The caller has
// made sure that the target is empty, or holds an older state of the same store.
type Spec struct {
	From, To  backends.Backend
	Opened    *snapshot.Store    // of From
	Snapshots []*snapshot.Loaded // of From, verified; all that are to be in To

	// Heads are put first, in this order, where To does not have them: trust lists,
	// store.json, gc objects. Their bytes have been verified.
	Heads []Head
	// There has the manifests that To has already, verified. Damaged has those that
	// To holds damaged: they are replaced.
	There, Damaged map[string]bool

	ReadData    bool // also read what To has already, and replace what is damaged
	Conditional bool // To can create an object only if it is absent

	Parallel int // transfers at once; 0: 4
	Memory   int64

	// Each of these may be nil.
	Progress  *messages.Progress   // FilesTotal and FilesDone count objects that To lacks
	OnProblem func(survey.Problem) // from one goroutine: what From does not give
	OnReplace func(key string)     // from one goroutine: what was damaged in To
	Warn      func(text string)    // from any goroutine; of calls that do not return

	Faults actors.Faults
}

// Head is a small object.
type Head struct {
	Key     string
	Data    []byte
	Replace bool // what stands there is damaged
}

// Report is what became of a copy, also of one that ended early.
type Report struct {
	Snapshots int   // that To has now, of those wanted
	New       int   // of these, copied now
	Objects   int64 // that the snapshots need, each once
	Bytes     int64 // of these
	There     int64 // of these, To had before
	Sent      int64 // objects copied now, heads and manifests included
	SentBytes int64
	Replaced  int64 // of these, To had damaged
	Read      int64 // bytes fetched, from both places
	Spare     int64 // unreferenced objects in From, which are not copied
	SpareSize int64 // bytes of these

	Problems []survey.Problem // what From does not give: the first 1,000, by key
	Found    int64            // problems in all
	Saved    map[string]bool  // keys of problems whose object To has
	Duration time.Duration
}

// TargetError ends a copy: the target failed to store an object, or to return one.
type TargetError struct{ Err error }

func (e *TargetError) Error() string { return "target: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *TargetError) Unwrap() error { return e.Err }

// copyRound is after how many bytes the snapshots that are complete by then are
// committed, so that a copy that is interrupted has brought something.
const copyRound = 256 << 20

// copyChain names the snapshots of one set of one host.
type copyChain struct {
	host layout.HostID
	set  layout.SetID
}
