package survey

import (
	"context"

	"vaultik/actors"
	"vaultik/internal/arena"
)

// BufferSize is the size of one buffer of Transfers, in bytes; larger objects are read in parts.
const BufferSize = 20 << 20

const (
	// fixedMemory is what a check or a copy needs beside its buffers, in bytes.
	fixedMemory = 48 << 20
	// usualSize is how much of a buffer blobs of the default size use, in bytes.
	usualSize = 17 << 20
	// workerMemory is what decoding the blob in a buffer takes beside it, in bytes.
	workerMemory = 8 << 20
)

// Transfers bounds the objects that are on their way at once.
type Transfers struct {
	Ctx      context.Context // ends with the job
	Cancel   context.CancelCauseFunc
	Parallel int
	Workers  int            // that have a buffer at once
	Jobs     *actors.Credit // submitted, and not finished
	Buffers  *actors.Budget

	mem    arena.Arena
	memory int64
}

// NewTransfers allows so many transfers at once in so many bytes of memory; 0: the default.
func NewTransfers(parallel int, memory int64) *Transfers {
	if parallel <= 0 {
		parallel = actors.DefaultParallel
	}
	if memory <= 0 {
		memory = actors.DefaultMemory
	}
	t := &Transfers{Parallel: parallel, Jobs: actors.NewCredit(2 * parallel), memory: memory}
	t.Ctx, t.Cancel = context.WithCancelCause(context.Background())
	t.Workers = int(min(max(1, (memory-fixedMemory)/(usualSize+workerMemory)), int64(parallel)))
	t.Buffers = actors.NewBudget(&t.mem, t.Workers, BufferSize)
	return t
}

// Spare is how many bytes nobody takes, where the buffers are in use or not.
func (t *Transfers) Spare(buffers bool) int {
	if buffers {
		return 0
	}
	return int(max(0, t.memory-fixedMemory))
}

// Close gives the buffers back, which nobody uses any more.
func (t *Transfers) Close() { t.mem.Close() }
