package layout

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// StoreJSON is the key of the object that makes a place a store.
const StoreJSON = "store.json"

// Prefixes that hold the objects of all hosts.
const (
	HostsPrefix = "h/"
	TrustPrefix = "trust/"
	GCsPrefix   = "gc/"
)

// ScratchPrefix holds what a check of the place tries out. It is no part of a
// store: readers and prune leave it alone, the check removes it.
const ScratchPrefix = "check/"

// MaxSeq is the highest sequence number that ten digits can name.
const MaxSeq = 9_999_999_999

// MaxEpochCopy is the highest number of a rewrapped epoch key.
const MaxEpochCopy = 9999

// signedSuffix is what the keys of trust lists, manifests and gc objects end with.
const signedSuffix = ".json.zst"

// numbered is the last part of these keys; short is what [Weak] adds, or nothing.
func numbered(seq uint64, short string) string {
	if short != "" {
		short = "-" + short
	}
	return fmt.Sprintf("%010d%s%s", seq, short, signedSuffix)
}

// Weak returns the key that a trust list, manifest or gc object has in a store that cannot
// create only if absent: that of other stores, with a part of the SHA-256 of the object, so
// that two of one number are both seen.
func Weak(key string, sum [32]byte) string {
	return fmt.Sprintf("%s-%x%s", Stem(key), sum[:8], signedSuffix)
}

// Stem is what the key of a trust list, manifest or gc object begins with in any store.
func Stem(key string) string { return strings.TrimSuffix(key, signedSuffix) }

// Trust returns the key of a trust list, but see [Weak].
func Trust(seq uint64) string { return TrustPrefix + numbered(seq, "") }

// HostPrefix returns the prefix of all that a host itself writes.
func HostPrefix(h HostID) string { return HostsPrefix + h.String() + "/" }

// Blob returns the key of the blob whose bytes have this SHA-256.
func Blob(h HostID, name [32]byte) string {
	s := hex.EncodeToString(name[:])
	return BlobPrefix(h) + s[:2] + "/" + s
}

// BlobPrefix returns the prefix of a host's blobs.
func BlobPrefix(h HostID) string { return HostPrefix(h) + "b/" }

// EpochKey returns the key of the nth wrapping of an epoch key; the first is 0.
func EpochKey(h HostID, e Epoch, n int) string {
	return EpochPrefix(h, e) + strconv.Itoa(n) + ".age"
}

// EpochPrefix returns the prefix of all wrappings of one epoch key.
func EpochPrefix(h HostID, e Epoch) string { return EpochsPrefix(h) + e.String() + "/" }

// EpochsPrefix returns the prefix of a host's epoch keys.
func EpochsPrefix(h HostID) string { return HostPrefix(h) + "k/" }

// Root returns the key of the snapshot root whose bytes have this SHA-256.
func Root(h HostID, name [32]byte) string {
	return RootPrefix(h) + hex.EncodeToString(name[:]) + ".age"
}

// RootPrefix returns the prefix of a host's snapshot roots.
func RootPrefix(h HostID) string { return HostPrefix(h) + "r/" }

// BlobList returns the key of the blob list whose bytes have this SHA-256.
func BlobList(h HostID, name [32]byte) string {
	return BlobListPrefix(h) + hex.EncodeToString(name[:]) + ".zst"
}

// BlobListPrefix returns the prefix of a host's blob lists.
func BlobListPrefix(h HostID) string { return HostPrefix(h) + "l/" }

// Manifest returns the key of a manifest, but see [Weak].
func Manifest(h HostID, s SetID, seq uint64) string {
	return ManifestSetPrefix(h, s) + numbered(seq, "")
}

// ManifestPrefix returns the prefix of the manifests of all sets of a host.
func ManifestPrefix(h HostID) string { return HostPrefix(h) + "m/" }

// ManifestSetPrefix returns the prefix of the manifests of one set.
func ManifestSetPrefix(h HostID, s SetID) string { return ManifestPrefix(h) + s.String() + "/" }

// Checkpoint returns the key of a checkpoint; id comes from [NewULID].
func Checkpoint(h HostID, id string) string { return CheckpointPrefix(h) + id + ".json.zst" }

// CheckpointPrefix returns the prefix of a host's checkpoints.
func CheckpointPrefix(h HostID) string { return HostPrefix(h) + "p/" }

// GC returns the key of a gc object, but see [Weak].
func GC(h HostID, seq uint64) string { return GCPrefix(h) + numbered(seq, "") }

// CondemnedList returns the key of the condemned list about a host whose bytes have this
// SHA-256.
func CondemnedList(h HostID, name [32]byte) string {
	return GCPrefix(h) + hex.EncodeToString(name[:]) + ".zst"
}

// Note returns the key of a note about a snapshot of a host; id comes from [NewULID].
func Note(h HostID, id string) string { return NotePrefix(h) + id + ".json.zst" }

// NotePrefix returns the prefix of the notes about a host's snapshots.
func NotePrefix(h HostID) string { return HostPrefix(h) + "n/" }

// Parity returns the key of the parity of the blob whose bytes have this SHA-256.
func Parity(h HostID, blob [32]byte) string {
	s := hex.EncodeToString(blob[:])
	return ParityPrefix(h) + s[:2] + "/" + s
}

// ParityPrefix returns the prefix of the parity of a host's blobs.
func ParityPrefix(h HostID) string { return HostPrefix(h) + "x/" }

// GCPrefix returns the prefix of the gc objects and condemned lists about one host.
func GCPrefix(h HostID) string { return GCsPrefix + h.String() + "/" }
