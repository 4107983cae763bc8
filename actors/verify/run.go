package verify

import (
	"filippo.io/age"

	"vaultik/actors"
	"vaultik/actors/survey"
	"vaultik/messages"
)

// verifyRun is what the parts of one verify share.
type verifyRun struct {
	*survey.Transfers
	spec   *Spec
	survey *survey.Survey
	hosts  []*hostSecrets // by number; complete before the first check of a blob
	faults *actors.Faults

	report Report // of the job until it has ended
}

// hostSecrets are what opens the blobs of one host.
type hostSecrets struct {
	ids     []age.Identity
	chunkID [][32]byte // one, unless the host began anew
}

func newVerifyRun(spec *Spec) *verifyRun {
	if spec.Progress == nil {
		spec.Progress = &messages.Progress{}
	}
	r := &verifyRun{
		Transfers: survey.NewTransfers(spec.Parallel, spec.Memory), spec: spec,
		faults: &spec.Faults,
	}
	r.survey = survey.New(spec.Store, spec.Snapshots)
	return r
}
