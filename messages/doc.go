// Package messages is what the actors say to each other: plain structs, one
// file a conversation, immutable once sent unless a comment says otherwise.
//
// Commands are imperative (ScanRoots), events past participles (LeafScanned).
// A message that carries bytes says who owns them.
//
//	message          from        to          answered by
//	ScanRoots        job         scanner     LeafScanned..., ScanDone
//	LeafScanned      scanner     treebuilder   (returns one leaf credit when the leaf is done)
//	ReadEntries      scanner     chunkers    EntriesRead... to the packer, Finished to the treebuilder
//	EntriesRead      chunker     packer      EntriesPlaced to the treebuilder
//	EntriesPlaced    packer      treebuilder
//	Sealing          packer,     sealers     Finished[Sealing, SealingDone]
//	                 treebuilder
//	PutObject        packer,     uploaders   Finished[PutObject, Stored]
//	                 treebuilder
//	(rows)           packer,     indexer     (rows written)
//	                 treebuilder
//	SealNow          treebuilder   packer      BlobSealed
//	BlobSealed       packer      treebuilder
//	BlobIndexed      packer      treebuilder
//	Flush            job         packer      Flushed, or HandedOver to the treebuilder and then Flushed
//	FinishTree       job         treebuilder   (the finished tree)
//	StageFailed      any         job
//	EntriesSelected  walker      planner     (returns one batch credit when all in it is done)
//	PagesLost        walker      planner
//	WalkEnded        walker      planner
//	FetchBlob        planner     downloaders FrameFetched..., Finished[FetchBlob, BlobFetched]
//	FrameFetched     downloader  planner     (its buffer goes on in Writing, then back)
//	Writing          planner     writers     Finished[Writing, WritingDone]
//	Checking         inspector   checkers    Finished[Checking, CheckDone] to the job
//	Lease, Leased    pool        worker      Worked
package messages
