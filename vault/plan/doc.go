// Package plan decides in which order a restore reads blobs, and where things go.
//
// A snapshot's tree names chunks in path order; a store gives them by the blob.
// [Blobs] gathers wanted chunks by blob until it is told to let go of one: the
// one that was asked for longest ago, since files that follow each other mostly
// lie in the same blob, and what was left behind is not likely to come again.
// A [Lease] is one blob with the frames that are wanted of it, and [Lease.Ranges] says what
// to fetch: all of it, or parts. [Selection] is which paths are meant and where
// they come to stand.
//
// What is done for a file is planned by a [File]: it goes through phases, takes what
// has happened to it, and says what is next. Its extents have come in batches, which
// [Batch] counts down, so that whoever walks the tree gets his credits back; a [Dir] is
// finished when all in it is done; [Links] finds the names of one file for each other,
// and [Fetch] keeps account of a lease whose frames may come twice.
//
// Nothing here does input or output, and nothing is safe for several goroutines.
package plan
