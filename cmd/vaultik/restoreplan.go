package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"vaultik/actors"
	"vaultik/actors/restore"
	"vaultik/messages"
	"vaultik/vault/read"
)

// planEvent is what a restore would do.
type planEvent struct {
	Type      string       `json:"type"` // plan
	Create    int64        `json:"create"`
	Replace   int64        `json:"replace"`
	Change    int64        `json:"change"`
	Unchanged int64        `json:"unchanged"`
	Keep      int64        `json:"keep"`
	Delete    int64        `json:"delete"`
	Ignored   int64        `json:"ignored"`
	Failed    int64        `json:"failed"`
	Corrected int64        `json:"corrected"`
	Write     int64        `json:"bytes_write"`
	Reuse     int64        `json:"bytes_reuse"`
	Fetch     int64        `json:"bytes_fetch"`
	Space     []spaceEvent `json:"space,omitempty"`
}

// spaceEvent is what a restore would take of one file system.
type spaceEvent struct {
	jsonPath         // a directory on it
	Needed     int64 `json:"needed"`
	Free       int64 `json:"free"`
	NeedInodes int64 `json:"inodes_needed"`
	FreeInodes int64 `json:"inodes_free"`
	Unsure     bool  `json:"unsure"`
}

// dryRun says what the restore would do.
func (c *restoreCmd) dryRun(ctx context.Context, s *session, r *reading, system *actors.System, spec *restore.Spec, del *deletion) error {
	spec.DryRun, spec.OnItem, spec.Progress = true, s.wouldItem, &messages.Progress{}
	stop := s.showProgress(spec.Progress)
	res, err := restore.Run(ctx, system, spec)
	stop()
	if res == nil {
		return c.explainEmpty(r, err)
	}
	n := &s.sum
	n.Files, n.New, n.Changed, n.Unchanged = res.Counts.Files, res.Restored, res.Replaced+res.Changed, res.Unchanged
	n.BytesRead, n.Errors = res.BytesRead, res.Failed
	for _, l := range res.Lost {
		s.out.warn("", "lost: %s: %s", lostText(l), l.Reason)
	}
	if err != nil {
		return err
	}
	if nothing(res) {
		return &nothingSelected{r.row.short()}
	}
	res.Deleted, res.Freed = del.found.Files+del.found.Dirs, del.found.Bytes
	s.tellPlan(r.row.short(), c.Target, spec.Target, res)
	switch {
	case res.Damaged:
		return &hinted{&damage{"pages of snapshot " + r.row.short() + " are damaged, and what they held would not be restored"},
			"see all that is wrong: " + s.commandHere("verify --read-data")}
	case res.Failed > 0:
		return &partial{fmt.Sprintf("%s would not be restored as in the snapshot", plural(res.Failed, "entry", "entries"))}
	case del.not != "":
		return &partial{"nothing would be deleted: " + del.not}
	}
	return tooSmall(spec.Target, res.Space)
}

// tooSmall is the refusal of a target that has no room, as a restore would say it.
func tooSmall(target string, space []restore.SpaceNeed) error {
	for _, n := range space {
		if n.Short() && !n.Unsure {
			return &noRoom{&restore.SpaceError{Dir: filepath.Join(target, filepath.FromSlash(n.Path)), Need: n}}
		}
	}
	return nil
}

// noRoom: the target cannot take what would be written.
type noRoom struct{ err *restore.SpaceError }

func (e *noRoom) Error() string {
	n := &e.err.Need
	if n.Free >= 0 && n.Bytes > n.Free {
		return fmt.Sprintf("restore to %s: not enough space: %s needed, %s free", e.err.Dir, size(n.Bytes), size(n.Free))
	}
	return fmt.Sprintf("restore to %s: not enough inodes: %s needed, %s free", e.err.Dir, count(n.Inodes), count(n.Space.Inodes))
}

func (e *noRoom) Unwrap() error { return e.err }

// planWords are the states of a restore as a plan has them.
var planWords = map[messages.Status]string{
	messages.StatusRestored: "create", messages.StatusReplaced: "replace", messages.StatusChanged: "change",
	messages.StatusUnchanged: "skip", messages.StatusKept: "keep", messages.StatusIgnored: "ignore",
	messages.StatusFailed: "fail", messages.StatusDeleted: "delete",
}

// wouldItem says what would become of an entry: of each with -v, otherwise of those that fail.
func (s *session) wouldItem(path string, st messages.Status, reason string) {
	s.out.event(itemEvent{Type: "item", jsonPath: pathOf(shown(path)), Status: string(st), Reason: reason})
	if st == messages.StatusFailed {
		s.out.warn("", "%q would not be restored: %s", shown(path), reason)
	}
	if !s.out.verbose {
		return
	}
	line := fmt.Sprintf("%-7s  %s", planWords[st], printable(shown(path)))
	if reason != "" {
		line += "  (" + printable(reason) + ")"
	}
	s.out.result("%s", line)
}

// tellPlan prints the sums of a dry run.
func (s *session) tellPlan(id, target, abs string, r *restore.Result) {
	e := &planEvent{
		Type: "plan", Create: r.Restored, Replace: r.Replaced, Change: r.Changed, Unchanged: r.Unchanged, Keep: r.Kept,
		Delete: r.Deleted, Ignored: r.Ignored, Failed: r.Failed, Corrected: r.Corrected,
		Write: r.BytesWritten, Reuse: r.BytesReused, Fetch: r.BytesFetch,
	}
	s.out.result("would restore snapshot %s to %s: create %s, replace %s, change %s in place, skip %s as they are right and %s that are kept, delete %s",
		id, printable(target), count(e.Create), count(e.Replace), count(e.Change), count(e.Unchanged), count(e.Keep), count(e.Delete))
	line := fmt.Sprintf("contents: %s to write, %s to fetch from the store", size(e.Write), size(e.Fetch))
	if e.Reuse > 0 {
		line += fmt.Sprintf(", %s of what is there already", size(e.Reuse))
	}
	s.out.result("%s", line)
	if r.Freed > 0 {
		s.out.result("deleting frees %s", size(r.Freed))
	}
	if e.Corrected > 0 {
		s.out.result("attributes: %s that are right would get other ones", plural(e.Corrected, "entry", "entries"))
	}
	for _, n := range r.Space {
		dir := filepath.Join(abs, filepath.FromSlash(n.Path))
		e.Space = append(e.Space, spaceEvent{pathOf(dir), n.Bytes, n.Free, n.Inodes, n.Space.Inodes, n.Unsure})
		free := "an unknown amount"
		if n.Free >= 0 {
			free = size(n.Free)
		}
		s.out.result("space: %s needed at %s, %s free", size(n.Bytes), printable(dir), free)
	}
	s.out.event(e)
	s.out.result("nothing was changed")
}

// explainEmpty names the snapshot that holds nothing.
func (c *restoreCmd) explainEmpty(r *reading, err error) error {
	if errors.Is(err, read.ErrEmptySnapshot) {
		return &noSnapshot{msg: "snapshot " + r.row.short() + " is empty: there is nothing to restore"}
	}
	return err
}
