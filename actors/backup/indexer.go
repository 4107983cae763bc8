package backup

import (
	"github.com/asynkron/protoactor-go/actor"

	"vaultik/index"
)

// writeRows asks the indexer for one write to the index: of what is stored already.
type writeRows struct{ Batch *index.Batch }

// rowsWritten answers writeRows, in order.
type rowsWritten struct {
	Batch *index.Batch
	err   error
}

// indexer is the only writer of the index. It blocks; those who ask it keep what the
// rows describe until it answers.
type indexer struct{ run *backupRun }

func (x *indexer) Receive(c actor.Context) {
	if m, ok := c.Message().(*writeRows); ok {
		x.run.faults.Indexer()
		_, err := x.run.spec.Index.Write(m.Batch)
		c.Respond(&rowsWritten{Batch: m.Batch, err: err})
	}
}
