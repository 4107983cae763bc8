package actors

import (
	"context"
	"sync/atomic"
	"time"

	"vaultik/vault/page"
)

// Faults are the places where tests make actors panic or fail. Nil fields do nothing.
type Faults struct {
	OnScan     func()
	OnChunk    func(path string)
	OnRead     func(path string) // after the content was read, before it is looked at again
	OnPack     func()
	OnSeal     func()
	OnUpload   func(after bool)
	OnIndex    func()
	OnBuild    func()
	OnDownload func()
	OnWrite    func()
	OnDelete   func()
	OnSync     func()
	OnPage     func([]byte) []byte                  // instead of what the store has
	Folds      func(path string) bool               // likewise
	OneName    func(dir, a, b string) (bool, error) // instead of trying it

	OnCommitStart func()
	Boot          func() time.Duration // instead of clock.Boot, where a backup commits

	HangTime        time.Duration // instead of what a job waits for a call that does not return
	CheckpointEvery time.Duration // instead of checkpointLook
	CheckpointBytes int64         // instead of checkpointBytes
}

// Chunker is hit before a file is read.
func (f *Faults) Chunker(path string) {
	if f.OnChunk != nil {
		f.OnChunk(path)
	}
}

// Read is hit after a file was read, before it is looked at again.
func (f *Faults) Read(path string) {
	if f.OnRead != nil {
		f.OnRead(path)
	}
}

// Uploader is hit before and after a put.
func (f *Faults) Uploader(after bool) {
	if f.OnUpload != nil {
		f.OnUpload(after)
	}
}

// Scanner is hit at each step of a walk.
func (f *Faults) Scanner() { call(f.OnScan) }

// Packer is hit at each batch that is packed.
func (f *Faults) Packer() { call(f.OnPack) }

// Sealer is hit at each frame and blob.
func (f *Faults) Sealer() { call(f.OnSeal) }

// Indexer is hit at each write of the index.
func (f *Faults) Indexer() { call(f.OnIndex) }

// Builder is hit at each page.
func (f *Faults) Builder() { call(f.OnBuild) }

// CommitStart is hit before a snapshot is committed.
func (f *Faults) CommitStart() { call(f.OnCommitStart) }

// Downloader is hit at each blob or object that is fetched.
func (f *Faults) Downloader() { call(f.OnDownload) }

// Writer is hit at each batch of a restore's writer.
func (f *Faults) Writer() { call(f.OnWrite) }

// Deleter is hit before objects are deleted.
func (f *Faults) Deleter() { call(f.OnDelete) }

// Sync is hit where all that a restore has written is brought to the disk.
func (f *Faults) Sync() { call(f.OnSync) }

// Pages changes what a walk reads.
func (f *Faults) Pages(fetch page.Fetch) page.Fetch {
	if f.OnPage == nil {
		return fetch
	}
	return func(ctx context.Context, ref page.Ref) ([]byte, error) {
		b, err := fetch(ctx, ref)
		if err == nil {
			b = f.OnPage(b)
		}
		return b, err
	}
}

func call(fn func()) {
	if fn != nil {
		fn()
	}
}

// OnReceive is called, if set, with every message before the actor receives it, so that
// tests can make any actor panic; Faults names only the places where work is done.
var OnReceive atomic.Pointer[func(who string, message any)]
