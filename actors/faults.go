package actors

import (
	"context"
	"sync/atomic"
	"time"

	"vaultik/vault/page"
)

// faults are the places where tests make actors panic or fail. Nil fields do nothing.
type faults struct {
	onScan     func()
	onChunk    func(path string)
	onRead     func(path string) // after the content was read, before it is looked at again
	onPack     func()
	onSeal     func()
	onUpload   func(after bool)
	onStore    func()
	onCommit   func()
	onDownload func()
	onWrite    func()
	onPage     func([]byte) []byte                  // instead of what the store has
	folds      func(path string) bool               // likewise
	oneName    func(dir, a, b string) (bool, error) // instead of trying it

	onCommitStart   func()
	fresh           time.Duration // instead of freshListing
	hangAfter       time.Duration // instead of hangAfter and hangGrace
	checkpointEvery time.Duration // instead of checkpointLook
	checkpointBytes int64         // instead of checkpointBytes
}

func (f *faults) chunker(path string) {
	if f.onChunk != nil {
		f.onChunk(path)
	}
}

func (f *faults) read(path string) {
	if f.onRead != nil {
		f.onRead(path)
	}
}

func (f *faults) uploader(after bool) {
	if f.onUpload != nil {
		f.onUpload(after)
	}
}

func (f *faults) scanner()    { call(f.onScan) }
func (f *faults) packer()     { call(f.onPack) }
func (f *faults) sealer()     { call(f.onSeal) }
func (f *faults) store()      { call(f.onStore) }
func (f *faults) committer()  { call(f.onCommit) }
func (f *faults) downloader() { call(f.onDownload) }
func (f *faults) writer()     { call(f.onWrite) }

// pages changes what a walk reads.
func (f *faults) pages(fetch page.Fetch) page.Fetch {
	if f.onPage == nil {
		return fetch
	}
	return func(ctx context.Context, ref page.Ref) ([]byte, error) {
		b, err := fetch(ctx, ref)
		if err == nil {
			b = f.onPage(b)
		}
		return b, err
	}
}

func call(fn func()) {
	if fn != nil {
		fn()
	}
}

// onReceive, if set, is called with every message that an actor receives, before
// it does: tests make any actor panic, of which faults names only those that work.
var onReceive atomic.Pointer[func(who string, message any)]
