// Package retention decides which snapshots of a set may go, and says why the others stay.
//
// A [Policy] is a list of rules, each of which keeps snapshots; what none of them keeps is
// removed. [Policy.Apply] is given all snapshots of one set of one host, and does neither
// input nor output: it has no clock of its own.
//
// # What is kept whatever the rules say
//
// The head of the set (the highest seq), the newest snapshot that is whole, the newest that is
// whole and complete, what is pinned, and what was stored less than [MinAge] ago.
//
// # Buckets
//
// Rules such as keep-daily divide time into buckets, by the calendar of a place, weeks by
// ISO 8601. As with restic and borg, the newest of a bucket is kept, buckets without
// snapshots do not count, and the oldest snapshot is kept as well while a rule has fewer
// buckets than it asks for: otherwise the history of a young store would not grow older than a
// day under keep-yearly, since the newest of this year is always today's.
//
// # Worse snapshots never push out better ones
//
// Snapshots that are whole and complete are counted as if there were no others; then those
// that are whole, and then all. A worse one is kept for a bucket only if it has no better one.
// So a month of incomplete snapshots costs no complete one its place.
//
// # Time
//
// Two clocks tell when a snapshot was made: the host's, in its manifest, and the store's. The
// order is that of the chain, whatever either says. Where they are at most [ClockError] apart
// the host's counts. Where they are not, the host's clock was wrong, or the store is a copy, or
// somebody who has the host's key wants others to be removed; nobody can tell which. Then
//
//   - two snapshots share a bucket only if both clocks say so;
//   - all that were stored in one period count as one bucket, whatever times they claim;
//   - a snapshot is older than keep-within allows only if both clocks say so.
//
// So a wrong clock, a copied store and manifests with invented times make rules keep more than
// they ask for, never less; under a clock that stands still keep-within lets nothing expire.
//
// A thief of the host's key needs as long as an honest host to fill buckets. Only the snapshots
// of periods that are not over lose theirs to him, such as the newest honest one of this year
// under keep-yearly, so shorter periods belong beside long ones. For keep-last there is no such
// limit, so it also keeps the newest of each of as many hours: thousands of snapshots within
// minutes count as one or two there.
//
// # Brakes
//
// A policy that would leave nothing but the head of a set, or snapshots of less than a quarter
// of the days that have some, or that keeps none of them by any rule, is refused with
// [ErrTooMuch] unless forced. A policy without rules removes nothing.
package retention
