// Package restore brings entries of a snapshot back.
//
// Its words: an item is one entry, but no directory, on its way into the target; a
// piece is one chunk or hole of a file; the source of a file is what the target has of
// it already. What to do next for an item is decided in vaultik/vault/plan, without
// actors; the planner asks there, gives out the work, and keeps the accounts. Messages
// are plain values: nobody changes one that was sent.
//
// Beside Run there are Extras, which finds what is in the target and not in the
// snapshot, and ReadBack, which compares a finished restore with it.
package restore
