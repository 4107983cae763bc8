package backup

import (
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/layout"
	"vaultik/vault/page"
)

// What the tests of this package take of its inside.
type (
	BlobIndexed   = blobIndexed
	BlobSealed    = blobSealed
	EntriesPlaced = entriesPlaced
	EntriesRead   = entriesRead
	ObjectStored  = objectStored
	Piece         = piece
	RowsWritten   = rowsWritten
	SealNow       = sealNow
	Sealing       = sealing
	SealingDone   = sealingDone
	StoreObject   = storeObject
	WriteRows     = writeRows
)

var (
	NewPacker = newPacker
)

func NewBackupRun(spec *Spec) *backupRun {
	r := newBackupRun(spec)
	r.divide()
	return r
}

var (
	ErrHalfSealed  = errHalfSealed
	ErrStreamAgain = errStreamAgain
	ErrStreamLost  = errStreamLost
)

const MaxRounds = maxRounds

// Prepared is a run without its actors: it has looked at the store, and can commit.
type Prepared struct{ c *committer }

// Prepare begins a run. End ends it.
func Prepare(spec *Spec) (*Prepared, error) {
	c, err := prepare(newBackupRun(spec))
	return &Prepared{c}, err
}

// Use has the snapshot need a blob, which the run has stored itself or found in the index.
func (p *Prepared) Use(in blob.Info, own bool) {
	p.c.run.blobs.add(in)
	p.c.run.blobs.need(in.Name)
	if own {
		p.c.run.blobs.uploaded(in.Name)
	}
}

// Commit makes a snapshot of the blobs that are needed.
func (p *Prepared) Commit() (seq uint64, missing int, err error) {
	top := blob.Info{Name: blob.Name{1}, Size: 100, Epoch: p.c.run.epoch.ID}
	r, err := p.c.commit(page.Ref{Blob: &top, Span: blob.Span{FrameLen: 9, Len: 9}, ID: chunk.ID{1}})
	return r.seq, r.missing, err
}

// Checkpoint writes one.
func (p *Prepared) Checkpoint() error { return p.c.checkpoint() }

// Put stores an object as uploaders do.
func (p *Prepared) Put(o StoreObject) error { return p.c.run.put(p.c.run.ctx, o) }

// Epoch is the one that blobs are sealed to.
func (p *Prepared) Epoch() layout.Epoch { return p.c.run.epoch.ID }

// End ends the run, as killing its process does.
func (p *Prepared) End() { p.c.run.cancel(nil) }
