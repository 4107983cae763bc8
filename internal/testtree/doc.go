// Package testtree makes trees of files for tests, with every kind of entry and
// attribute that Linux has: from a few lines of text, or at random from a seed.
//
// One entry a line, words separated by spaces, words and values with odd
// characters quoted as in Go ("a b", "\xff"); empty lines and those that begin
// with # mean nothing:
//
//	dir      PATH              ATTRIBUTE...
//	file     PATH              ATTRIBUTE... text=TEXT
//	file     PATH              ATTRIBUTE... size=BYTES data=OFFSET:LENGTH:SEED...
//	symlink  PATH TARGET       ATTRIBUTE...
//	hardlink PATH EXISTING
//	fifo     PATH              ATTRIBUTE...
//	socket   PATH              ATTRIBUTE...
//	char     PATH MAJOR:MINOR  ATTRIBUTE...
//	block    PATH MAJOR:MINOR  ATTRIBUTE...
//
// A file is of size zero bytes, holes where no data is; data is pseudo-random.
// Attributes:
//
//	mode=OCTAL             default 755 for directories, 644 for others
//	mtime=SECONDS.NANOS    nine digits; default made from the path, never round
//	uid=N gid=N            default: whoever runs the test
//	x:NAME=VALUE           an extended attribute
//	acl=ENTRY,...          u::rwx,u:1000:r--,g::r-x,m::r-x,o::--- as getfacl prints them
//	defacl=ENTRY,...       of a directory, for new entries in it
//	flags=HEX              inode flags as in FS_IOC_SETFLAGS
//
// "." is the directory that the tree is made in. Missing directories are added.
// Every entry gets its mtime, directories and links too. Law: what Parse reads,
// String writes, and the other way round.
package testtree
