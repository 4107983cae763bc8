package backup

import (
	"errors"
	"io"
	"log/slog"
	"time"

	"vaultik/actors"
	"vaultik/backends"
	"vaultik/index"
	"vaultik/messages"
	"vaultik/vault/chunk"
	"vaultik/vault/fs"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// Host is who backs up: the ids and keys of this machine in one store.
type Host struct {
	ID     layout.HostID
	Name   string
	Secret keys.HostSecret
	Signer *keys.Signer
}

// Head is the newest manifest of a set that this machine has written.
type Head struct {
	Seq uint64   // 0: none
	Sum [32]byte // SHA-256 of the manifest object
	// Next are the sums of manifests of Seq+1 that this machine was about to write: one
	// of them may be in the store.
	Next [][32]byte
}

// Spec is one backup of one set.
type Spec struct {
	Store  backends.Backend
	Opened *snapshot.Store // the verified store.json and trust list
	Index  *index.Index

	Host       Host
	Recipients keys.Recipients
	Epoch      keys.EpochKey // that this host used last; zero: none
	Set        layout.SetID
	SetName    string
	Head       Head

	Paths    []string          // roots: absolute, sorted, merged
	Stream   *Stream           // instead of Paths
	Choose   func() fs.Chooser // of one walk; nil keeps everything
	OneFS    bool              // see fs.WalkOptions
	Excludes []string          // for the record, as are Filters
	Filters  *snapshot.Filters
	Tags     []string
	Attrs    fs.Attrs
	Ignore   fs.Ignore
	// Reread says whether a known file is read again, by its index.PathKey; nil: none.
	Reread  func(path [16]byte) bool
	Fixed   bool // no file is read beyond the size it had when it was opened
	Partial bool // some requested paths are missing: the snapshot is incomplete

	Chunks           chunk.Params
	CompressionLevel int   // 0: zstd's default
	BlobSize         int64 // bytes; where blobs are sealed, at the latest
	CompactBudget    int64 // bytes that may be read and stored anew to leave sparse blobs; 0: none
	Parity           int   // percent of each blob that is stored beside it, too; 0: none
	Memory           int64 // bytes; of the whole process
	Parallel         int   // transfers at once
	Chunkers         int   // 0: as many as cores and memory allow

	Tool     string // name and version, for the record
	Progress *messages.Progress
	OnItem   func(path string, st messages.Status, reason string) // from one goroutine
	// After how long a call to a source that does not return is named; 0: a minute.
	HangAfter time.Duration
	Warn      func(text string) // from any goroutine

	SaveEpoch func(keys.EpochKey) error // before the first blob that uses it
	SaveNext  func(Head) error          // before the manifest is written
	SaveHead  func(Head) error          // after it is acknowledged

	Now    func() time.Time // tests
	Faults actors.Faults
}

// Stream is content that is in no file. A backup of it makes one entry, of a size
// that nobody knows before its end. It is read once: a failed read is not retried.
type Stream struct {
	Path string  // of the entry
	Stat fs.Stat // of the entry; its size is that of the content
	// Source ends with io.EOF only when everything went well: any other error ends
	// the backup without a snapshot. Its Read may block for ever; when the job is told
	// to stop, the call is abandoned.
	Source io.Reader
}

// Result is what became of a backup.
type Result struct {
	Snapshot      [32]byte // SHA-256 of the manifest object; zero: none was made
	Seq           uint64
	Counts        messages.Counts
	Complete      bool
	Errors        int64 // entries that are missing or incomplete in the snapshot
	Denied        int64 // of these, for want of permission
	BytesRead     int64
	BytesStored   int64
	ObjectsStored int64
	BlobsStored   int64
	Rounds        int
	Restarts      int64
	Compacted     Compacted
	Duration      time.Duration
	NoAttrs       []NoAttrs     // saved without, which is no error; the most frequent first
	Kernel        []KernelMount // excluded, as nothing in it can be restored; by path
	Abandoned     string        // a path that did not respond: a call is still waiting for it
}

// Compacted is what was stored anew so that sparse blobs are not needed any more.
type Compacted struct {
	Bytes int64 // of contents stored anew
	Blobs int   // that the snapshot does not need any more since then
	Left  int64 // bytes of these blobs
}

// NoAttrs are entries that were saved without an attribute that could not be read.
type NoAttrs struct {
	What    string // and why it could not be read
	Implied bool   // directories above the requested paths
	Entries int64
	Path    string // one of them; absolute
}

// KernelMount is where a file system of the kernel is mounted, and its type.
type KernelMount struct{ Path, Type string }

var errNothingToSave = errors.New("nothing could be read: no snapshot made")

func (s *Spec) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Spec) warn(text string) {
	if s.Warn != nil {
		s.Warn(text)
	} else {
		slog.Warn(text)
	}
}
