package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"

	"vaultik/engine/events"
	"vaultik/internal/words"
)

// showRestored says everything about a restore at its end; on stderr what could not be
// done, summed up by its reasons.
func (s *session) showRestored(e events.Restored) {
	if e.Leftovers > 0 {
		s.out.note("removed %s of an interrupted restore", words.Plural(e.Leftovers,
			"temporary file", "temporary files"))
	}
	for i, l := range e.Lost {
		s.out.warn("", "lost: %s: %s", l, e.LostWhy[i])
	}
	for i, l := range e.Unread {
		s.out.warn("", "not read: %s: %s", l, e.UnreadWhy[i])
	}
	if e.Above > 0 {
		s.out.note("some attributes of directories above the restored ones were not set")
	}
	s.out.event(e)
	s.sayProblems(e)
	s.sayAttributes(e.Attributes)
	if e.Parts > 0 {
		s.out.note("%s incomplete; rerun the same command to resume",
			words.Plural(e.Parts, "large file is", "large files are"))
	}
	for _, p := range e.Half {
		s.out.warn("", "%q is incomplete, one byte too long; rerun the same command to complete it",
			p.Raw())
	}
}

// showDone is the last line, one to be quoted.
func (s *session) showDone(d events.Done) {
	r, in := d.Restored, "restored"
	if r.Failed > 0 || r.Damaged || len(r.Unread) > 0 {
		in = "partly restored"
	}
	line := fmt.Sprintf("snapshot %s %s to %s: %s, %s written", d.Snapshot, in,
		words.Printable(s.target), words.Plural(r.Files, "file", "files"), words.Size(r.Written))
	if r.Reused > 0 {
		line += fmt.Sprintf(", %s reused from existing files", words.Size(r.Reused))
	}
	for _, n := range []struct {
		n    int64
		what string
	}{{r.Changed, "changed in place"}, {r.Unchanged, "up to date"},
		{r.Kept, "kept"}, {r.Failed, "failed"}} {
		if n.n > 0 {
			line += fmt.Sprintf(", %s %s", words.Count(n.n), n.what)
		}
	}
	s.out.result("%s in %s", line, words.Took(r.Duration))
}

// sayProblems sums up entries that failed, by reason. Each was named when it did: a few are
// not named again.
func (s *session) sayProblems(r events.Restored) {
	if r.Failed <= fewFailed {
		return
	}
	groups := map[string][]string{}
	for _, p := range r.Problems {
		groups[p.Why] = append(groups[p.Why], p.Raw())
	}
	reasons := slices.SortedFunc(maps.Keys(groups), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(groups[b]), len(groups[a])), cmp.Compare(a, b))
	})
	s.out.say(fmt.Sprintf("%s failed:", words.Plural(r.Failed, "entry", "entries")))
	if more := r.Failed - int64(len(r.Problems)); more > 0 {
		s.out.say(fmt.Sprintf("  %s of them, named above, and of the first %s:", words.Count(more),
			words.Count(int64(len(r.Problems)))))
	}
	for i, why := range reasons {
		if i == maxReasons {
			s.out.say(fmt.Sprintf("  and for %s more", words.Plural(int64(len(reasons)-i), "reason",
				"reasons")))
			break
		}
		paths := groups[why]
		line := fmt.Sprintf("  %q", paths[0])
		if n := len(paths) - 1; n > 0 {
			line += fmt.Sprintf(" and %s", words.Plural(int64(n), "other", "others"))
		}
		s.out.say(line + ": " + why)
	}
}

// fewFailed is how many failures can be surveyed one by one.
const fewFailed = 10

// maxReasons bounds the lines of a summary.
const maxReasons = 20

// sayAttributes is the one summary of what could not be set, by kind, each with an example.
func (s *session) sayAttributes(sums []events.AttributeSum) {
	if len(sums) == 0 {
		return
	}
	text := ""
	for i, a := range sums {
		if i == maxReasons {
			text += fmt.Sprintf(", and %s more", words.Plural(int64(len(sums)-i), "kind", "kinds"))
			break
		}
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s of %s (%q: %s)", a.What, words.Plural(a.Entries, "entry",
			"entries"), a.Raw(), a.Reason)
	}
	hint := ""
	if os.Geteuid() != 0 {
		hint = "rerun the same command as root to set them"
	}
	s.out.warn(hint, "some attributes could not be set: %s", text)
}

// showPlan prints the sums of a dry run.
func (s *session) showPlan(e events.Plan) {
	count, size := words.Count, words.Size
	s.out.result("would restore snapshot %s to %s: create %s, replace %s, change %s in place, "+
		"%s up to date, keep %s, delete %s",
		e.Snapshot, words.Printable(s.target), count(e.Create), count(e.Replace), count(e.Change),
		count(e.Unchanged), count(e.Keep), count(e.Delete))
	line := fmt.Sprintf("contents: %s to write, %s to fetch from the store", size(e.Write),
		size(e.Fetch))
	if e.Reuse > 0 {
		line += fmt.Sprintf(", %s to reuse from existing files", size(e.Reuse))
	}
	s.out.result("%s", line)
	if e.Freed > 0 {
		s.out.result("deleting frees %s", size(e.Freed))
	}
	if e.Corrected > 0 {
		s.out.result("attributes: %s would be corrected",
			words.Plural(e.Corrected, "entry", "entries"))
	}
	for _, n := range e.Space {
		free := "an unknown amount"
		if n.Free >= 0 {
			free = size(n.Free)
		}
		s.out.result("space: %s needed at %s, %s free", size(n.Needed), words.Printable(n.Raw()),
			free)
	}
	s.out.result("nothing was changed")
}
