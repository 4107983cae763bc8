// Package mirror is the job that copies snapshots, with all that they need, from one store
// into another.
//
// A credit for transfers under way bounds the mailbox of the copiers.
//
// # Actors, as make docs draws them
//
//	copy-<n>    job     is the root of one copy
//	├─ planner  beside  decides what is copied, and in which order
//	└─ copiers  pool    brings over one object a lease
package mirror
