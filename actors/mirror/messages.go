package mirror

import "vaultik/actors/survey"

// copying is one job of a copier: to bring one object from a store into its mirror.
type copying struct {
	Index int // of the object, as the planner numbers them; of a manifest its snapshot
	Key   string
	Size  int64
	Sum   [32]byte // that the bytes must have, by name or by manifest
	There copyThere
	// Parity: of the blob that has this Sum. Its own is not known.
	Parity bool
	// Manifest: created only if absent; another in its place is a fork, and ends the job.
	Manifest bool
}

// copyThere is what the listing of the mirror says of an object.
type copyThere uint8

// What the mirror may have.
const (
	copyAbsent copyThere = iota // nothing
	copyBad                     // something else, which is replaced
	copyUnsure                  // something of the same size: read, and replaced if it differs
)

// copyDone is what a copier did about one object.
type copyDone struct {
	Read     int64 // bytes fetched, from both
	Sent     int64 // bytes that the mirror took
	Same     bool  // it was there already
	Replaced bool  // what was there was damaged
	Err      error // why the object is not there
	Fatal    bool  // the job ends
}

type (
	// problemFound tells the job of a problem, which the survey has found.
	problemFound struct{ survey.Problem }
	// copySurveyed says what the planner has found, before anything is copied.
	copySurveyed struct {
		objects, bytes, there int64
		snapshots             int // that the target has already
		spare, spareSize      int64
		saved                 map[string]bool
	}
	// copyHeadDone says that the planner has put a head.
	copyHeadDone struct{ bytes int64 }
	// copyPlanned says that the planner has submitted everything, and all of it has ended.
	copyPlanned struct{ err error }
)
