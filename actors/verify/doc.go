// Package verify is the job that checks whether all is in a store that snapshots need, and
// whether it is as it was written.
//
// A credit for checks under way bounds the mailbox of the checkers.
//
// # Actors, as make docs draws them
//
//	verify-<n>    job     is the root of one verify
//	├─ inspector  beside  goes through what the snapshots need
//	└─ checkers   pool    looks at one object a lease
package verify
