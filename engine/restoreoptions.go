package engine

import (
	"strings"

	"vaultik/actors"
	"vaultik/actors/restore"
	"vaultik/config"
	"vaultik/engine/events"
)

// How a restore treats files that are there.
const (
	OverwriteIfChanged = string(restore.OverwriteIfChanged)
	OverwriteAlways    = string(restore.OverwriteAlways)
	OverwriteIfNewer   = string(restore.OverwriteIfNewer)
	OverwriteNever     = string(restore.OverwriteNever)
)

// RestoreOptions say what comes back, and where to.
type RestoreOptions struct {
	// ID[:PATH] or latest[:PATH]; the contents of PATH come directly into Target.
	Snapshot         string
	Pick             Pick
	Paths            []string // only these: absolute, or below PATH
	Target           string   // directory, made if it is missing
	Include, Exclude []string // patterns

	DryRun       bool   // nothing is changed anywhere
	Overwrite    string // OverwriteAlways and so on; "" is OverwriteIfChanged
	InPlace      bool
	Verify       bool // then read everything back and compare
	NoSpaceCheck bool
	NumericOwner bool

	Delete bool // then delete what the snapshot has not
	// Confirm is asked before anything is restored whether that may be deleted at the
	// end. nil: it may.
	Confirm func(Doomed) bool
}

// words are the options as flags and arguments, but for the snapshot: a command that is to be
// pasted must not restore more than was asked for. --yes is not among them.
func (o *RestoreOptions) words() string {
	var b strings.Builder
	flag := func(name string, values ...string) {
		for _, v := range values {
			b.WriteString(" " + name + config.Quote(v))
		}
	}
	flag("--target ", o.Target)
	for _, f := range []struct {
		name string
		on   bool
	}{
		{"--dry-run", o.DryRun}, {"--in-place", o.InPlace}, {"--verify", o.Verify},
		{"--no-space-check", o.NoSpaceCheck}, {"--numeric-owner", o.NumericOwner},
		{"--delete", o.Delete},
	} {
		if f.on {
			b.WriteString(" " + f.name)
		}
	}
	if o.Overwrite != "" && o.Overwrite != OverwriteIfChanged {
		flag("--overwrite ", o.Overwrite)
	}
	flag("--include=", o.Include...)
	flag("--exclude=", o.Exclude...)
	flag("", o.Paths...)
	return b.String()
}

// Doomed is what a restore is to delete.
type Doomed struct {
	events.Extras
	First    []string // some of the paths
	Snapshot string   // short id
	Target   string   // as it was named
}

// RestoreResult is what a restore has done, also if it ended early.
type RestoreResult struct {
	events.Totals
	Restored events.Restored
}

// restoreJob is one restore.
type restoreJob struct {
	*job
	o      RestoreOptions
	r      *reading
	spec   *restore.Spec
	system *actors.System
}
