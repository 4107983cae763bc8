package mirror

import (
	"vaultik/actors/survey"
	"vaultik/messages"
)

// copyRun is what the parts of one copy share.
type copyRun struct {
	*survey.Transfers
	spec   *Spec
	survey *survey.Survey // of the source
	report Report         // of the job until it has ended
}

func newCopyRun(spec *Spec) *copyRun {
	if spec.Progress == nil {
		spec.Progress = &messages.Progress{}
	}
	r := &copyRun{Transfers: survey.NewTransfers(spec.Parallel, spec.Memory), spec: spec}
	r.survey = survey.New(spec.From, spec.Snapshots)
	return r
}
