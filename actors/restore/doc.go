// Package restore restores entries of a snapshot.
//
// Its words: an item is an entry to be restored that is not a directory; a piece is one
// chunk or hole of a file; the source of a file is what the target has of it already.
// What to do next for an item is decided in vaultik/vault/plan, without actors; the
// planner asks there, gives out the work, and keeps the accounts. Messages are plain
// values: nobody changes one that was sent.
//
// Beside Run there are Extras, which finds what is in the target and not in the
// snapshot, and ReadBack, which compares a finished restore with it.
//
// Credits, so that no mailbox can grow:
//
//	walker       -> planner            batches, and files of several chunks, not done
//	planner      -> downloaders        leases, blob buffers
//	downloaders  -> planner, writers   frame buffers
//	readBackWalk -> readers            batches under way
//
// # Actors, as make docs draws them
//
//	readback-<n>     job     walks beside itself and counts what its readers find
//	├─ readBackWalk  beside  finds the files that the restore was asked for
//	└─ readers       pool    reads files of the target
//
//	restore-<n>     job     is the root of one restore
//	├─ walker       stage   reads the pages of a snapshot in path order, makes
//	│                       directories, and hands everything else to the planner, in
//	│                       batches
//	├─ planner      stage   decides which blob gives what to which file, and keeps the
//	│                       accounts of a restore
//	├─ downloaders  pool    fetches what is wanted of one blob a lease
//	└─ writers      pool    makes entries in the target
package restore
