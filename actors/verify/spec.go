package verify

import (
	"log/slog"
	"time"

	"vaultik/actors"
	"vaultik/backends"
	"vaultik/messages"
	"vaultik/vault/keys"
	"vaultik/vault/read"
	"vaultik/vault/snapshot"
)

// Spec is one check of snapshots of a store.
type Spec struct {
	Store     backends.Backend
	Opened    *snapshot.Store    // with verified store.json and trust list
	Snapshots []*snapshot.Loaded // whose manifests are verified already

	ReadData bool           // download every object, and check its SHA-256
	Identity *keys.Identity // nil: without the key. With it every page, and with ReadData every chunk

	Parallel int // transfers at once; 0: 4
	Memory   int64

	Progress  *messages.Progress // may be nil; FilesTotal and FilesDone count objects
	OnProblem func(Problem)      // may be nil; from one goroutine, as soon as it is known, so mostly without Paths
	Warn      func(text string)  // may be nil; from any goroutine; of what the identity does not open, which is no damage

	Faults actors.Faults
}

func (s *Spec) warn(text string) {
	if s.Warn != nil {
		s.Warn(text)
	} else {
		slog.Warn(text)
	}
}

// ProblemKind says what is wrong with an object.
type ProblemKind string

// The kinds of problems.
const (
	ProblemMissing    ProblemKind = "missing"    // not in the store
	ProblemSize       ProblemKind = "size"       // of another size than recorded
	ProblemDamaged    ProblemKind = "damaged"    // bytes are not those that were written
	ProblemUnreadable ProblemKind = "unreadable" // the store does not give it; nothing is known
	ProblemReference  ProblemKind = "reference"  // a page refers to what is not there
)

// Problem is one thing that is not as it should be.
type Problem struct {
	Kind      ProblemKind
	Key       string           // of the object
	Reason    string           // for people
	Snapshots []string         // ids of those affected, in the order of VerifySpec.Snapshots
	Paths     []string         // with the key: the first few entries that need it
	MorePaths bool             // there are more than Paths, or than Lost
	Lost      []read.LostPaths // with the key: what a bad page held
}

// Report is the outcome of a check.
type Report struct {
	Snapshots int
	Objects   int64 // that the snapshots need, each once
	Bytes     int64 // of these
	Read      int64 // bytes fetched from the store
	Checked   int64 // objects whose SHA-256 was checked
	Pages     int64 // read and checked, with the key
	Chunks    int64 // decrypted and checked, with the key and ReadData
	Entries   int64 // of all snapshots, with the key

	Problems []Problem // the first 1,000, by key
	Found    int64     // problems in all
	Duration time.Duration
}
