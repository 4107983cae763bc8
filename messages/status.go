package messages

// Counts are what a snapshot's summary adds up.
type Counts struct {
	Files, Dirs, Symlinks, Others int64
	Bytes                         int64 // sizes of regular files
	New, Changed, Unchanged       int64 // of files
}

// Add sums up.
func (c *Counts) Add(o Counts) {
	c.Files += o.Files
	c.Dirs += o.Dirs
	c.Symlinks += o.Symlinks
	c.Others += o.Others
	c.Bytes += o.Bytes
	c.New += o.New
	c.Changed += o.Changed
	c.Unchanged += o.Unchanged
}

// Status says what became of an entry.
type Status string

// The states of an entry in results and in JSON items.
const (
	StatusNew       Status = "new"
	StatusChanged   Status = "changed"
	StatusUnchanged Status = "unchanged"
	StatusInMotion  Status = "changed-while-read"
	StatusFailed    Status = "failed"
	StatusVanished  Status = "vanished"
	StatusIgnored   Status = "ignored"
	StatusExcluded  Status = "excluded" // by a rule; a backup reports only kernel file systems
)

// The states of an entry of a restore.
const (
	StatusRestored Status = "restored" // made where nothing was
	StatusReplaced Status = "replaced" // made instead of what was there
	StatusKept     Status = "kept"     // what is there was not to be touched
	StatusDeleted  Status = "deleted"  // was there, and is not in the snapshot
)
