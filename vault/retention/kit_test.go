package retention

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // tests name places, also where the system knows none
)

// rules reads a policy such as "daily 7 within 30d".
func rules(t testing.TB, text string) (p Policy) {
	t.Helper()
	words := strings.Fields(text)
	for i := 0; i < len(words); i += 2 {
		r, err := ParseRule(words[i], words[i+1])
		if err != nil {
			t.Fatal(err)
		}
		p = append(p, r)
	}
	return p
}

func locate(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// at is a moment in a place, written like "2026-11-28 14:00".
func at(t testing.TB, in *time.Location, text string) time.Time {
	t.Helper()
	m, err := time.ParseInLocation("2006-01-02 15:04", text, in)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// chain is one good snapshot for each moment, stored when it says.
func chain(moments ...time.Time) (set []Snapshot) {
	for i, m := range moments {
		set = append(set, Snapshot{Seq: uint64(i + 1), Time: m, Stored: m, Complete: true, Whole: true})
	}
	return set
}

// steps is one good snapshot each step, n of them, the last one at end.
func steps(end time.Time, step time.Duration, n int) []Snapshot {
	var moments []time.Time
	for i := range n {
		moments = append(moments, end.Add(-step*time.Duration(n-1-i)))
	}
	return chain(moments...)
}

// last is when the newest was stored.
func last(set []Snapshot) (t time.Time) {
	for i := range set {
		if set[i].Stored.After(t) {
			t = set[i].Stored
		}
	}
	return t
}

// much is an age at which nothing is protected for being young.
const much = 30 * 24 * time.Hour

// apply judges past the brakes, long after.
func apply(t testing.TB, p Policy, set []Snapshot, in *time.Location) []Verdict {
	t.Helper()
	out, err := p.Apply(set, Options{Now: last(set).Add(much), Location: in, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// kept are the seqs that stay, rising.
func kept(list []Verdict) (seqs []uint64) {
	for i := range list {
		if list[i].Keep() {
			seqs = append(seqs, list[i].Seq)
		}
	}
	slices.Sort(seqs)
	return seqs
}

// byRules are the seqs that some rule keeps, rising.
func byRules(list []Verdict) (seqs []uint64) {
	for i := range list {
		if slices.ContainsFunc(list[i].Reasons, func(r Reason) bool {
			return slices.Contains(Names(), r.Rule)
		}) {
			seqs = append(seqs, list[i].Seq)
		}
	}
	slices.Sort(seqs)
	return seqs
}

// missing are those of a that b lacks.
func missing(a, b []uint64) (out []uint64) {
	for _, s := range a {
		if !slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}

func only(set []Snapshot, seqs []uint64) (out []Snapshot) {
	for i := range set {
		if slices.Contains(seqs, set[i].Seq) {
			out = append(out, set[i])
		}
	}
	return out
}

// show is a set as a failed test prints it.
func show(set []Snapshot, list []Verdict) string {
	var b strings.Builder
	why := map[uint64][]Reason{}
	for i := range list {
		why[list[i].Seq] = list[i].Reasons
	}
	for i := range set {
		s := &set[i]
		fmt.Fprintf(&b, "%4d %s stored %s complete %-5t whole %-5t pinned %-5t %v: %v\n", s.Seq,
			s.Time.Format(time.DateTime), s.Stored.Format(time.DateTime), s.Complete, s.Whole, s.Pinned, s.Tags, why[s.Seq])
	}
	return b.String()
}

var places = []string{"UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"}

// someHistory is a chain with whatever happens to clocks, stores and hosts.
func someHistory(rng *rand.Rand, n int) (set []Snapshot) {
	now := time.Date(2025, time.Month(1+rng.IntN(12)), 1+rng.IntN(28), rng.IntN(24), rng.IntN(60), 0, 0, time.UTC)
	seq, step, wrong := uint64(0), someStep(rng), time.Duration(0)
	frozen := time.Time{}
	for range n {
		switch rng.IntN(15) {
		case 0:
			step = someStep(rng)
		case 1:
			wrong = time.Duration(rng.Int64N(int64(800*day))) - 400*day
		case 2:
			wrong = time.Duration(rng.Int64N(int64(6*time.Hour))) - 3*time.Hour
		case 3:
			frozen = time.Unix(rng.Int64N(1e5), 0)
		case 4, 5, 6:
			wrong, frozen = 0, time.Time{}
		}
		now = now.Add(step + time.Duration(rng.Int64N(int64(step)/4+1)))
		seq += 1 + uint64(rng.IntN(8)/7)
		s := Snapshot{Seq: seq, Time: now.Add(wrong), Stored: now, Complete: rng.IntN(4) > 0, Whole: rng.IntN(5) > 0, Pinned: rng.IntN(30) == 0, Unnamed: rng.IntN(40) == 0}
		if !frozen.IsZero() {
			s.Time = frozen
		}
		for _, tag := range []string{"a", "b"} {
			if rng.IntN(6) == 0 {
				s.Tags = append(s.Tags, tag)
			}
		}
		set = append(set, s)
	}
	if rng.IntN(4) == 0 { // a copy: what it had then was stored at once, in any order
		till := rng.IntN(n)
		for i := range till {
			set[i].Stored = set[till].Stored.Add(-time.Duration(rng.IntN(3600)) * time.Second)
		}
	}
	return set
}

func someStep(rng *rand.Rand) time.Duration {
	return []time.Duration{5 * time.Second, 20 * time.Minute, time.Hour, 7 * time.Hour, day, 3 * day, 20 * day}[rng.IntN(7)]
}

// somePolicy has at least one rule that can keep something.
func somePolicy(rng *rand.Rand) Policy {
	for {
		var p Policy
		for range 1 + rng.IntN(4) {
			p = append(p, someRule(rng))
		}
		if p.Check() == nil {
			return p
		}
	}
}

func someRule(rng *rand.Rand) Rule {
	every := Period(rng.IntN(len(periodNames)))
	switch rng.IntN(8) {
	case 0:
		return Rule{Tags: [][]string{{"a"}, {"b"}, {"a", "b"}}[rng.IntN(3)]}
	case 1, 2, 3:
		return Rule{Every: every, Within: time.Duration(1+rng.IntN(24*60)) * time.Hour}
	}
	return Rule{Every: every, Count: rng.IntN(8) - 1}
}
