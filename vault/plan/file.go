package plan

import (
	"vaultik/vault/fs"
	"vaultik/vault/page"
)

// Phase is how far the restore of a file has come. It only ever goes forward; a
// file may leave out any phase but the last.
type Phase uint8

// The phases.
const (
	Placing   Phase = iota // what stands in its place is looked at, or another name is waited for
	Comparing              // the contents of what stands there are read: if all are right, it stays
	Fetching               // extents are brought, from its source or from the store
	Finishing              // all extents are there, or one has failed: the last step is under way
	Done                   // nothing happens to it any more
)

func (p Phase) String() string {
	return [...]string{"placing", "comparing", "fetching", "finishing", "done"}[p]
}

// Source is where extents of a file may be had without asking the store. Each is
// compared with its id before it counts.
type Source uint8

// The sources.
const (
	NoSource      Source = iota
	FromFile             // what stands there: chunks are copied into a new file
	FromPart             // a part that an interrupted restore has left: they are in place
	SourceInPlace        // what stands there, which is changed: they are in place
)

// Status is what has become of an entry of a restore.
type Status uint8

// The states of an entry.
const (
	StatusRestored  Status = iota + 1 // made where nothing was
	StatusReplaced                    // made instead of what was there
	StatusChanged                     // changed in place
	StatusUnchanged                   // was there
	StatusKept                        // what is there was not to be touched
	StatusIgnored                     // is never restored
	StatusFailed
	AsPlanned // of Ending: what Wanted says
)

// InSnapshot reports whether an entry now is what the snapshot has.
func (s Status) InSnapshot() bool { return s >= StatusRestored && s <= StatusUnchanged }

// Extent is a part of a file: one chunk of it, or a hole in it.
type Extent struct {
	At  int64 // byte offset in the file
	Ref page.Ref
}

// Contents are extents of a file that have come together.
type Contents struct {
	Extents []Extent
	Open    bool  // more will come
	Err     error // why no more will come, though there are more
}

// Wanted says that the contents of a file are needed, and what was found out about it.
type Wanted struct {
	Status Status // what it will be, if all goes well
	Source Source
	Keep   bool    // if all of its contents are there, what stands there stays
	There  fs.Stat // what stands there
	Why    string  // why it does not stay as it is
}

// Ending is the end of a file.
type Ending struct {
	Status Status
	There  fs.Stat // what stood there; of AsPlanned see Wanted
	Why    string  // why it is what it is; of AsPlanned see Wanted
	Err    error   // why it failed, unless that is known already
	Half   bool    // it was to be changed in place, and is left changed in part
}

// HalfDone is what the error of a file ends with that Half was set of.
const HalfDone = "; it is left changed in part, and one byte too long"

// Result is what has become of a file that is done.
type Result struct {
	Status Status
	There  fs.Stat
	Why    string // of one that went well
	Err    error  // the first thing that went wrong
}

// Finish is the last step of a file.
type Finish uint8

// The last steps.
const (
	NoFinish Finish = iota
	Commit          // attributes, then the name
	Abort           // remove what there is of it
	Keep            // attributes of what stands there, whose contents are right
)

// Next is what is to be done after something has happened to a file. Most of it
// is zero each time.
type Next struct {
	Check  []Extent // compare with File.Source, and take from there; while Comparing only compare
	Fetch  []Extent // get from the store: none is a hole
	Finish Finish

	Counted int64 // bytes that are there now
	Written int64 // those of them that were written
	Reused  int64 // bytes that did not have to be fetched

	Credits int  // batches that are done now
	Several bool // the file has more than one extent now, so that it holds a slot
	Slot    bool // it does not need its slot any more
}

// File is one file on its way into the target. It says what to do next, and does
// nothing. Whatever cannot happen in a phase panics: it is a bug of the caller.
type File struct {
	state   state // of its phase alone
	batch   *Batch
	later   []laterBatch // oldest first
	open    bool         // more extents will come
	alone   bool         // it came with one extent, and is complete
	extents int          // so far
	past    int          // those of them that are there or given up
	data    int64        // bytes of all of them but holes
	counted int64        // bytes that Next.Counted has told
	err     error        // the first thing that went wrong
}

// laterBatch is one that has brought more extents of an open file.
type laterBatch struct {
	batch *Batch
	upTo  int // it is done when this many extents are past
}

// Phase is where the file is.
func (f *File) Phase() Phase { return f.state.phase() }

// Over reports whether a file is done and nothing more will come of it.
func (f *File) Over() bool { return f.Phase() == Done && !f.open }

// Result is what has become of a file that is done.
func (f *File) Result() Result { return in[*done](f, "the result of").Result }

// Err is the first thing that went wrong.
func (f *File) Err() error { return f.err }

// Data is how many bytes its extents so far have, without holes.
func (f *File) Data() int64 { return f.data }

// Counted is how many of its bytes Next.Counted has told in all.
func (f *File) Counted() int64 { return f.counted }

// Wanted is what was found out about a file whose contents are being brought. It
// may not be changed.
func (f *File) Wanted() *Wanted {
	switch s := f.state.(type) {
	case *comparing:
		return &s.Wanted
	case *fetching:
		return &s.Wanted
	case *finishing:
		return &s.Wanted
	}
	f.bug("nothing is wanted of")
	return nil
}

// Missing is how many extents the source did not have, of a file that is Finishing.
func (f *File) Missing() int { return in[*finishing](f, "what was missing of").missing }

// Alone reports whether the extent that is being brought is all of the file, so
// that it can be made in one go.
func (f *File) Alone() bool {
	s, ok := f.state.(*fetching)
	return ok && f.alone && s.Source != FromPart
}
