// Package actors is who does the work. It is the only folder that imports the
// actor library; what is specific to that library sits in system.go,
// supervision.go and pool.go.
//
// One job of a command, or one of a daemon, is one tree. That of a backup is drawn in
// its package; these are the others:
//
//	restore-<n>       first error, end                          stateful
//	├─ walker         pages in path order, makes directories    stateful
//	├─ planner        which blob gives what; all accounts       stateful
//	├─ downloaders    leases ── downloader 0..M                 restart
//	└─ writers        leases ── writer 0..K                     restart
//
//	verify-<n>        accounting of problems                    stateful
//	├─ inspector      manifests, listing, roots, pages          stateful
//	└─ checkers       leases ── checker 0..M                    restart
//
//	copy-<n>          accounting of objects                     stateful
//	├─ planner        what is missing there, and in which order stateful
//	└─ copiers        leases ── copier 0..M                    restart
//
// Credits, so that no mailbox can grow:
//
//	walker    -> planner               batches, and files of several chunks, not done
//	planner   -> downloaders           leases, blob buffers
//	downloaders -> planner, writers    frame buffers
//	inspector -> checkers              checks under way
//	planner   -> copiers               transfers under way
package actors
