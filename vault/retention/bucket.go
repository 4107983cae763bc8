package retention

import (
	"fmt"
	"time"
)

// label names the bucket in which a moment lies, in the moment's location.
func (p Period) label(t time.Time) string {
	switch p {
	case Hour:
		// The offset tells the two hours apart that have one name when summer time ends.
		return t.Format("2006-01-02 15:00Z07:00")
	case Day:
		return t.Format("2006-01-02")
	case Week:
		year, week := t.ISOWeek()
		return fmt.Sprintf("%d-W%02d", year, week)
	case Month:
		return t.Format("2006-01")
	case Quarter:
		return fmt.Sprintf("%d-Q%d", t.Year(), (int(t.Month())+2)/3)
	case Year:
		return t.Format("2006")
	}
	panic(fmt.Sprintf("internal error: buckets of period %d", p))
}

// place is where a snapshot lies.
type place struct {
	bucket string // whoever has the same shares it
	counts string // the period that it takes of those that a rule counts
}

// place finds the bucket of a snapshot. If its clocks contradict each other it takes both to
// share one, and the store's decides what is counted, since nobody can turn that on.
func (p Period) place(s *item) place {
	claimed := p.label(s.Time)
	if !s.doubtful() {
		return place{claimed, claimed}
	}
	stored := p.label(s.Stored)
	return place{claimed + " (stored " + stored + ")", stored}
}

// doubtful reports whether the two clocks contradict each other.
func (s *item) doubtful() bool { return s.Stored.Sub(s.Time).Abs() > ClockError }

// fill goes through snapshots, newest first, and keeps the newest of each of the n newest
// buckets; of all if n < 0. Better ones are counted as if there were no worse ones. It reports
// for each quality whether those at least as good have filled the n buckets.
func fill(list []*item, every Period, n int, keep func(*item, string)) (full [good + 1]bool) {
	best := map[string]quality{}
	places := make([]place, len(list))
	for i, s := range list {
		places[i] = every.place(s)
		best[places[i].bucket] = max(best[places[i].bucket], s.quality)
	}
	for least := lacking; least <= good; least++ {
		seen, counted := map[string]bool{}, map[string]bool{}
		for i, s := range list {
			at := places[i]
			if s.quality < least || seen[at.bucket] {
				continue
			}
			// A bucket counts from its newest member on, kept or not. If it counted from the
			// one that is kept, it would move when the others are removed, and the next run
			// would remove more.
			seen[at.bucket] = true
			if !counted[at.counts] {
				if n >= 0 && len(counted) >= n {
					continue
				}
				counted[at.counts] = true
			}
			if s.quality == least && best[at.bucket] == least {
				keep(s, at.bucket)
			}
		}
		full[least] = n >= 0 && len(counted) >= n
	}
	return full
}
