package survey

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"vaultik/actors"
	"vaultik/messages"
	"vaultik/vault/page"
)

// Kind says what is wrong with an object.
type Kind string

// The kinds of problems.
const (
	ProblemMissing    Kind = "missing"    // not in the store
	ProblemSize       Kind = "size"       // of another size than recorded
	ProblemDamaged    Kind = "damaged"    // bytes are not those that were written
	ProblemUnreadable Kind = "unreadable" // the store does not return it; it may be intact
	ProblemCondemned  Kind = "condemned"  // there, but prune says that it has deleted it
	ProblemReference  Kind = "reference"  // a page refers to something that is missing
	ProblemSealed     Kind = "sealed"     // to other recipients: the key does not open it
)

// Problem is one thing that is not as it should be.
type Problem struct {
	Kind      Kind
	Key       string           // of the object
	Reason    string           // for people
	Err       error            // why it could not be read; nil unless Kind says so
	Snapshots []string         // ids of those affected, in the order of the snapshots asked for
	Paths     []string         // with the key: the first few entries that need it
	MorePaths bool             // there are more than Paths, or than Lost
	Lost      []page.LostPaths // with the key: what a bad page held
}

// Of is the problem that an error is.
func Of(err error, key string, snapshots ...string) Problem {
	p := Problem{Kind: KindOf(err), Key: key, Reason: PlainReason(err, key), Snapshots: snapshots}
	if p.Kind == ProblemUnreadable {
		p.Err = err
	}
	return p
}

// ErrReference means that a page refers to something that is not there.
var ErrReference = errors.New("a page refers to something that is missing")

// ErrSealed means that an object is sealed to other recipients than the key that was given.
var ErrSealed = errors.New("the key does not open it: it is sealed to others")

// KindOf says what sort of problem an error is.
func KindOf(err error) Kind {
	switch {
	case errors.Is(err, ErrReference):
		return ProblemReference
	case errors.Is(err, ErrSealed):
		return ProblemSealed
	case actors.Unreadable(err):
		return ProblemUnreadable
	case errors.Is(err, fs.ErrNotExist):
		return ProblemMissing
	}
	return ProblemDamaged
}

// MaxPaths is how many paths a problem names.
const MaxPaths = 5

// Problems gathers what is wrong; one a kind and key.
type Problems struct {
	list  []Problem
	index map[string]int
	Found int64
}

// Add reports whether the problem is a new one.
func (p *Problems) Add(n Problem) bool {
	key := string(n.Kind) + " " + n.Key
	if p.index == nil {
		p.index = map[string]int{}
	}
	i, ok := p.index[key]
	if !ok {
		p.Found++
		i = -1
		if len(p.list) < actors.MaxResultList {
			i = len(p.list)
			p.list = append(p.list,
				Problem{Kind: n.Kind, Key: n.Key, Reason: n.Reason, Err: n.Err,
					Snapshots: n.Snapshots})
		}
		p.index[key] = i
	}
	if i < 0 {
		return !ok
	}
	q := &p.list[i]
	q.MorePaths = q.MorePaths || n.MorePaths
	for _, s := range n.Snapshots {
		if !slices.Contains(q.Snapshots, s) {
			q.Snapshots = append(q.Snapshots, s)
		}
	}
	q.MorePaths = addFew(&q.Paths, n.Paths) || q.MorePaths
	q.MorePaths = addFew(&q.Lost, n.Lost) || q.MorePaths
	return !ok
}

// Note adds a problem. A new one counts as an error of the job, and is told unless on is nil.
func (p *Problems) Note(n Problem, progress *messages.Progress, on func(Problem)) {
	if p.Add(n) {
		progress.Errors.Add(1)
		if on != nil {
			on(n)
		}
	}
}

// addFew adds what is not there yet, up to MaxPaths. It reports whether there is more.
func addFew[T comparable](to *[]T, list []T) (more bool) {
	for _, v := range list {
		switch {
		case slices.Contains(*to, v):
		case len(*to) >= MaxPaths:
			more = true
		default:
			*to = append(*to, v)
		}
	}
	return more
}

// Affects adds an entry to the problems of an object: its path, or what was lost with a page.
func (p *Problems) Affects(key, path string, lost *page.LostPaths) {
	for _, kind := range []Kind{ProblemMissing, ProblemSize, ProblemDamaged, ProblemUnreadable,
		ProblemSealed} {
		if i, ok := p.index[string(kind)+" "+key]; ok && i >= 0 {
			n := Problem{Kind: kind, Key: key}
			if lost != nil {
				n.Lost = []page.LostPaths{*lost}
			} else {
				n.Paths = []string{path}
			}
			p.Add(n)
		}
	}
}

// Sorted are the first of them, by key.
func (p *Problems) Sorted() []Problem {
	slices.SortFunc(p.list, func(a, b Problem) int {
		return strings.Compare(a.Key+" "+string(a.Kind), b.Key+" "+string(b.Kind))
	})
	return p.list
}

// PlainReason is an error's text without the object's key in front, which is told beside it.
func PlainReason(err error, key string) string {
	return strings.TrimPrefix(err.Error(), fmt.Sprintf("read %s: ", key))
}
