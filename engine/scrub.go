package engine

import (
	"iter"
	"sync"
	"time"

	"vaultik/engine/checked"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/vault/layout"
	"vaultik/vault/plan"
	"vaultik/vault/retention"
)

// scrubRhythm is how long the next run is away, at least; and how long ago the one before the
// first is taken to have been.
const scrubRhythm = 24 * time.Hour

// scrubbing is a check that reads what is due, and remembers it.
type scrubbing struct {
	log    *checked.Log
	period time.Duration
	now    time.Time
	inv    *plan.Inventory // nil: not yet known

	mu   sync.Mutex
	done []bool // by object: read now
	ev   events.Scrubbed
}

// checkedFile is where a machine remembers what it has checked of a store.
func (j *job) checkedFile(kind string, id layout.StoreID) string {
	return j.state.Path(kind + "-" + id.String())
}

// scrubs begins a check that reads what is due. Close its log.
func (j *job) scrubs(op *opened, period time.Duration) (*scrubbing, error) {
	log, err := checked.Load(j.checkedFile("scrub", op.Store.Doc.Store))
	if err != nil {
		return nil, err
	}
	return &scrubbing{log: log, period: period, now: time.Now()}, nil
}

// marks are those of all objects.
func marks(inv *plan.Inventory) iter.Seq[checked.Mark] {
	return func(yield func(checked.Mark) bool) {
		for i := range inv.Len() {
			if !yield(checked.MarkOf(inv.Sum(i))) {
				return
			}
		}
	}
}

// choose chooses what is due. Between two runs nothing is read, so that each has to read as much
// as leaves nothing over the period until the next one, if that comes as this one did.
func (s *scrubbing) choose(inv *plan.Inventory) (plan.Choice, error) {
	s.inv, s.done = inv, make([]bool, inv.Len())
	since, last := s.log.Since(), s.log.Last()
	if since.IsZero() || since.After(s.now) {
		since = s.now.Add(-scrubRhythm)
	}
	if last.IsZero() || last.After(s.now) {
		last = s.now.Add(-scrubRhythm)
	}
	if err := s.log.Begin(since, marks(inv)); err != nil {
		return nil, fault.WithHint(err, "a scrub remembers what it has read; without that: "+
			"vaultik verify --read-data-subset 1/30")
	}
	rhythm := min(max(s.now.Sub(last), scrubRhythm), s.period/2)
	return inv.Due(func(i int) time.Duration {
		at, read := s.readAt(i)
		if !read && at.Before(since) { // as if it had been read when all began
			at = since
		}
		return s.now.Sub(at)
	}, s.period-rhythm), nil
}

// readAt is when an object was read before this run, or else when it was stored.
func (s *scrubbing) readAt(i int) (at time.Time, read bool) {
	stored := time.Unix(int64(s.inv.At(i).Stored), 0)
	if stored.After(s.now) {
		stored = s.now
	}
	at, read = s.log.At(checked.MarkOf(s.inv.Sum(i)))
	if !read || at.After(s.now) { // the clock was put back
		return stored, false
	}
	return at, true
}

// checked notes that an object was read. It is called from several goroutines.
func (s *scrubbing) checked(i int) error {
	s.mu.Lock()
	s.done[i] = true
	s.ev.Objects++
	s.ev.Bytes += s.inv.At(i).Size
	s.mu.Unlock()
	return s.log.Note(checked.MarkOf(s.inv.Sum(i)), s.now)
}

// finish notes that all was read that was due, if so.
func (s *scrubbing) finish(whole bool) error {
	if !whole {
		return nil
	}
	return s.log.Finish(s.now)
}

// event says how much was read, and how long ago the rest was.
func (s *scrubbing) event() events.Scrubbed {
	s.mu.Lock()
	defer s.mu.Unlock()
	ev := s.ev
	ev.Type, ev.Period, ev.Oldest = "scrubbed", s.period.Seconds(), s.now
	ev.Within = retention.FormatSpan(s.period)
	for i := range s.inv.Len() {
		size, at := s.inv.At(i).Size, s.now
		if !s.done[i] {
			at, _ = s.readAt(i)
		}
		ev.Total += size
		if s.now.Sub(at) <= s.period {
			ev.Recent += size
		}
		if at.Before(ev.Oldest) {
			ev.Oldest = at
		}
	}
	ev.Oldest = ev.Oldest.UTC().Truncate(time.Second)
	return ev
}
