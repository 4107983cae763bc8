package events

import "time"

// Saved is a snapshot that a backup has made.
type Saved struct {
	Snapshot [32]byte
	Set      string // its name, "" where this host has only one
	Files    int64
	NewBlobs int64
	Stored   int64 // bytes
	Duration time.Duration
}

// WouldSave is what a dry run of a backup has found of one set.
type WouldSave struct {
	Set                            string
	Files, New, Changed, Unchanged int64
	BytesRead                      int64
	Excluded                       int64 // entries, those below them not counted
}

// Done is the end of a restore that went through.
type Done struct {
	Snapshot string // short id
	Restored Restored
}

// Deleted is how much a restore has deleted that its snapshot has not.
type Deleted struct{ Extras }

// Extras are entries of a target that a snapshot has not.
type Extras struct {
	Files, Dirs, Bytes int64
}

// ReadBack is what was compared with the snapshot after a restore, and is as it should be.
type ReadBack struct{ Files, Bytes int64 }

// MoreProblems is how many problems were found beyond those that were named.
type MoreProblems struct{ Count int64 }

// Affected names the snapshots that need something bad, or that do not; newest first.
type Affected struct {
	Bad   bool
	Named []NamedSnapshot
	Older int // how many more, all older
}

// NamedSnapshot is a snapshot as people know it.
type NamedSnapshot struct {
	ID        string // 64 hex digits
	Set, Host string // names, ids where they are not known
	Time      time.Time
}

// CheckBegins is a place that is to be tried out.
type CheckBegins struct {
	URL      string // without secrets
	Store    string // id, "" for none yet
	Up, Down int64  // bytes that will be moved at most, about
	Calls    int64
	Prefix   string // below which everything happens
}

// Checking is what is being tried out now, "" when nothing is any more.
type Checking struct{ Name string }

func (Progress) event()     {}
func (Item) event()         {}
func (Warning) event()      {}
func (Error) event()        {}
func (Summary) event()      {}
func (Snapshot) event()     {}
func (Verdict) event()      {}
func (Entry) event()        {}
func (Problem) event()      {}
func (Verified) event()     {}
func (Scrubbed) event()     {}
func (Drilled) event()      {}
func (IndexChecked) event() {}
func (StoreMade) event()    {}
func (Compacted) event()    {}
func (Author) event()       {}
func (Resumed) event()      {}
func (Recipients) event()   {}
func (Rollback) event()     {}
func (HostRequest) event()  {}
func (Host) event()         {}
func (Revocation) event()   {}
func (FleetHost) event()    {}
func (FleetSet) event()     {}
func (Identity) event()     {}
func (Config) event()       {}
func (Check) event()        {}
func (ConfigPath) event()   {}
func (Version) event()      {}
func (Retry) event()        {}
func (StoreBack) event()    {}
func (Index) event()        {}
func (Restored) event()     {}
func (Plan) event()         {}
func (Copied) event()       {}
func (Pruned) event()       {}
func (Repair) event()       {}
func (Repaired) event()     {}
func (StoreInfo) event()    {}
func (StoreCheck) event()   {}
func (Remark) event()       {}
func (Saved) event()        {}
func (WouldSave) event()    {}
func (Done) event()         {}
func (Deleted) event()      {}
func (ReadBack) event()     {}
func (MoreProblems) event() {}
func (Affected) event()     {}
func (CheckBegins) event()  {}
func (Checking) event()     {}

func (Remark) local()       {}
func (Saved) local()        {}
func (WouldSave) local()    {}
func (Done) local()         {}
func (Deleted) local()      {}
func (ReadBack) local()     {}
func (MoreProblems) local() {}
func (Affected) local()     {}
func (CheckBegins) local()  {}
func (Checking) local()     {}
