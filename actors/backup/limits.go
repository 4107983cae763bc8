package backup

import (
	"runtime"

	"vaultik/vault/blob"
	"vaultik/vault/page"
	"vaultik/vault/parity"
)

// maxLeaves is how many leaf pages may be between the walk and their page.
const maxLeaves = 64

// partialBytes is how much must have been stored of an unfinished leaf before the
// index is told of its finished files, so that a run that is killed does not read
// them again. Leaves of small files are done sooner than that.
const partialBytes = 64 << 20

// minBlob is the size in bytes down to which blobs are made smaller so that more of
// them are in memory, and on their way, at once.
const minBlob = 4 << 20

// maxPageBlobs is how many blobs of pages may be open or on their way to the store: one
// holds the pages of tens of thousands of files, whose data keep the store busy meanwhile.
const maxPageBlobs = 1

// maxFrameRows ends a frame of very small chunks early: the table must fit into the
// buffer of a blob.
const maxFrameRows = 8 << 10

// maxTable is what the rows of one frame add to a blob, in bytes.
const maxTable = maxFrameRows * 32

// maxChunkers is from where on more chunkers only wait for each other.
const maxChunkers = 8

const (
	// heapFixed is what the collector's heap holds in any backup, in bytes: index, leaves
	// on their way, programs.
	heapFixed = 32 << 20
	// heapRoom is what the collector may let lie about, and the runtime takes for itself.
	// With less, 50,000 small files make it collect all the time.
	heapRoom = 12 << 20
)

// heapGrowth is by how many percent the heap may grow between collections, as far as
// its limit lets it.
const heapGrowth = 100

// limits divide the memory of a process among the stages of a backup: part of it is
// large buffers (Mem), whose number is fixed here, the rest is the collector's heap.
type limits struct {
	chunkers, sealers int
	bufs              int // buffers of chunk.Max between chunkers and sealers
	Frames            int // frames of small chunks
	compressing       int // frames being compressed, or waiting for a blob
	frameOut          int // bytes of the largest of these
	blobs             int // open, being sealed or uploaded
	blobTarget        int
	blobBuffer        int
	heap              int64 // bytes of the collector's heap
}

// buffers is how many bytes of large buffers there may be. Frames of more than half the
// largest are rare, and those who have them have few entries: what heapFixed counts for
// leaves is free then.
func (l *limits) buffers(chunkMax int) int64 {
	return int64(l.bufs*chunkMax + l.Frames*blob.FrameTarget + l.compressing*l.frameOut/2 +
		l.blobs*l.blobBuffer + maxPageBlobs*page.BlobBuffer)
}

// addWorkers adds up to so many chunkers and sealers, of so many bytes each, while bytes
// are left for them.
func (l *limits) addWorkers(left int64, chunkers int, chunker int64, sealers int, sealer int64) {
	for {
		switch {
		case l.chunkers < chunkers && l.sealers >= min(2*l.chunkers, sealers) && left >= chunker:
			l.chunkers, left = l.chunkers+1, left-chunker
		case l.sealers < sealers && left >= sealer:
			l.sealers, left = l.sealers+1, left-sealer
		default:
			return
		}
	}
}

// limitsFor divides the memory of spec where so many blobs are known. There is always
// one worker of each kind, and two blobs.
func limitsFor(s *Spec, blobs int) limits {
	cores := runtime.GOMAXPROCS(0)
	most := s.Chunkers
	if most == 0 {
		most = min(max(2, cores), maxChunkers)
	}
	encoder := blob.CompressorMemory(s.CompressionLevel)
	l := limits{chunkers: 1, sealers: 1}
	l.frameOut = blob.MaxCompressed(max(s.Chunks.Max, blob.FrameTarget))
	// The encoder is the tree builder's own.
	heap := heapFixed + heapRoom + encoder + int64(blobs)*blobMemory
	room := s.Memory - heap - maxPageBlobs*int64(page.BlobBuffer)

	// Workers take what they need up to three quarters of the room; larger blobs gain less.
	// A chunker has what it cuts from and what it fills; a sealer an encoder, what
	// that makes, and a frame. Two sealers have enough to do from one chunker.
	chunker, sealer := int64(2*s.Chunks.Max), encoder+int64(l.frameOut/2+blob.FrameTarget)
	left := room*3/4 - chunker - sealer
	left -= int64(2*s.Chunks.Max + l.frameOut/2 + 2*blob.FrameTarget) // more than there are workers
	l.addWorkers(left, most, chunker, cores, sealer)
	if s.Chunkers != 0 {
		l.chunkers = s.Chunkers
	}
	l.bufs, l.Frames, l.compressing = l.chunkers+2, l.sealers+2, l.sealers+1
	heap += int64(l.chunkers*s.Chunks.Max) + int64(l.sealers)*encoder

	// Each transfer holds a blob and its parity, and one more blob is filled meanwhile.
	room = s.Memory - heap - l.buffers(s.Chunks.Max)
	fits := room / int64(s.Parallel+1) * 100 / int64(100+s.Parity)
	fits = fits*31/32 - 64<<10 // Padme and headroom take the rest
	l.blobTarget = int(min(s.BlobSize, max(minBlob, fits)))
	l.blobBuffer = blob.BufferSize(max(l.blobTarget, l.frameOut+maxTable))
	transfer := int64(l.blobBuffer)
	if s.Parity > 0 {
		transfer += parity.Size(transfer, s.Parity)
	}
	l.blobs = int(min(max(2, room/transfer), int64(s.Parallel+2)))
	heap += int64(min(l.blobs, s.Parallel)) * (transfer - int64(l.blobBuffer))
	l.heap = max(heap, s.Memory-l.buffers(s.Chunks.Max))
	return l
}
