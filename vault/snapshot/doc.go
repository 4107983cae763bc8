// Package snapshot holds the metadata of a store: who owns it, who may write to it,
// which snapshots there are, and what each of them needs.
//
//	store.json    [StoreDoc]    whose store this is              signed by the owner
//	trust/        [Trust]       hosts, their keys and roles      signed by the owner, chained
//	h/*/m/        [Manifest]    what one snapshot needs: commits it   signed by its host, chained
//	h/*/p/        [Checkpoint]  what a running backup needs      signed by its host
//	h/*/n/        [Note]         tags and pins after the fact      signed by its host, a pruner or the owner
//	h/*/l/        blob list     a part of what snapshots need    named by its SHA-256
//	h/*/r/        [Root]        the encrypted head of a snapshot named by its SHA-256
//	gc/           [GC]          what prune is about to delete    signed by a pruner
//
// A signed object is one line of JSON and an armored SSH signature over that
// line with its newline; all but store.json are compressed with zstd. Signatures
// are checked against keys known beforehand: the owner's, which a machine pins,
// and those in the trust list, which the owner signs. Signatures come first,
// parsing second.
//
// JSON is read strictly: keys are of a-z, 0-9 and _, none twice in an object,
// text is UTF-8; unknown fields are ignored, unknown names in "required" and
// higher versions are [ErrNewerFormat].
//
// Encode functions check what they are given as strictly as the decoders do:
// what cannot be read is never written. [OpenStore] is the reading side.
package snapshot
