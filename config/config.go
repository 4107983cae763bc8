package config

import (
	"fmt"

	"vaultik/internal/bandwidth"
	"vaultik/vault/keys"
	"vaultik/vault/retention"
)

// Defaults and limits. Sizes are bytes.
const (
	DefaultChunkSize   = 1 * MiB
	DefaultBlobSize    = 16 * MiB
	DefaultCompact     = 256 * MiB // stored anew by a run
	DefaultMemory      = 150 * MiB // resident, all buffers and the index included
	DefaultParallel    = 4         // transfers at once, each a connection to the store
	DefaultCompression = 3         // zstd's own default

	MinChunkSize   = 64 * KiB
	MaxChunkSize   = 4 * MiB // the largest chunk is 4 times this and must fit a frame
	MinBlobSize    = 1 * MiB
	MaxBlobSize    = 64 * MiB
	MaxParity      = 100      // percent
	MinMemory      = 64 * MiB // below this the index alone would not fit
	MinParallel    = 1
	MaxParallel    = 64
	MinCompression = 1
	MaxCompression = 19
)

// Config is the configuration with defaults filled in and everything checked.
type Config struct {
	File       string // where it was read from
	StorageURL string // file:///..., s3://... or rclone://...; variables are expanded
	Recipients keys.Recipients
	Sets       []Set            // in the order of the file
	Retention  retention.Policy // of sets that have none of their own; nil: none is given

	Compression int    // zstd level
	ChunkSize   int64  // middle chunk size in bytes, a power of two
	BlobSize    int64  // target in bytes, at most a tenth of Memory
	Compact     int64  // bytes that a backup stores anew at most to leave sparse blobs; 0: none
	Parity      int    // percent of a blob that is stored beside it; 0: none
	Memory      int64  // bytes
	Parallel    int    // transfers at once: connections
	IndexPath   string // "" for the usual place
	StateDir    string // "" for the directory of the configuration
	Hostname    string

	BWLimit bandwidth.Schedule
	Retry   Retry
	S3      S3
	Rclone  Rclone

	// Warnings are things that work but are not as written; each is one sentence.
	Warnings []string
}

// NeedRecipients is the error of a configuration that does not say for whom to encrypt, as all
// have to but those of machines that only prune.
func (c *Config) NeedRecipients() error {
	if !c.Recipients.IsZero() {
		return nil
	}
	return &Error{File: c.File, Msg: "age_recipients is missing", Err: ErrInvalid}
}

// Default is the configuration of a machine without one, as far as it says how to
// work: it names no store.
func Default() *Config {
	return &Config{
		Compression: DefaultCompression, ChunkSize: DefaultChunkSize, BlobSize: BlobSizeFor(DefaultBlobSize, DefaultMemory),
		Compact: DefaultCompact, Memory: DefaultMemory, Parallel: DefaultParallel, Retry: Retry{Elapsed: DefaultElapsed, Stall: DefaultStall},
	}
}

// Set is one named group of paths.
type Set struct {
	Name  string
	Paths []string // absolute and clean, in the order of the file

	Retention retention.Policy // nil: that of the configuration

	Filters
}

// Set finds a set by name.
func (c *Config) Set(name string) (Set, bool) {
	for _, s := range c.Sets {
		if s.Name == name {
			return s, true
		}
	}
	return Set{}, false
}

// Policy says which snapshots of a set are kept; nil: nothing was said. The name may be that of
// a set that is not in the configuration.
func (c *Config) Policy(set string) retention.Policy {
	if s, ok := c.Set(set); ok && s.Retention != nil {
		return s.Retention
	}
	return c.Retention
}

// CheckParallel returns an error unless n concurrent transfers are allowed.
func CheckParallel(n int) error {
	if n < MinParallel || n > MaxParallel {
		return fmt.Errorf("%d transfers at once is outside %d to %d", n, MinParallel, MaxParallel)
	}
	return nil
}

// BlobSizeFor is the blob size in bytes that a memory budget allows: want, but
// never over a tenth of the budget, since several blobs are in memory at once.
func BlobSizeFor(want, memory int64) int64 { return max(MinBlobSize, min(want, memory/10)) }
