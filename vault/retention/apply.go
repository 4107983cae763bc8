package retention

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// MinAge is the age by the store's clock below which nothing is removed: somebody may
	// still be reading it, and whoever has done damage may still be noticed.
	MinAge = 24 * time.Hour

	// ClockError is how far the host's clock may be from the store's before neither is
	// trusted alone. A manifest is stored within minutes of the time that it has.
	ClockError = time.Hour

	// MaxShare is how many percent of the days that have snapshots may lose all of them at
	// once. Forgetting once a month keeps below it if half a month of days stays; a first
	// forget after years does not, and is to be looked at.
	MaxShare = 75
)

// Errors of [Policy.Apply]. With any of them nothing is to be removed from the set.
var (
	// ErrTooMuch is a policy that was stopped by a brake: show the verdicts, and have
	// somebody say that it is meant.
	ErrTooMuch = errors.New("the policy would remove too much at once")

	// ErrFork is two snapshots of one seq. Which of them counts is for the owner to say.
	ErrFork = errors.New("the chain of the set is forked")

	// ErrNoTime is a snapshot without a time in the store: no age can be relied on.
	ErrNoTime = errors.New("the store does not say when a snapshot was stored")
)

// Snapshot is one of a set, as far as its manifest and the listing of the store tell. A
// manifest that is not to be trusted (damaged, revoked) is not among them.
type Snapshot struct {
	Seq      uint64
	Time     time.Time // its manifest's, by the host's clock
	Stored   time.Time // of the manifest object, by the store's clock: LastModified
	Complete bool      // as the manifest says: nothing that was asked for is missing
	Whole    bool      // every object that it needs is in the store
	Pinned   bool      // by a pin that nobody entitled has taken off
	Tags     []string  // their names
	// Unnamed says that it has tags whose names are not known here. Then any rule by tags
	// keeps it.
	Unnamed bool
}

// Options are the circumstances of a run.
type Options struct {
	// Now is the present by the store's clock: LastModified of an object just written.
	Now time.Time
	// Location is the place whose calendar counts; nil for [time.Local].
	Location *time.Location
	// Force goes past the brakes, [ErrTooMuch], and past nothing else.
	Force bool
}

// Verdict says what becomes of a snapshot.
type Verdict struct {
	Seq     uint64
	Reasons []Reason // why it is kept; if there are none it is removed
}

// Keep reports whether the snapshot stays.
func (v *Verdict) Keep() bool { return len(v.Reasons) > 0 }

// Reason is one reason to keep a snapshot.
type Reason struct {
	// Rule is the name of a rule, as in [Names], or one of the constants.
	Rule string
	// Detail is the bucket (2026-11-28; 2026-11-28 14:00+01:00; 2026-W48; 2026-11; 2026-Q4;
	// 2026) or (oldest), for a rule by age after the rule's value (30d 2026-11-28), for tags
	// their names. If the clocks disagree the bucket is that of both: 1970-01-01 (stored
	// 2026-11-28).
	Detail string
}

// Reasons that are no rules. Of the first three a snapshot gets one.
const (
	Head     = "newest"            // the highest seq of the set
	Whole    = "newest whole"      // whole, complete or not; none better is newer
	Complete = "newest complete"   // whole and complete
	Young    = "less than 24h old" // MinAge
	Pinned   = "pinned"
	NoRules  = "no rules" // the policy is empty
)

// oldest is the detail of what is kept by a rule that has fewer buckets than it asks for.
const oldest = "(oldest)"

// String is the rule, then the detail: "daily 2026-11-28".
func (r Reason) String() string {
	if r.Detail == "" {
		return r.Rule
	}
	return r.Rule + " " + r.Detail
}

// quality says which snapshots push out which: never better ones.
type quality int

const (
	lacking quality = iota // objects are missing
	partial                // whole, not complete
	good
)

// item is a snapshot that is judged; its times are in the location of the run.
type item struct {
	Snapshot
	quality quality
	verdict *Verdict
	ruled   bool // kept by a rule
}

func (s *item) keep(rule, detail string) {
	s.verdict.Reasons = append(s.verdict.Reasons, Reason{rule, detail})
}

// run is one policy applied to one set.
type run struct {
	items          []*item         // newest first
	newest, oldest [good + 1]*item // of those at least as good; nil if there are none
}

// Apply judges all snapshots of one set of one host, in any order, and returns a verdict for
// each, by falling seq. If the error is [ErrTooMuch] the verdicts are what was refused; with
// the others, [ErrKeepsNothing], [ErrFork] and [ErrNoTime], there are none.
func (p Policy) Apply(set []Snapshot, o Options) ([]Verdict, error) {
	if err := p.Check(); err != nil || len(set) == 0 {
		return nil, err
	}
	r, verdicts, err := newRun(set, o)
	if err != nil {
		return nil, err
	}
	for _, rule := range p {
		r.rule(rule)
	}
	if len(p) == 0 {
		for _, s := range r.items {
			s.keep(NoRules, "")
		}
	}
	r.protect(o.Now)
	if !o.Force {
		err = r.brake()
	}
	return verdicts, err
}

