package backup

import (
	"errors"

	"vaultik/actors"
	"vaultik/vault/blob"
)

// errHalfSealed is the end of a job whose sealer panicked while a blob was being
// encrypted in place: the plaintext is lost, but the sources still have it.
var errHalfSealed = errors.New(
	"a sealer stopped in the middle of a blob; nothing is lost, rerun the backup",
)

// newSealer makes a leaf that compresses frames and seals blobs: the stages that
// cost the most, as many as cores and memory allow.
func newSealer(run *backupRun) actors.Work[sealing, sealingDone] {
	z := blob.NewCompressor(run.spec.CompressionLevel)
	return func(_ int, job sealing) sealingDone {
		run.faults.Sealer()
		if m := job.Compress; m != nil {
			return sealingDone{Frame: z.Frame(m.Out[:0], m.Raw)}
		}
		if job.Seal.Started {
			return sealingDone{Err: errHalfSealed}
		}
		job.Seal.Started = true
		s, err := job.Seal.Builder.Seal(run.spec.Recipients, run.epoch)
		return sealingDone{Sealed: s, Err: err}
	}
}
