package backup

import (
	"github.com/asynkron/protoactor-go/actor"

	"vaultik/index"
)

// writeRows asks the store actor for one write to the index. It lives here, not
// in messages, because its types belong to the index.
type writeRows struct{ Batch *index.Batch }

// rowsWritten answers writeRows, in order.
type rowsWritten struct {
	Batch *index.Batch
	err   error
}

// storeActor is the only writer of the index. It blocks: who asks waits for its
// answer before giving up what the rows describe.
type storeActor struct{ run *backupRun }

func (s *storeActor) Receive(c actor.Context) {
	if m, ok := c.Message().(*writeRows); ok {
		s.run.faults.Store()
		_, err := s.run.spec.Index.Write(m.Batch)
		c.Respond(&rowsWritten{Batch: m.Batch, err: err})
	}
}
