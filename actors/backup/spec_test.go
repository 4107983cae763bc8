package backup

import (
	"testing"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
)

// The buffers of a backup fit into its memory, and there is a blob for each transfer
// and one to fill, as far as blobs can be made smaller for that.
func TestLimitsFor(t *testing.T) {
	for _, c := range []struct {
		memory   int64
		parallel int
		target   int // MiB, at least
		all      bool
	}{{150, 1, 15, true}, {150, 2, 15, true}, {150, 4, 9, true}, {150, 8, 4, false}, {150, 64, 4, false}, {400, 16, 14, true}, {64, 4, 4, false}, {4096, 64, 15, true}} {
		s := &Spec{Chunks: chunk.DefaultParams(), BlobSize: 15 << 20, Memory: c.memory << 20, Parallel: c.parallel, Chunkers: 2}
		l := limitsFor(s)
		if l.blobTarget < c.target<<20 || l.blobTarget > 15<<20 {
			t.Errorf("%d MiB, %d transfers: blobs of %d bytes", c.memory, c.parallel, l.blobTarget)
		}
		if c.all && l.blobs <= c.parallel || l.blobs > c.parallel+2 || l.blobs < 2 {
			t.Errorf("%d MiB, %d transfers: %d blobs", c.memory, c.parallel, l.blobs)
		}
		used := int64(l.blobs*(l.blobTarget+s.Chunks.Max) + l.bufs*s.Chunks.Max + (l.Frames+l.compressing)*blob.FrameTarget)
		if room := s.Memory - fixedMemory; used > room && l.blobs > 2 {
			t.Errorf("%d MiB, %d transfers: buffers of %d bytes, %d are there", c.memory, c.parallel, used, room)
		}
		if l.blobBuffer < l.blobTarget+s.Chunks.Max {
			t.Errorf("buffers of %d bytes for blobs of %d and a chunk", l.blobBuffer, l.blobTarget)
		}
	}
	small := &Spec{Chunks: chunk.DefaultParams(), BlobSize: 1 << 20, Memory: 150 << 20, Parallel: 4}
	if l := limitsFor(small); l.blobTarget != 1<<20 {
		t.Errorf("blobs of %d bytes instead of 1 MiB", l.blobTarget)
	}
}
