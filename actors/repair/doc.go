// Package repair is the job that puts back lost and damaged objects of a store, from a mirror
// of it or from their parity, and that makes parity.
//
// A credit for objects under way bounds the mailbox of the healers.
//
// # Actors, as make docs draws them
//
//	repair-<n>     job     is the root of one repair
//	├─ dispatcher  beside  asks for all objects, one after the other
//	└─ healers     pool    puts back one object a lease, or makes its parity
package repair
