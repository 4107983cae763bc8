package backup

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/internal/clock"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// A running backup pins what it has written and reuses, for prune to see, this
// often at the latest; it looks at the clock that often.
const (
	checkpointTime  = 15 * time.Minute
	checkpointBytes = 8 << 30
	checkpointLook  = 10 * time.Second
)

// tick writes a checkpoint when it is time for one.
func (j *backupJob) tick(c actor.Context) {
	if j.Ended {
		return
	}
	j.watchClock(c)
	limit := int64(checkpointBytes)
	if n := j.run.faults.CheckpointBytes; n > 0 {
		limit = n
	}
	stored := j.run.spec.Progress.Stored.Load()
	if j.pinned.busy > 0 ||
		clock.Boot()-j.pinned.at < checkpointTime && stored-j.pinned.bytes < limit {
		return
	}
	j.checkpoint(c)
}

// watchClock has the job look at the clock again after a while.
func (j *backupJob) watchClock(c actor.Context) {
	every := checkpointLook
	if d := j.run.faults.CheckpointEvery; d > 0 {
		every = d
	}
	j.stopTick = actors.After(c, every, &checkpointTick{})
}

// checkpoint pins, beside the actors, what this run has stored and used.
func (j *backupJob) checkpoint(c actor.Context) {
	j.pinned.busy++
	j.pinned.at, j.pinned.bytes = clock.Boot(), j.run.spec.Progress.Stored.Load()
	j.Beside(c, func(actors.Aside) any { return &checkpointEnded{j.committer.checkpoint()} })
}

// checkpointed: a checkpoint that could not be written is no reason to stop; the
// next one, or the manifest, will do.
func (j *backupJob) checkpointed(c actor.Context, m *checkpointEnded) {
	j.pinned.busy--
	if m.err != nil && !j.Ended {
		j.run.spec.warn(fmt.Sprintf("write checkpoint: %v", m.err))
	}
	if j.stored && j.pinned.busy == 0 {
		j.End(c, actors.ErrInterrupted)
	}
}

// checkpoint writes one, of all blobs that this run has stored or used. Others that the index
// knows may never be needed again: a run that is interrupted each day must not keep them.
func (c *committer) checkpoint() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return nil
	}
	run, spec := c.run, c.run.spec
	needs, err := c.needs(run.blobs.used)
	if err != nil || needs.Count == 0 {
		return err
	}
	ck := &snapshot.Checkpoint{
		Store: spec.Opened.Doc.Store, Host: spec.Host.ID, Set: spec.Set,
		Seq: c.head.Seq + 1, ID: layout.NewULID(run.now()),
		Time: run.now().UTC().Truncate(time.Second), Needs: needs,
	}
	b, err := snapshot.EncodeCheckpoint(ck, spec.Host.Signer)
	if err != nil {
		return err
	}
	return c.put(layout.Checkpoint(spec.Host.ID, ck.ID), b, sha256.Sum256(b))
}
