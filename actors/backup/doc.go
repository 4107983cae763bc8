// Package backup is the job that backs up one set: it prepares the store, walks the sources,
// stores what is new, writes the tree, and commits. If blobs go missing from the store
// meanwhile, it walks once more.
//
// Credits, so that no mailbox can grow:
//
//	scanner     -> chunkers, treebuilder  leaves on their way (maxLeaves)
//	chunkers    -> packer                 buffers of the budget
//	packer      -> sealers                frames being compressed, frame buffers
//	packer      -> sealers, uploaders     blob buffers
//	treebuilder -> sealers, uploaders     blobs of pages (maxPageBlobs)
//
// All of them are divided in limits.go.
//
// # Actors, as make docs draws them
//
//	backup-<n>      job     is the root of one backup
//	├─ prepare      beside  looks at the store before anything is written
//	├─ scanner      stage   walks the sources in path order and cuts the walk into
//	│                       leaves
//	├─ chunkers     pool    reads entries
//	├─ packer       stage   decides which chunks are stored already, groups the others
//	│                       into frames and frames into blobs, and follows each blob
//	│                       until the index knows it
//	├─ treebuilder  stage   turns leaves into pages when the places of their chunks are
//	│                       known, pages into blobs, and tells the indexer what is
//	│                       stored
//	├─ indexer      stage   is the only writer of the index
//	├─ sealers      pool    compresses frames and seals blobs
//	├─ uploaders    pool    puts one object at a time
//	├─ commit       beside  writes lists and root, then makes sure that everything the
//	│                       manifest names is in the store, and writes the manifest
//	│                       while that is known
//	└─ checkpoint   beside  writes one, of all blobs that this run has stored or used
package backup
