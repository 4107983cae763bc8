package verify

import (
	"filippo.io/age"

	"vaultik/actors"
	"vaultik/actors/survey"
	"vaultik/messages"
	"vaultik/vault/plan"
)

// verifyRun is what the parts of one verify share.
type verifyRun struct {
	*survey.Transfers
	spec   *Spec
	survey *survey.Survey
	hosts  []*hostSecrets // by number; complete before the first check of a blob
	chosen plan.Choice    // of the objects to look into; nil: all
	drill  *drillRun      // nil: no drill
	faults *actors.Faults

	report Report // of the job until it has ended
}

// hostSecrets are what opens the blobs of one host.
type hostSecrets struct {
	ids     []age.Identity
	chunkID [][32]byte // one, unless the host began anew
}

// looksInto reports whether an object was chosen.
func (r *verifyRun) looksInto(i int) bool { return r.chosen == nil || r.chosen(i) }

// tellChecked passes on that an object is as it should be.
func (r *verifyRun) tellChecked(i int) error {
	if r.spec.OnChecked == nil {
		return nil
	}
	return r.spec.OnChecked(i)
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
