// Package actors is who does the work. It is the only folder that imports the
// actor library; what is specific to that library sits in system.go,
// supervision.go and pool.go.
//
// One job of a command, or one of a daemon, is one tree:
//
//	backup-<n>        accounting, first error, rounds           stateful: a bug fails the job
//	├─ scanner        walks, compares leaves with the index     stateful
//	├─ chunkers       leases ── chunker 0..N                    restart
//	├─ packer         dedup decision, order of frames           stateful
//	├─ sealers        leases ── sealer 0..N (zstd, age, SHA)    restart
//	├─ uploaders      leases ── uploader 0..M                   restart
//	├─ indexer        the only writer of the index              stateful
//	└─ treebuilder    leaves, list pages, branches              stateful
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
//	scanner   -> chunkers, treebuilder leaves in flight
//	chunkers  -> packer                buffers of the budget
//	packer    -> sealers               compressions in flight, frame buffers
//	packer    -> sealers, uploaders    blob buffers
//	treebuilder -> sealers, uploaders  two blobs of pages
//	walker    -> planner               batches, and files of several chunks, not done
//	planner   -> downloaders           leases, blob buffers
//	downloaders -> planner, writers    frame buffers
//	inspector -> checkers              checks under way
//	planner   -> copiers               transfers under way
package actors
