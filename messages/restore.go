package messages

// The states of an entry of a restore.
const (
	StatusRestored Status = "restored" // made where nothing was
	StatusReplaced Status = "replaced" // made instead of what was there
	StatusKept     Status = "kept"     // what is there was not to be touched
)
