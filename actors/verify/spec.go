package verify

import (
	"log/slog"
	"time"

	"vaultik/actors"
	"vaultik/actors/survey"
	"vaultik/backends"
	"vaultik/messages"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/plan"
	"vaultik/vault/snapshot"
)

// Spec is one check of snapshots of a store.
type Spec struct {
	Store     backends.Backend
	Opened    *snapshot.Store    // with verified store.json and trust list
	Snapshots []*snapshot.Loaded // whose manifests are verified already

	Hosts []layout.HostID // of which it is checked what prune has condemned

	ReadData bool // download every object, and check its SHA-256
	// ServerSums asks the store for the SHA-256 that it has of every object instead.
	ServerSums bool
	// Drill is done instead of a check of every page, and instead of both of these. It needs
	// the Identity.
	Drill *Drill

	// Choose, if set, is called once all objects are known, and says which of them are
	// downloaded, asked for or drilled; nil: all. An error ends the check.
	Choose func(*plan.Inventory) (plan.Choice, error)
	// OnChecked, if set, is told of each object that ReadData or Drill has found to be right,
	// from any goroutine. An error ends the check.
	OnChecked func(i int) error
	// OnAffected, if set, is told of each file that needs an object which is bad: of its path,
	// and of the object's key. A file that several snapshots have on different pages comes
	// several times. It is called from one goroutine.
	OnAffected func(path, key string)

	// Identity adds a check of every page, and with ReadData of every chunk. It may be nil.
	Identity *keys.Identity

	Parallel int // transfers at once; 0: 4
	Memory   int64

	Progress *messages.Progress // may be nil; it counts what its Unit says
	// OnProblem is called as soon as a problem is known, so mostly without Paths; from one
	// goroutine. It may be nil.
	OnProblem func(survey.Problem)
	// Warn is told what the identity does not open, which is no damage; from any goroutine.
	// It may be nil.
	Warn func(text string)

	Faults actors.Faults
}

func (s *Spec) warn(text string) {
	if s.Warn != nil {
		s.Warn(text)
	} else {
		slog.Warn(text)
	}
}

// Drill asks for proof that a restore would work: that the identity itself, and not the key of
// an epoch, opens the blobs, and that the ends and samples of them are as they were sealed; that
// each epoch key opens; that the newest snapshot of each set opens, and that some files of it
// come out of the store.
type Drill struct {
	Files int // of each set, chosen at random, that are restored into memory
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

	Unopened []snapshot.Sum // ids of snapshots whose root was not opened, with the key

	Parity        int64 // blobs that have parity beside them
	ParityBytes   int64 // of that
	ParityChecked int64 // with ReadData

	Vouched   int64 // with ServerSums: objects of which the store has the right SHA-256
	Unvouched int64 // of which it has none
	Drilled   Drilled

	Problems []survey.Problem // the first 1,000, by key
	Found    int64            // problems in all
	Duration time.Duration
}

// Drilled is what a drill has done.
type Drilled struct {
	Blobs     int64 // that opened with the identity itself
	ByEpoch   int64 // that open only with the key of their epoch, which was wrapped anew later
	Older     int64 // that do not open, and only snapshots for other recipients need
	Keys      int64 // wrappings of epoch keys that were read
	Roots     int64 // newest snapshots that opened
	Files     int64 // restored into memory
	FileBytes int64 // of these
	Large     int64 // files that were not, since they are larger than MaxDrillFile
}

// MaxDrillFile is how large a file may be for a drill to restore it, in bytes.
const MaxDrillFile = 256 << 20
