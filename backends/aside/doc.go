// Package aside makes the calls of a backend in goroutines of their own, so that a call
// which never returns can be left behind: a directory on a network file system whose server
// is gone, or of a FUSE program that is stopped, blocks every system call for ever, and no
// context ends one.
//
// A call that is left behind changes nothing of its caller's any more: what it reads goes
// into memory of its own. One that was to store an object may still be stored, whole, as
// after any answer that was lost. While many are left behind, further ones wait for them,
// so their number is bounded.
package aside
