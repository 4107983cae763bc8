package backup

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
)

type hangTick struct{}

// lookForHangs names a call that does not return. When the job is to end, it ends
// without it: what was read before is stored, and whoever hangs is left behind.
func (j *backupJob) lookForHangs(c actor.Context) {
	if j.Requester == nil {
		return // answered
	}
	j.watchHangs(c)
	path, since := j.run.watch.Longest()
	if since.IsZero() {
		return
	}
	after, grace := actors.HangAfter, actors.HangGrace
	if d := j.run.faults.HangAfter; d > 0 {
		after, grace = d, d
	}
	lasts := time.Since(since)
	if j.leave == path {
		grace = min(grace, actors.HangLook) // it was waited for before
	}
	toEnd := !j.asked.IsZero() && min(lasts, time.Since(j.asked)) >= grace
	switch {
	case j.Ended && toEnd:
		j.Left, j.result.Abandoned = 0, path
		j.Reply(c)
	case j.Ended:
	case j.run.interrupted() && !j.flushing && toEnd:
		j.leave = path
		j.run.spec.warn(fmt.Sprintf("%q does not answer: it is left alone", path))
		j.readingEnded(c)
	case lasts >= after:
		j.run.spec.Progress.SetCurrent(path)
		if j.hung != since {
			j.hung = since
			j.run.spec.warn(fmt.Sprintf("%q has not answered for %v: the backup waits for it; Ctrl-C ends the backup", path, lasts.Round(time.Second)))
		}
	}
}

func (j *backupJob) watchHangs(c actor.Context) {
	every := actors.HangLook
	if d := j.run.faults.HangAfter; d > 0 {
		every = d / 4
	}
	j.stopHangs = actors.After(c, every, &hangTick{})
}
