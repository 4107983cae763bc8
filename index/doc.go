// Package index is what this host remembers of a store: where each chunk lies,
// which blobs the store has acknowledged, and how each page of the last
// snapshot looked. It is a cache. It is never needed to read a store and never
// trusted about one; losing it costs one upload.
//
// # Words
//
//   - A blob row gives a blob's name, hdr, size and epoch and counts it: a
//     [BlobNum] stands for the blob in all other rows. All blob rows are held
//     in memory, about 90 bytes each.
//   - A chunk row says where a chunk lies: blob number and [blob.Span].
//   - A leaf row says how a leaf page looked (digest over stat tuples) and where
//     it was stored; its entries row has, for each file, what is needed to write
//     the entry anew without reading the file. A branch row finds a branch page
//     by the digest over its items.
//   - A generation holds all rows. [Index.Reset] starts the next one.
//
// # Promises
//
//   - A row names only blobs that were acknowledged. [Index.Write] writes blob
//     rows and chunk rows before rows that name them, in transactions that a
//     crash keeps whole or loses whole, always the last ones first.
//   - Each row carries a checksum that covers its key, its value and the names
//     (not only the numbers) of the blobs it refers to. A row that fails, or that names a
//     blob which is gone, is absent. So rows of an older copy of the index, or
//     rows whose neighbours were lost, can never point into a wrong blob.
//   - Reads may come from many goroutines beside one writer.
//   - Everything is written when [Index.Sync] returns nil.
//
// # On disk
//
//	dir/             0700, holds nothing else
//	  lock           flock of the process that uses the index; pid and start time
//	  format.json    version, and a hash that tells whose index this is
//	  db/            Badger
//	  damaged/       at most one earlier db/, moved aside by Recreate
//
// Badger maps its files into memory and ends the process when it trips over a
// damaged one, so [Open] reads and verifies all of them first, and Write
// refuses to begin when the disk is nearly full (a store to a mapped page
// without a block behind it is a SIGBUS, not an error).
package index
