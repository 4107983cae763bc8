package backup

import (
	"runtime"
	"testing"

	"vaultik/vault/chunk"
	"vaultik/vault/parity"
)

// All that a backup holds fits into its memory, however many cores there are; and there
// is a blob for each transfer and one to fill, as far as blobs can be made smaller for that.
func TestLimitsFor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, c := range []struct {
		cores    int
		memory   int64
		parallel int
		level    int
		blobs    int // known
		target   int // MiB, at least
		sealers  int // at least
		fits     bool
		parity   int // percent
	}{
		{2, 150, 1, 3, 0, 15, 2, true, 0},
		{2, 150, 4, 3, 0, 7, 2, true, 0},
		{2, 150, 8, 3, 0, 4, 2, false, 0},
		{2, 64, 4, 3, 0, 4, 1, false, 0},
		{4, 150, 4, 3, 0, 5, 3, true, 0},
		{16, 150, 4, 3, 0, 5, 3, true, 0},
		{64, 150, 4, 3, 0, 5, 3, true, 0},
		{64, 150, 64, 3, 0, 4, 3, false, 0},
		{16, 150, 4, 1, 0, 5, 3, true, 0},
		{16, 150, 4, 3, 100000, 4, 1, false, 0},
		{16, 150, 4, 19, 0, 4, 1, false, 0},
		{16, 400, 4, 19, 0, 10, 3, true, 0},
		{16, 400, 16, 3, 0, 4, 12, true, 0},
		{64, 4096, 64, 3, 0, 15, 64, true, 0},
		{2, 150, 4, 3, 0, 6, 2, true, 10},
		{64, 400, 4, 3, 0, 11, 3, true, 50},
		{2, 400, 4, 3, 0, 12, 2, true, 100},
	} {
		runtime.GOMAXPROCS(c.cores)
		s := &Spec{
			Chunks: chunk.DefaultParams(), BlobSize: 15 << 20, Memory: c.memory << 20, Parallel: c.parallel,
			CompressionLevel: c.level, Parity: c.parity,
		}
		l := limitsFor(s, c.blobs)
		t.Logf("%+v: %+v, buffers of %d MiB", c, l, l.buffers(s.Chunks.Max)>>20)
		if l.blobTarget < c.target<<20 || l.blobTarget > 15<<20 || l.sealers < c.sealers || l.sealers > c.cores {
			t.Errorf("%+v: blobs of %d bytes, %d sealers", c, l.blobTarget, l.sealers)
		}
		if c.fits && l.blobs <= c.parallel || l.blobs > c.parallel+2 || l.blobs < 2 {
			t.Errorf("%+v: %d blobs", c, l.blobs)
		}
		made := int64(0)
		if c.parity > 0 {
			made = int64(c.parallel) * parity.Size(int64(l.blobBuffer), c.parity)
		}
		if c.fits && l.heap < heapFixed+heapRoom+made {
			t.Errorf("%+v: no room for %d MiB of parity", c, made>>20)
		}
		if all := l.heap + l.buffers(s.Chunks.Max); (c.fits || l.blobs > 2) && all > s.Memory {
			t.Errorf("%+v: %d MiB in all", c, all>>20)
		}
	}
	small := &Spec{Chunks: chunk.DefaultParams(), BlobSize: 1 << 20, Memory: 150 << 20, Parallel: 4}
	if l := limitsFor(small, 0); l.blobTarget != 1<<20 {
		t.Errorf("blobs of %d bytes instead of 1 MiB", l.blobTarget)
	}
}
