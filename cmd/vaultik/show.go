package main

import (
	"vaultik/engine/events"
	"vaultik/internal/words"
)

// Tell says what happens in a job: session is the sink of all of them. With --json most
// of it is an object; the rest is words.
func (s *session) Tell(e events.Event) {
	switch e := e.(type) {
	case events.Remark:
		s.out.remark(e)
	case events.Warning:
		s.out.warning(e)
	case events.Item:
		s.item(e)
	case events.Restored:
		s.showRestored(e)
	case events.Local:
		s.showLocal(e)
	default:
		s.out.event(e)
		s.showObject(e)
	}
}

// showObject prints an event that is an object in --json.
func (s *session) showObject(e events.Event) {
	switch e := e.(type) {
	case events.StoreMade:
		s.showMade(e)
	case events.Compacted:
		s.out.result("stored %s anew, so that this snapshot does without %s of %s that %s mostly "+
			"unused", words.Size(e.Stored), words.Plural(int64(e.Blobs), "blob", "blobs"),
			words.Size(e.Left), map[bool]string{true: "was", false: "were"}[e.Blobs == 1])
	case events.Resumed:
		s.showResumed(e)
	case events.HostRequest:
		s.showRequest(e)
	case events.Host:
		s.showHost(e)
	case events.Revocation:
		s.showRevocation(e)
	case events.Recipients:
		s.showRecipients(e)
	case events.Rollback:
		s.showRollback(e)
	case events.Snapshot:
		s.showSnapshot(e)
	case events.Author:
		s.showAuthor(e)
	case events.Check:
		s.showCheck(e)
	case events.Entry:
		s.out.result("%s", entryLine(e))
	case events.Problem:
		s.showProblem(e)
	case events.Scrubbed:
		s.showScrubbed(e)
	case events.Drilled:
		s.showDrilled(e)
	case events.IndexChecked:
		s.showIndexChecked(e)
	case events.Plan:
		s.showPlan(e)
	case events.Index:
		s.showIndex(e)
	case events.Repair:
		s.showRepair(e)
	case events.Repaired:
		s.showRepaired(e)
	case events.Pruned:
		s.showPruned(e)
	case events.StoreCheck:
		s.showStoreCheck(e)
	}
}

// showLocal prints an event that is not part of --json.
func (s *session) showLocal(e events.Local) {
	switch e := e.(type) {
	case events.Saved:
		set := ""
		if e.Set != "" {
			set = " in set " + words.Printable(e.Set)
		}
		s.out.result("snapshot %x saved%s: %s, %s, %s stored in %s", e.Snapshot[:4], set,
			words.Plural(e.Files, "file", "files"),
			words.Plural(e.NewBlobs, "new blob", "new blobs"), words.Size(e.Stored),
			words.Took(e.Duration))
	case events.WouldSave:
		s.showWouldSave(e)
	case events.Done:
		s.showDone(e)
	case events.Deleted:
		s.out.result("deleted %s not in the snapshot", extrasText(e.Extras))
	case events.ReadBack:
		if e.Files > 0 { // an error says what is not
			s.out.result("read back: %s, %s, same as in the snapshot",
				words.Plural(e.Files, "file", "files"), words.Size(e.Bytes))
		}
	case events.MoreProblems:
		s.out.result("and %s", words.Plural(e.Count, "more problem", "more problems"))
	case events.Affected:
		s.showAffected(e)
	case events.CheckBegins:
		s.showCheckBegins(e)
	case events.Checking:
		s.showChecking(e)
	}
}
