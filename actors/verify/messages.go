package verify

import (
	"slices"

	"filippo.io/age"

	"vaultik/actors/survey"
	"vaultik/vault/layout"
	"vaultik/vault/page"
	"vaultik/vault/plan"
)

// checking is one job of a checker: one of the fields is set.
type checking struct {
	Object *objectCheck
	Refs   *refsCheck
	Key    *keyDrill
	File   *fileDrill
}

// way is how an object is checked.
type way uint8

const (
	byReading way = iota // all of it
	byAsking             // the store for its SHA-256
	byDrill              // opening it, and reading samples
	byParity             // the parity beside a blob, not the blob
)

// objectCheck asks to check an object against its SHA-256, or to drill a blob.
type objectCheck struct {
	Way   way
	Index int // of the object, as the inspector numbers them
	Host  int // by number
	Key   string
	Size  int64
	Sum   [32]byte
	Blob  *blobCheck // nil: the hash is all
}

// keyDrill asks to open one wrapping of an epoch key. The checker fills in Opened, which is
// read when all checks are done.
type keyDrill struct {
	Key    string
	Size   int64
	Host   int // by number
	Epoch  layout.Epoch
	N      int
	Opened *openedKey
}

// openedKey is what became of a wrapping.
type openedKey struct {
	id  age.Identity // nil: Err says why
	err error
}

// fileDrill asks to restore a file of a snapshot into memory.
type fileDrill struct {
	Of   *drilledSet
	Seed uint64
}

// blobCheck asks to decrypt a blob as well, and to check its chunks against its table.
type blobCheck struct{ Host int }

// refsCheck asks whether references of pages lie in their blob's table. To is
// an entry that the chunk belongs to.
type refsCheck struct {
	Pages *pages
	From  *source
	Key   string
	Lease *plan.Lease[place]
}

// checkDone is what a checker found.
type checkDone struct {
	Chunks      int64  // that are as they should be
	Key         string // of the object that Err is about, if the job does not say
	Unvouched   bool   // the store has no SHA-256 of the object
	ByEpoch     bool   // it opened with the key of its epoch only
	File, Large bool   // a file was restored; was too large for that
	Bytes       int64  // of the file
	Err         error  // what is wrong with the object; or what kept it from being read
	Paths       []string
	More        bool // there are more than Paths
	// Snapshots are those of Paths, by number.
	Snapshots []int
	Fatal     bool // the store is unreachable, or the job ends
}

// maxCheckPaths is how many paths a result names.
const maxCheckPaths = 5

// Affected notes an entry that the error concerns.
func (d *checkDone) Affected(p place) {
	if !slices.Contains(d.Snapshots, p.snapshot) {
		d.Snapshots = append(d.Snapshots, p.snapshot)
	}
	switch n := len(d.Paths); {
	case slices.Contains(d.Paths, p.path):
	case n >= maxCheckPaths:
		d.More = true
	default:
		d.Paths = append(d.Paths, p.path)
	}
}

// inspectionEnded says that the inspector has seen everything, and every check has ended.
type inspectionEnded struct{ err error }

// tally adds to the report what the inspector has seen.
type tally struct {
	objects, bytes, checked, pages, entries, parity, parityBytes int64
}

// problemFound tells the job of a problem. One of the same kind and key is the
// same problem: what is new of it is added.
type problemFound struct{ survey.Problem }

// pathAffected tells the job of an entry that needs a bad object, or of those lost with it.
type pathAffected struct {
	key, path string
	lost      *page.LostPaths // instead of path
}
