// Package treecmp compares two trees of files completely. It is the judge of
// round trips: it shares no code with the scanner and the restorer, and uses
// only the standard library and plain system calls.
//
// Compared, for every entry including the two tops: its presence under the same
// name (raw bytes), type, mode with setuid, setgid and sticky, owner and group,
// mtime to the nanosecond, all extended attributes that the caller may see
// (ACLs and capabilities are such), inode flags that a user can set; for files the
// size, the contents by SHA-256 and the layout of holes; the target of links,
// the numbers of devices; and which names share an inode.
//
// Not compared, because no program can set them: inode numbers, ctime, birth time,
// the order in which a directory lists its names. Nor atime, which reading moves, the
// size of directories, quota projects, and link counts, which count names outside
// of the tree, unless Options.Outside is set.
//
// # Holes
//
// A hole of 64 KiB or more on one side must be a hole on the other, up to the
// edges of file system blocks. Smaller ones may be filled with zeros. The contents
// hash covers all bytes of a file, holes included, up to 4 GiB; of a larger file what
// the file system calls a hole is taken as zeros without reading it.
package treecmp
