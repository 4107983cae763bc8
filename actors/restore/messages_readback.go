package restore

import (
	"vaultik/vault/page"
)

// readBackBatch asks a reader to compare files in a target with the snapshot. The readers
// answer the job.
type readBackBatch struct{ Files []readBackFile }

// readBackFile is a file, or a part of a long one.
type readBackFile struct {
	Path   string // in the snapshot
	Place  string // in the target
	Off    int64  // where Refs begin
	Refs   []page.Ref
	Size   int64 // of the whole file
	Last   bool  // the part that ends it
	Unread error // why its references are unreadable
}

// readBackDone is what a reader found.
type readBackDone struct {
	Files, Bytes int64
	Different    []ReadBackProblem
	Unread       int64 // files that may not be read
	UnreadAt     string
}

// ReadBackProblem is a file that differs from the snapshot.
type ReadBackProblem struct {
	Path   string
	Reason string
}
