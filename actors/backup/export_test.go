package backup

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
