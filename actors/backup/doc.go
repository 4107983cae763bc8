// Package backup is the job of a backup: it walks the sources, reads what the index does
// not vouch for, and makes a snapshot of it in the store. Run is the way in.
//
// One job is one tree. Whoever panics in a stage ends the job, and what is stored stays
// stored; a worker of a pool starts anew, and its work is given out again.
//
//	backup-<n>        phases, first error, rounds               stateful
//	├─ scanner        walks, compares leaves with the index     stateful
//	├─ chunkers       leases ── chunker 0..N                    restart
//	├─ packer         dedup decision, order of frames           stateful
//	├─ sealers        leases ── sealer 0..N (zstd, age, SHA)    restart
//	├─ uploaders      leases ── uploader 0..M                   restart
//	├─ indexer        the only writer of the index              stateful
//	└─ treebuilder    leaves, list pages, branches              stateful
//
// Beside the actors, called by the job when nothing else writes what it reads, works the
// committer: it looks at the store before anything is read, writes checkpoints, and in
// the end lists, root and manifest.
//
// Credits, so that no mailbox can grow:
//
//	scanner     -> chunkers, treebuilder  leaves on their way (maxLeaves)
//	chunkers    -> packer                 buffers of the budget
//	packer      -> sealers                frames being compressed, frame buffers
//	packer      -> sealers, uploaders     blob buffers
//	treebuilder -> sealers, uploaders     blobs of pages (maxPageBlobs)
//
// Messages. Commands are imperative, events past participles; who gets bytes owns them,
// unless a comment says otherwise.
//
//	message        from         to           answered by
//	scanRoots      job          scanner      leafScanned..., scanDone
//	                            treebuilder  (begins a round)
//	leafScanned    scanner      treebuilder  (returns a credit when the leaf's page is written)
//	readEntries    scanner      chunkers     entriesRead... to the packer,
//	                                         Finished to the treebuilder
//	scanDone       scanner      job          (handed on to the treebuilder)
//	entriesRead    chunker      packer       entriesPlaced to the treebuilder
//	entriesPlaced  packer       treebuilder
//	sealing        packer,      sealers      Finished[sealing, sealingDone]
//	               treebuilder
//	storeObject    packer,      uploaders    Finished[storeObject, objectStored]
//	               treebuilder
//	writeRows      packer,      indexer      rowsWritten
//	               treebuilder
//	sealNow        treebuilder  packer       blobSealed
//	blobSealed     packer       treebuilder
//	blobIndexed    packer       treebuilder
//	entriesComplete treebuilder job          (every entry of the round has its place)
//	flush          job          packer       flushed; before, perhaps, handedOver to the
//	                                         treebuilder
//	finishTree     job          treebuilder  treeWritten
//	flushRows      job          treebuilder  rowsFlushed: the job ends early
//	StageFailed    any          job
package backup