func newRun(set []Snapshot, o Options) (*run, []Verdict, error) {
	in := cmp.Or(o.Location, time.Local)
	r, verdicts := &run{}, make([]Verdict, len(set))
	for i := range set {
		s := &item{Snapshot: set[i]}
		switch {
		case s.Stored.IsZero():
			return nil, nil, fmt.Errorf("%w: seq %d", ErrNoTime, s.Seq)
		case s.Whole && s.Complete:
			s.quality = good
		case s.Whole:
			s.quality = partial
		}
		s.Time, s.Stored = s.Time.In(in), s.Stored.In(in)
		r.items = append(r.items, s)
	}
	slices.SortFunc(r.items, func(a, b *item) int { return cmp.Compare(b.Seq, a.Seq) })
	for i, s := range r.items {
		if i > 0 && r.items[i-1].Seq == s.Seq {
			return nil, nil, fmt.Errorf("%w: two snapshots have seq %d", ErrFork, s.Seq)
		}
		verdicts[i].Seq, s.verdict = s.Seq, &verdicts[i]
		for q := lacking; q <= s.quality; q++ {
			r.newest[q], r.oldest[q] = cmp.Or(r.newest[q], s), s
		}
	}
	return r, verdicts, nil
}

// protect keeps what no rule can remove.
func (r *run) protect(now time.Time) {
	for q, why := range []string{Head, Whole, Complete} {
		if s := r.newest[q]; s != nil && (q == 0 || s != r.newest[q-1]) {
			s.keep(why, "")
		}
	}
	for _, s := range r.items {
		if s.Pinned {
			s.keep(Pinned, "")
		}
		if now.Sub(s.Stored) < MinAge {
			s.keep(Young, "")
		}
	}
}

func (r *run) rule(rule Rule) {
	name, kept := rule.Name(), map[*item]bool{}
	keep := func(s *item, detail string) {
		if !kept[s] {
			kept[s], s.ruled = true, true
			s.keep(name, detail)
		}
	}
	switch {
	case len(rule.Tags) > 0:
		r.tagged(rule, keep)
	case rule.Within != 0:
		r.within(rule, keep)
	case rule.Count == 0:
	case rule.Every == Each:
		r.last(rule.Count, keep)
	default:
		r.buckets(rule.Every, rule.Count, keep)
	}
}

// buckets keeps one of each bucket, and the oldest where there are fewer than n.
func (r *run) buckets(every Period, n int, keep func(*item, string)) {
	for q, full := range fill(r.items, every, n, keep) {
		if s := r.oldest[q]; s != nil && !full {
			keep(s, oldest)
		}
	}
}

func (r *run) tagged(rule Rule, keep func(*item, string)) {
	for _, s := range r.items {
		lacks := func(tag string) bool { return !slices.Contains(s.Tags, tag) }
		switch {
		case !slices.ContainsFunc(rule.Tags, lacks):
			keep(s, rule.Value())
		case s.Unnamed:
			keep(s, rule.Value()+" (or not: names of its tags are not known here)")
		}
	}
}

// within measures from the newest as good as the snapshot, not from now: a host that is off
// loses nothing.
func (r *run) within(rule Rule, keep func(*item, string)) {
	span := rule.Value()
	young := func(s *item, bucket string) {
		newest := r.newest[s.quality]
		if newest.Time.Sub(s.Time) > rule.Within &&
			newest.Stored.Sub(s.Stored) > rule.Within {
			return
		}
		if bucket != "" {
			bucket = " " + bucket
		}
		keep(s, span+bucket)
	}
	if rule.Every == Each {
		for _, s := range r.items {
			young(s, "")
		}
		return
	}
	r.buckets(rule.Every, Unlimited, young)
}

// last keeps the n newest. Only of them a flood could push out what is older, so the newest of
// each of n hours is kept as well.
func (r *run) last(n int, keep func(*item, string)) {
	var count [good + 1]int // snapshots at least as good
	for _, s := range r.items {
		if n < 0 || count[s.quality] < n {
			keep(s, "")
		}
		for q := lacking; q <= s.quality; q++ {
			count[q]++
		}
	}
	fill(r.items, Hour, n, keep)
}

// brake stops a policy that is a mistake, or that somebody has turned against its owner.
func (r *run) brake() error {
	kept, ruled := 0, false
	for _, s := range r.items {
		if s.verdict.Keep() {
			kept++
		}
		ruled = ruled || s.ruled
	}
	all := len(r.items)
	what := fmt.Sprintf("%d of %d snapshots", all-kept, all)
	switch {
	case kept == all:
		return nil
	case !ruled:
		return fmt.Errorf("%w: %s, since no rule keeps any", ErrTooMuch, what)
	case kept == 1:
		return fmt.Errorf("%w: %s, all but the newest", ErrTooMuch, what)
	}
	// Either clock may be the wrong one, and put all snapshots on one day.
	for _, clock := range []func(*item) time.Time{
		func(s *item) time.Time { return s.Time },
		func(s *item) time.Time { return s.Stored },
	} {
		days, left := map[string]bool{}, map[string]bool{}
		for _, s := range r.items {
			at := Day.label(clock(s))
			days[at] = true
			if s.verdict.Keep() {
				left[at] = true
			}
		}
		if gone := len(days) - len(left); gone*100 > len(days)*MaxShare {
			return fmt.Errorf("%w: %s, so that nothing is left of %d of %d days (more than "+
				"%d %%)", ErrTooMuch, what, gone, len(days), MaxShare)
		}
	}
	return nil
}
