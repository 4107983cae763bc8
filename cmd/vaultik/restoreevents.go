package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"vaultik/actors/restore"
	"vaultik/vault/page"
)

// restoredEvent is what became of a restore, all in one.
type restoredEvent struct {
	Type         string         `json:"type"` // restored
	Files        int64          `json:"files"`
	Dirs         int64          `json:"dirs"`
	Symlinks     int64          `json:"symlinks"`
	Others       int64          `json:"others"`
	Restored     int64          `json:"restored"`
	Replaced     int64          `json:"replaced"`
	Changed      int64          `json:"changed"`
	Unchanged    int64          `json:"unchanged"`
	Kept         int64          `json:"kept"`
	Deleted      int64          `json:"deleted"`
	Ignored      int64          `json:"ignored"`
	Failed       int64          `json:"failed"`
	Written      int64          `json:"bytes_written"`
	Reused       int64          `json:"bytes_reused"`
	BytesRead    int64          `json:"bytes_read"`
	Parts        int64          `json:"parts"`
	Half         []jsonPath     `json:"half,omitempty"`
	Damaged      bool           `json:"damaged"`
	Problems     []itemProblem  `json:"problems,omitempty"`
	MoreProblems bool           `json:"more_problems,omitempty"`
	Lost         []string       `json:"lost,omitempty"`
	Attributes   []attributeSum `json:"attributes,omitempty"`
}

// itemProblem is one entry that failed.
type itemProblem struct {
	jsonPath
	Reason string `json:"reason"`
}

// attributeSum is one kind of attribute that could not be set.
type attributeSum struct {
	What     string `json:"what"`
	Entries  int64  `json:"entries"`
	jsonPath        // the first of them
	Reason   string `json:"reason"` // why not there
}

// tellRestored prints everything about a restore at its end: the event, and on
// stderr what could not be done, summed up by its reasons.
func (s *session) tellRestored(r *restore.Result) {
	slices.SortFunc(r.Problems, func(a, b restore.Problem) int { return page.Compare(a.Path, b.Path) })
	e := &restoredEvent{
		Type: "restored", Files: r.Counts.Files, Dirs: r.Counts.Dirs, Symlinks: r.Counts.Symlinks, Others: r.Counts.Others,
		Restored: r.Restored, Replaced: r.Replaced, Changed: r.Changed, Unchanged: r.Unchanged, Kept: r.Kept, Deleted: r.Deleted, Ignored: r.Ignored, Failed: r.Failed,
		Written: r.BytesWritten, Reused: r.BytesReused, BytesRead: r.BytesRead, Parts: r.Parts, Damaged: r.Damaged, MoreProblems: r.Failed > int64(len(r.Problems)),
		Attributes: attributeSums(r.Meta),
	}
	for _, p := range r.Problems {
		e.Problems = append(e.Problems, itemProblem{pathOf(shown(p.Path)), p.Reason})
	}
	for _, l := range r.Lost {
		e.Lost = append(e.Lost, lostText(l))
	}
	for _, p := range r.Half {
		e.Half = append(e.Half, pathOf(shown(p)))
	}
	s.out.event(e)
	s.sayProblems(r)
	s.sayAttributes(e.Attributes)
}

// sayProblems sums up entries that failed. Each was named when it did.
func (s *session) sayProblems(r *restore.Result) {
	if r.Failed < 2 {
		return
	}
	groups := map[string][]string{}
	for _, p := range r.Problems {
		why := withoutPath(p)
		groups[why] = append(groups[why], p.Path)
	}
	reasons := slices.SortedFunc(maps.Keys(groups), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(groups[b]), len(groups[a])), cmp.Compare(a, b))
	})
	s.out.say(fmt.Sprintf("%s failed:", plural(r.Failed, "entry", "entries")))
	if more := r.Failed - int64(len(r.Problems)); more > 0 {
		s.out.say(fmt.Sprintf("  %s of them, named above, and of the first %s:", count(more), count(int64(len(r.Problems)))))
	}
	for i, why := range reasons {
		if i == maxReasons {
			s.out.say(fmt.Sprintf("  and for %s more", plural(int64(len(reasons)-i), "reason", "reasons")))
			break
		}
		paths := groups[why]
		line := fmt.Sprintf("  %q", shown(paths[0]))
		if n := len(paths) - 1; n > 0 {
			line += fmt.Sprintf(" and %s", plural(int64(n), "other", "others"))
		}
		s.out.say(line + ": " + why)
	}
}

// maxReasons bounds the lines of a summary.
const maxReasons = 20

// withoutPath is the reason of a problem without its own path, so that others share it.
func withoutPath(p restore.Problem) string {
	if pe := (*fs.PathError)(nil); errors.As(p.Err, &pe) && p.Reason == pe.Error() {
		return pe.Op + ": " + pe.Err.Error()
	}
	return p.Reason
}

// attributeSums are the attributes that could not be set, the most frequent first.
func attributeSums(meta map[string]*restore.MetaLoss) (out []attributeSum) {
	for what, l := range meta {
		out = append(out, attributeSum{what, l.Entries, pathOf(shown(l.Path)), l.Err.Error()})
	}
	slices.SortFunc(out, func(a, b attributeSum) int {
		return cmp.Or(cmp.Compare(b.Entries, a.Entries), cmp.Compare(a.What, b.What))
	})
	return out
}

// sayAttributes is the one summary of what could not be set, by kind, each with an example.
func (s *session) sayAttributes(sums []attributeSum) {
	if len(sums) == 0 {
		return
	}
	text := ""
	for i, a := range sums {
		if i == maxReasons {
			text += fmt.Sprintf(", and %s more", plural(int64(len(sums)-i), "kind", "kinds"))
			break
		}
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s of %s (%q: %s)", a.What, plural(a.Entries, "entry", "entries"), a.raw(), a.Reason)
	}
	hint := ""
	if os.Geteuid() != 0 {
		hint = "run the same command as root: it only sets what is missing"
	}
	s.out.warn(hint, "attributes that could not be set: %s", text)
}
