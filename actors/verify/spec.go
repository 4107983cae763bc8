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
	"vaultik/vault/snapshot"
)

// Spec is one check of snapshots of a store.
type Spec struct {
	Store     backends.Backend
	Opened    *snapshot.Store    // with verified store.json and trust list
	Snapshots []*snapshot.Loaded // whose manifests are verified already

	Hosts []layout.HostID // of which it is checked what prune has condemned

	ReadData bool // download every object, and check its SHA-256
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

	Problems []survey.Problem // the first 1,000, by key
	Found    int64            // problems in all
	Duration time.Duration
}
