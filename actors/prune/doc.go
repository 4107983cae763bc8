// Package prune is the job that removes from one host's part of a store what no snapshot needs.
// What is removed, and when, is decided in vault/gc; here it is done.
//
// A credit for deletions under way bounds the mailbox of the deleters.
//
// # Actors, as make docs draws them
//
//	prune-<n>    job     is the root of one prune
//	├─ protocol  beside  runs what package gc decides, and does what it asks of the
//	│                    store
//	└─ deleters  pool    removes objects
package prune
