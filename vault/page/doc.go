// Package page turns the tree of a snapshot into pages and back.
//
// A snapshot is one sorted map from path to entry, cut into pages. The words:
//
//   - path: the absolute path without its leading slash, raw bytes; the top of
//     the file system is "." and sorts first. [Compare] is the order: bytes,
//     with '/' before all others, which is a pre-order walk with sorted names.
//   - entry: one file, directory, link or device with its metadata ([Entry]).
//   - page: lines of JSON (NDJSON) stored as one chunk: a header line, then one
//     line for each item. A page has at most [MaxItems] items and [MaxPage] bytes.
//   - leaf: a page of entries. Leaves are level 0 of the tree.
//   - branch: a page of items ([Item]), each the last path of a page one level
//     below and the reference to it. The page that is left at the top is named by the root.
//   - list: a page of references. A file with more than [MaxInlineRefs] of them
//     names list pages; those of level 0 hold references to content, those of
//     level n to list pages of level n-1.
//   - reference: the place of a chunk, or a hole ([Ref]).
//   - self: the blob that holds the page. Its name is not known while the page
//     is written, so the header names it by the word.
//   - boundary: where one page ends and the next begins. It follows from keyed
//     hashes of paths (of ids in lists), never from content ([Cutter]), so that a
//     change rewrites one leaf and the branches above it and moves nothing else.
//
// What a page looks like, one entry shown:
//
//	{"kind":"leaf","v":1,"required":[],"level":0,"blobs":["self",["<name>","<hdr>",16777216,"<epoch>"]]}
//	{"p":"etc/hosts","type":"file","mode":420,"uid":0,"gid":0,"size":9,"mtime":"1700000000.000000001","c":[[1,0,120,0,9,"<id>"]]}
//
// Text that is not plain (not UTF-8, or with a control character) has its field
// replaced by a twin in base64: "p64" for "p". So no line of text that jq prints
// from a page ever holds a newline, and no text grows to more than twice its size.
//
// Promises: encoding is deterministic; what [Decode] accepts is what [Encoder]
// would accept, so that encoding what was decoded, and decoding what was
// encoded, changes nothing. Decoding allocates no more than a small multiple of
// the page, whatever its bytes say. Nothing here does input or output: pages are
// read through [Fetch] and written by the caller.
package page
