package engine

import (
	"context"
	"errors"

	"vaultik/engine/events"
	"vaultik/vault/gc"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// PruneOptions say what is pruned.
type PruneOptions struct {
	Hosts  []string // ids; none: this host
	DryRun bool     // only say what would be removed
	Force  bool     // remove also what no snapshot that is or was there explains
}

// PruneResult is what a prune did, or would do, host by host, also if it ended early.
type PruneResult struct {
	events.Totals
	Hosts []PrunedHost
}

// PrunedHost is what became of one host's part of the store.
type PrunedHost struct {
	Host   layout.HostID
	Times  gc.Times
	Result *gc.Result
	Err    error // why it ended early, or nothing was deleted
}

// chooser says which snapshots of a host are to be removed, as [gc.Options.Choose] does. It
// is called again where another prune came first.
type chooser func(host layout.HostID, all []*gc.Snapshot) (gc.Choice, error)

// pruning is what prune and forget ask for.
type pruning struct {
	PruneOptions
	choose chooser // nil: no snapshot is removed
	keep   bool    // remove snapshots, and nothing else
	// drop are objects in the places of manifests that are none, and stop everything as long as
	// nobody says so: what is damaged, or lost a fork. They are dropped, whatever choose says.
	drop map[layout.HostID][]snapshot.Dropped
}

// prune does what prune and forget ask for in an open store, which is not read-only unless it
// is a dry run. It takes the lock of this host. One host's error does not stop the others; the
// error is of all that failed, and PruneResult.Hosts has each of them.
func (j *job) prune(ctx context.Context, op *opened, p pruning) (PruneResult, error) {
	return PruneResult{}, errors.ErrUnsupported
}
