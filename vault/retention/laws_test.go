package retention

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"vaultik/internal/testsize"
)

// A case of the laws: what happened, what is asked for, where.
type trial struct {
	rng *rand.Rand
	set []Snapshot
	p   Policy
	o   Options
}

// laws tries one law on many random cases.
func laws(t *testing.T, law func(t *testing.T, c trial)) {
	t.Parallel()
	for seed := range testsize.Seeds(t, 1500) {
		rng := rand.New(rand.NewPCG(seed, 17))
		c := trial{rng: rng, set: someHistory(rng, 1+rng.IntN(60)), p: somePolicy(rng)}
		age := []time.Duration{0, 20 * time.Hour, much}[rng.IntN(3)]
		c.o = Options{Now: last(c.set).Add(age), Location: locate(t, places[rng.IntN(len(places))]), Force: true}
		law(t, c)
		if t.Failed() {
			t.Logf("%v in %v", c.p, c.o.Location)
			return
		}
	}
}

func (c trial) judge(t *testing.T, p Policy, set []Snapshot) []Verdict {
	t.Helper()
	out, err := p.Apply(set, c.o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Whatever the rules and the clocks say, these stay.
func TestLaw_NeverRemoved(t *testing.T) {
	laws(t, func(t *testing.T, c trial) {
		out := c.judge(t, c.p, c.set)
		var whole, complete uint64
		need := []uint64{c.set[len(c.set)-1].Seq}
		for _, s := range c.set {
			if s.Whole {
				whole = s.Seq
			}
			if s.Whole && s.Complete {
				complete = s.Seq
			}
			if s.Pinned || c.o.Now.Sub(s.Stored) < 24*time.Hour {
				need = append(need, s.Seq)
			}
		}
		for _, seq := range []uint64{whole, complete} {
			if seq > 0 {
				need = append(need, seq)
			}
		}
		if lost := missing(need, kept(out)); lost != nil {
			t.Errorf("removes %v:\n%s", lost, show(c.set, out))
		}
	})
}

func TestLaw_OrderOfInput(t *testing.T) {
	laws(t, func(t *testing.T, c trial) {
		out := c.judge(t, c.p, c.set)
		mixed := slices.Clone(c.set)
		c.rng.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		again := c.judge(t, c.p, mixed)
		if a, b := show(c.set, out), show(c.set, again); a != b {
			t.Errorf("in order:\n%smixed:\n%s", a, b)
		}
	})
}

// What one run keeps, the next keeps too.
func TestLaw_Idempotent(t *testing.T) {
	laws(t, func(t *testing.T, c trial) {
		out := c.judge(t, c.p, c.set)
		left := only(c.set, kept(out))
		again := c.judge(t, c.p, left)
		if lost := missing(kept(out), kept(again)); lost != nil {
			t.Errorf("the second run removes %v:\n%sthen\n%s", lost, show(c.set, out), show(left, again))
		}
	})
}

// More is never less.
func TestLaw_Monotone(t *testing.T) {
	laws(t, func(t *testing.T, c trial) {
		more := slices.Clone(c.p)
		i := c.rng.IntN(len(more))
		switch r := &more[i]; {
		case len(r.Tags) > 0:
			r.Tags = r.Tags[:1]
		case r.Within > 0:
			r.Within += time.Duration(1+c.rng.IntN(900)) * time.Hour
		case r.Count >= 0 && c.rng.IntN(4) == 0:
			r.Count = Unlimited
		case r.Count >= 0:
			r.Count++
		}
		out, wide := c.judge(t, c.p, c.set), c.judge(t, more, c.set)
		if lost := missing(kept(out), kept(wide)); lost != nil {
			t.Errorf("%v removes %v:\n%s%s", more[i], lost, show(c.set, out), show(c.set, wide))
		}
	})
}

// Rules are ORed: each keeps what it keeps alone.
func TestLaw_Or(t *testing.T) {
	laws(t, func(t *testing.T, c trial) {
		var each []uint64
		for _, r := range c.p {
			if (Policy{r}).Check() == nil {
				each = append(each, byRules(c.judge(t, Policy{r}, c.set))...)
			}
		}
		slices.Sort(each)
		each = slices.Compact(each)
		out := c.judge(t, c.p, c.set)
		if !slices.Equal(each, byRules(out)) {
			t.Errorf("each alone keeps %v:\n%s", each, show(c.set, out))
		}
	})
}

// One more snapshot removes none that is better than it is, however many there are of them.
func TestLaw_WorsePushOutNone(t *testing.T) {
	laws(t, func(t *testing.T, c trial) {
		s := Snapshot{Whole: c.rng.IntN(2) == 0}
		more := slices.Clone(c.set)
		for range 1 + c.rng.IntN(20) {
			head := more[len(more)-1]
			s.Seq, s.Stored = head.Seq+1, last(more).Add(someStep(c.rng))
			s.Time = s.Stored.Add(-time.Duration(c.rng.IntN(2)*c.rng.IntN(1000)) * time.Hour)
			more = append(more, s)
		}
		c.o.Now = last(more).Add(much)
		before, after := c.judge(t, c.p, c.set), c.judge(t, c.p, more)
		var better []uint64
		for _, o := range only(c.set, kept(before)) {
			if o.Whole && (o.Complete || !s.Whole) {
				better = append(better, o.Seq)
			}
		}
		if lost := missing(better, kept(after)); lost != nil {
			t.Errorf("%v are pushed out:\n%sthen\n%s", lost, show(c.set, before), show(more, after))
		}
	})
}

// One more snapshot, as good as any, takes at most one place of each rule: what is kept
// without it is kept with it by rules that ask for one more, unless it shares the bucket.
func TestLaw_OneMoreTakesOnePlace(t *testing.T) {
	laws(t, func(t *testing.T, c trial) {
		newest := last(c.set)
		s := Snapshot{Seq: c.set[len(c.set)-1].Seq + 1, Complete: true, Whole: true}
		s.Stored = newest.AddDate(1, 1, 0) // a bucket of its own, whatever the rule
		s.Time = s.Stored
		more := append(slices.Clone(c.set), s)
		wide := slices.Clone(c.p)
		for i := range wide {
			if wide[i].Within > 0 {
				wide[i].Within = 1e6 * time.Hour // that time goes by is another matter
			} else if wide[i].Count > 0 {
				wide[i].Count++
			}
		}
		c.o.Now = last(more).Add(much)
		before, after := c.judge(t, c.p, c.set), c.judge(t, wide, more)
		if lost := missing(byRules(before), kept(after)); lost != nil {
			t.Errorf("%v are pushed out:\n%sthen\n%s", lost, show(c.set, before), show(more, after))
		}
	})
}

// A flood, whatever times it claims, costs a rule no more places than the hours and days that
// it lasted.
func TestLaw_Flood(t *testing.T) {
	laws(t, func(t *testing.T, c trial) {
		for i := range c.set { // an honest host, once an hour or less
			c.set[i] = Snapshot{Seq: uint64(i + 1), Complete: true, Whole: true,
				Time: c.set[0].Stored.Add(time.Duration(i) * (time.Hour + someStep(c.rng)))}
			if i > 0 && c.set[i].Time.Sub(c.set[i-1].Time) < time.Hour {
				c.set[i].Time = c.set[i-1].Time.Add(time.Hour)
			}
			c.set[i].Stored = c.set[i].Time
		}
		then := last(c.set).AddDate(2, 0, 0)
		then = time.Date(then.Year(), 5, 13, 12, 30, 0, 0, c.o.Location) // no boundary is near
		more := slices.Clone(c.set)
		for i := range 1 + c.rng.IntN(300) {
			s := Snapshot{Seq: uint64(len(c.set) + 1 + i), Complete: true, Whole: true}
			s.Stored = then.Add(time.Duration(i) * time.Second)
			s.Time = s.Stored
			if back := time.Duration(c.rng.IntN(1500)) * 7 * time.Hour; c.rng.IntN(3) > 0 {
				s.Time = then.Add(-back)
			} else if c.rng.IntN(3) > 0 {
				s.Time = then.Add(back)
			}
			more = append(more, s)
		}
		wide := slices.Clone(c.p)
		for i := range wide {
			switch r := &wide[i]; {
			case r.Within > 0:
				r.Within += then.Sub(last(c.set)) + time.Hour
			case r.Count > 0 && r.Every <= Hour:
				r.Count += 3 // one for the hour, and two for the ClockError on both sides of it
			case r.Count > 0:
				r.Count++
			}
		}
		c.o.Now = last(more).Add(much)
		before, after := c.judge(t, c.p, c.set), c.judge(t, wide, more)
		if lost := missing(byRules(before), kept(after)); lost != nil {
			t.Errorf("%v are pushed out:\n%sthen\n%s", lost, show(c.set, before), show(more[:len(c.set)+5], after))
		}
	})
}

// Whatever the host's clock says, each of the newest n periods that the store has seen
// snapshots in keeps one; in a copy, where the store's clock says nothing, each of those that
// the host has.
func TestLaw_WrongClock(t *testing.T) {
	laws(t, func(t *testing.T, c trial) {
		copied := c.rng.IntN(2) == 0
		for i := range c.set {
			s := &c.set[i]
			s.Complete, s.Whole = true, true
			s.Time = s.Stored
			if i > 0 && !s.Time.After(c.set[i-1].Time) {
				s.Time = c.set[i-1].Time.Add(time.Second)
			}
			s.Stored = s.Time
		}
		honest := slices.Clone(c.set)
		copiedAt := last(c.set).AddDate(0, 1, 0)
		for i := range c.set {
			s := &c.set[i]
			switch {
			case copied:
				s.Stored = copiedAt.Add(time.Duration(c.rng.IntN(600)) * time.Second)
			case c.rng.IntN(3) == 0:
				s.Time = time.Unix(c.rng.Int64N(9e5), 0)
			case c.rng.IntN(3) == 0:
				s.Time = s.Time.Add(time.Duration(2+c.rng.IntN(20000)) * time.Hour)
			}
		}
		every := Period(1 + c.rng.IntN(int(Year)))
		p := Policy{{Every: every, Count: 1 + c.rng.IntN(9)}}
		out := c.judge(t, p, c.set)
		stay := kept(out)
		have := map[string]bool{}
		for _, s := range only(honest, stay) {
			have[every.label(s.Time.In(c.o.Location))] = true
		}
		want := map[string]bool{}
		for i := len(honest) - 1; i >= 0; i-- {
			name := every.label(honest[i].Time.In(c.o.Location))
			if !want[name] && len(want) == p[0].Count {
				break
			}
			want[name] = true
			if !have[name] {
				t.Errorf("%v keeps nothing of %s:\n%s", p, name, show(c.set, out))
			}
		}
	})
}

// Where all clocks are right and all snapshots good, the rules keep what restic's do: the
// newest of each of the newest n buckets, and the oldest of all while there are fewer.
func TestLaw_AsRestic(t *testing.T) {
	laws(t, func(t *testing.T, c trial) {
		for i := range c.set {
			c.set[i] = Snapshot{Seq: uint64(i + 1), Time: c.set[i].Stored, Stored: c.set[i].Stored, Complete: true, Whole: true}
		}
		slices.SortFunc(c.set, func(a, b Snapshot) int { return a.Stored.Compare(b.Stored) })
		for i := range c.set {
			c.set[i].Seq = uint64(i + 1)
		}
		rule := Rule{Every: Period(1 + c.rng.IntN(int(Year))), Count: 1 + c.rng.IntN(9)}
		var want []uint64
		left, before := rule.Count, [3]int{}
		for i := len(c.set) - 1; i >= 0 && left > 0; i-- {
			now := number(rule.Every, c.set[i].Time.In(c.o.Location))
			if now != before || i == 0 {
				want = append(want, c.set[i].Seq)
				left--
			}
			before = now
		}
		slices.Sort(want)
		if got := byRules(c.judge(t, Policy{rule}, c.set)); !slices.Equal(got, want) {
			t.Errorf("%v keeps %v, want %v:\n%s", rule, got, want, show(c.set, c.judge(t, Policy{rule}, c.set)))
		}
	})
}

// number tells buckets apart without their names. No hour of these histories comes twice.
func number(every Period, t time.Time) [3]int {
	switch every {
	case Hour:
		return [3]int{t.Year(), t.YearDay(), 1 + t.Hour()}
	case Day:
		return [3]int{t.Year(), t.YearDay()}
	case Week:
		year, week := t.ISOWeek()
		return [3]int{year, week}
	case Month:
		return [3]int{t.Year(), int(t.Month())}
	case Quarter:
		return [3]int{t.Year(), 1 + (int(t.Month())-1)/3}
	}
	return [3]int{t.Year()}
}
