// Package messages is what the actors say to each other: plain structs, one
// file a conversation, immutable once sent unless a comment says otherwise. What only
// the actors of a backup say is in its package.
//
// Commands are imperative (ScanRoots), events past participles (LeafScanned).
// A message that carries bytes says who owns them.
//
//	message          from        to          answered by
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
