// Package read gets the chunks of one snapshot out of a store, for many callers at once.
//
// A [Reader] is given references, in any order, and knows what a chunk costs: a
// request for a range of a blob, before it often one for the blob's beginning, and
// the decompression of a frame which holds other chunks beside it. So it
// keeps what it has opened and decoded last, and makes each of these things once
// for all who want it at the same time.
//
// The words:
//
//   - load: whatever takes its time: a request, opening a blob, reading a frame. No
//     lock is held meanwhile, so no load delays a chunk that is at hand, or another load.
//   - leader: the first caller that wants something. It loads it in its own
//     goroutine and under its own context.
//   - waiter: a caller that wants the same before it is there. It gets the result or
//     the error of the leader. If its own context ends it leaves, which
//     concerns nobody else; if that of the leader ends, one of the waiters becomes the leader.
//
// Memory: up to 8 MiB of decoded frames, or one that is larger; the beginning and end of 32
// blobs, 256 KiB each at most; one damaged blob of up to 32 MiB. Beside that each call under
// way has one frame, compressed and not, so whoever calls bounds it by the number of calls.
//
// Trust: a blob must have the header that the reference names before anything is
// decrypted (package blob), and a chunk must have the id. What a store says is never believed.
package read
