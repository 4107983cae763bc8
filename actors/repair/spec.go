package repair

import (
	"vaultik/actors"
	"vaultik/actors/survey"
	"vaultik/backends"
	"vaultik/messages"
)

// Spec is one repair of a store.
type Spec struct {
	Store  backends.Backend
	Mirror backends.Backend // nil: there is none
	// Objects are put back, or their parity is made. No object comes twice.
	Objects     []Object
	Parity      int  // percent of a blob; 0: none is made
	Dry         bool // look for everything, and put nothing
	Conditional bool // the store can create an object only if it is absent

	Parallel int // objects at once; 0: 4
	Memory   int64

	// Each of these may be nil.
	OnDone   func(i int, o Outcome) // of Objects[i]; from one goroutine, in any order
	Progress *messages.Progress
	Warn     func(text string) // from any goroutine; of calls that do not return

	Faults actors.Faults
}

// Object is one that is missing or damaged, or a blob whose parity is.
type Object struct {
	Key    string
	Size   int64    // bytes
	Sum    [32]byte // that the bytes must have, by name or by manifest
	There  bool     // something stands in its place, and is replaced
	Parity bool     // its parity is made, and replaces what stands there
}

// Outcome is what became of an object.
type Outcome struct {
	From    Source
	Sectors int   // of 4 KiB that parity has corrected
	Bytes   int64 // that were put, or would be
	Err     error // why it is not there
	fatal   bool  // the job ends
}

// Source is where good bytes of an object came from.
type Source string

// The sources.
const (
	FromMirror Source = "mirror"
	FromParity Source = "parity"
	FromBlob   Source = "blob" // of its parity
)

// run is what the parts of one repair share.
type run struct {
	*survey.Transfers
	spec *Spec
}

func newRun(spec *Spec) *run {
	if spec.Progress == nil {
		spec.Progress = &messages.Progress{}
	}
	if spec.Memory <= 0 {
		spec.Memory = actors.DefaultMemory
	}
	return &run{survey.NewTransfers(spec.Parallel, spec.Memory/2), spec} // a blob is held twice
}
