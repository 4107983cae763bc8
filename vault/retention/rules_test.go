package retention

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Each case has snapshots as they are stored, and what keeps each of them.
func TestApply_Buckets(t *testing.T) {
	for _, c := range []struct{ name, in, p, moments, want string }{
		{"newest of a day", "UTC", "daily 1", "2026-11-27 08:00, 2026-11-28 08:00, 2026-11-28 20:00", "-|-|daily 2026-11-28"},
		{"oldest while there are fewer", "UTC", "yearly 2", "2026-01-01 08:00, 2026-05-28 08:00, 2026-11-28 20:00", "yearly (oldest)|-|yearly 2026"},
		{"no oldest when full", "UTC", "yearly 1", "2026-01-01 08:00, 2026-05-28 08:00, 2026-11-28 20:00", "-|-|yearly 2026"},
		{"gaps cost nothing", "UTC", "daily 2", "2025-01-01 08:00, 2026-05-28 08:00, 2026-11-28 20:00", "-|daily 2026-05-28|daily 2026-11-28"},
		{"the place's days", "Pacific/Apia", "daily unlimited", "2026-11-27 23:59, 2026-11-28 00:00, 2026-11-28 20:00", "daily 2026-11-27|-|daily 2026-11-28"},
		{"week 53", "UTC", "weekly 2", "2026-12-27 12:00, 2026-12-28 12:00, 2027-01-03 12:00, 2027-01-04 12:00", "-|-|weekly 2026-W53|weekly 2027-W01"},
		{"a week of the next year", "UTC", "weekly 2", "2024-12-29 12:00, 2024-12-30 12:00, 2025-01-05 12:00", "weekly 2024-W52|-|weekly 2025-W01"},
		{"quarters", "UTC", "quarterly 2", "2026-06-30 12:00, 2026-07-01 12:00, 2026-09-30 12:00, 2026-10-01 12:00", "-|-|quarterly 2026-Q3|quarterly 2026-Q4"},
		{"leap day", "UTC", "monthly 2", "2028-02-01 12:00, 2028-02-29 12:00, 2028-03-01 12:00", "-|monthly 2028-02|monthly 2028-03"},
		{"summer time begins", "Europe/Berlin", "hourly 2", "2026-03-29 01:10, 2026-03-29 01:50, 2026-03-29 03:10", "-|hourly 2026-03-29 01:00+01:00|hourly 2026-03-29 03:00+02:00"},
		{"a day of 23 hours", "Europe/Berlin", "daily 2", "2026-03-28 23:50, 2026-03-29 00:10, 2026-03-29 23:50", "daily 2026-03-28|-|daily 2026-03-29"},
		{"a day of 25 hours", "Europe/Berlin", "daily 2", "2026-10-24 23:50, 2026-10-25 00:10, 2026-10-25 23:50", "daily 2026-10-24|-|daily 2026-10-25"},
		{"within", "UTC", "within 2d", "2026-11-25 19:59, 2026-11-26 20:00, 2026-11-28 20:00", "-|within 2d|within 2d"},
		{"within-daily", "UTC", "within-daily 2d", "2026-11-25 19:59, 2026-11-27 08:00, 2026-11-27 20:00, 2026-11-28 20:00", "-|-|within-daily 2d 2026-11-27|within-daily 2d 2026-11-28"},
		{"last", "UTC", "last 2", "2026-11-25 19:59, 2026-11-26 20:00, 2026-11-28 20:00", "-|last|last"},
		{"ORed", "UTC", "last 1 daily 1", "2026-11-25 19:59, 2026-11-28 20:00", "-|last; daily 2026-11-28"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := locate(t, c.in)
			var moments []time.Time
			for m := range strings.SplitSeq(c.moments, ", ") {
				moments = append(moments, at(t, in, m))
			}
			set := chain(moments...)
			c.want += "; newest"
			if got := reasons(apply(t, rules(t, c.p), set, in)); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// The hour that comes twice when summer time ends is two hours.
func TestApply_HourTwice(t *testing.T) {
	in := locate(t, "Europe/Berlin")
	first := time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC)
	out := apply(t, rules(t, "hourly 2"), chain(first.Add(-time.Hour), first, first.Add(time.Hour)), in)
	want := "-|hourly 2026-10-25 02:00+02:00|hourly 2026-10-25 02:00+01:00; newest"
	if got := reasons(out); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// reasons are those of all snapshots, the oldest first.
func reasons(list []Verdict) string {
	var all []string
	for i := len(list) - 1; i >= 0; i-- {
		var each []string
		for _, r := range list[i].Reasons {
			each = append(each, r.String())
		}
		all = append(all, strings.Join(append(each, map[bool][]string{true: {"-"}}[each == nil]...), "; "))
	}
	return strings.Join(all, "|")
}

func TestApply_WorseFillOnlyEmptyBuckets(t *testing.T) {
	set := steps(at(t, time.UTC, "2026-11-28 20:00"), 12*time.Hour, 8) // 8:00 and 20:00
	set[7].Complete = false                                            // 28th, 20:00: the 28th has a better one
	set[4].Whole, set[5].Complete = false, false                       // 27th: none is good
	got := reasons(apply(t, rules(t, "daily 2"), set, time.UTC))
	want := "-|-|-|daily 2026-11-26|-|daily 2026-11-27|daily 2026-11-28; newest complete|newest"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A mirror that was behind for a month has the newest a month after the one before it.
func TestApply_WithinByEitherClock(t *testing.T) {
	set := steps(at(t, time.UTC, "2026-11-28 20:00"), 2*day, 3)
	set[2].Stored = set[2].Stored.Add(30 * day)
	got := reasons(apply(t, rules(t, "within 3d"), set, time.UTC))
	if want := "-|within 3d|within 3d; newest"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestApply_Tags(t *testing.T) {
	set := steps(at(t, time.UTC, "2026-11-28 20:00"), day, 5)
	set[0].Tags, set[1].Tags, set[2].Tags, set[3].Unnamed = []string{"a", "b"}, []string{"a"}, []string{"c"}, true
	got := reasons(apply(t, rules(t, "tag b,a tag c"), set, time.UTC))
	want := "tag b,a|-|tag c|tag b,a (or not: names of its tags are not known here); tag c (or not: names of its tags are not known here)|newest"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestApply_Brakes(t *testing.T) {
	end := at(t, time.UTC, "2026-11-28 20:00")
	copied := steps(end, day, 40)
	for i := range copied {
		copied[i].Stored = end.Add(time.Duration(i) * time.Minute)
	}
	copied[0].Tags = []string{"a"}
	frozen := steps(end, day, 40)
	for i := range frozen {
		frozen[i].Time = time.Unix(0, 0)
	}
	for _, c := range []struct {
		name, p string
		set     []Snapshot
		want    string // "" goes
	}{
		{"all but the head", "last 1", steps(end, day, 2), "1 of 2 snapshots, all but the newest"},
		{"no rule keeps any", "tag x", steps(end, day, 9), "8 of 9 snapshots, since no rule keeps any"},
		{"all but a tenth", "daily 4", steps(end, day, 40), "36 of 40 snapshots, so that nothing is left of 36 of 40 days (more than 75 %)"},
		{"a copied store", "within 4d", copied, ""}, // its clock keeps them
		{"tags in a copied store", "tag a", copied, "nothing is left of 38 of 40 days"},
		{"a quarter stays", "daily 10", steps(end, day, 40), ""},
		{"a dead clock", "daily 4", frozen, "nothing is left of 36 of 40 days"},
		{"thinning of one day", "last 1 daily 2", steps(end, time.Minute, 900), ""},
		{"one snapshot", "tag x", steps(end, day, 1), ""},
		{"nothing to do", "last 9", steps(end, day, 9), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Now: end.Add(much), Location: time.UTC}
			out, err := rules(t, c.p).Apply(c.set, o)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, ErrTooMuch) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if len(out) != len(c.set) {
				t.Errorf("%d verdicts of %d are shown", len(out), len(c.set))
			}
			o.Force = true
			if _, err := rules(t, c.p).Apply(c.set, o); err != nil {
				t.Errorf("forced: %v", err)
			}
		})
	}
}

func TestApply_Refuses(t *testing.T) {
	end := at(t, time.UTC, "2026-11-28 20:00")
	fork, noTime := steps(end, day, 9), steps(end, day, 9)
	fork[3].Seq, noTime[3].Stored = 5, time.Time{}
	for _, c := range []struct {
		p    string
		set  []Snapshot
		want error
	}{
		{"last 0 daily 0", steps(end, day, 9), ErrKeepsNothing},
		{"last 0 daily 9", steps(end, day, 9), nil},
		{"daily 9", fork, ErrFork},
		{"daily 9", noTime, ErrNoTime},
	} {
		out, err := rules(t, c.p).Apply(c.set, Options{Now: end, Location: time.UTC, Force: true})
		if !errors.Is(err, c.want) || c.want != nil && out != nil {
			t.Errorf("%s: %v with %d verdicts, want %v", c.p, err, len(out), c.want)
		}
	}
}

func TestApply_WithoutRules(t *testing.T) {
	set := steps(at(t, time.UTC, "2026-11-28 20:00"), day, 3)
	got := reasons(apply(t, nil, set, time.UTC))
	if want := "no rules|no rules|no rules; newest"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseRule(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"last", "5", "last 5"},
		{"yearly", "0", "yearly 0"},
		{"daily", "-1", "daily unlimited"},
		{"daily", "all", "daily unlimited"},
		{"within", "1y6mo", "within 552d"},
		{"within", "2w", "within 14d"},
		{"within-quarterly", "36h", "within-quarterly 1d12h"},
		{"tag", "a,b", "tag a,b"},
		{"tag", "a,", `"a," has an empty tag`},
		{"daily", "-2", `"-2" is not a number of snapshots; write 0, 1, 2... or unlimited`},
		{"daily", "7d", "is not a number"},
		{"within", "6m", `"6m": m may be minutes or months; write months as mo, like 6mo`},
		{"within", "0d", "is not a time"},
		{"within", "", "is not a time"},
		{"within", "7", "is not a time"},
		{"within", "7d3", "is not a time"},
		{"within", "-7d", "is not a time"},
		{"within", "100y", "within 36600d"},
		{"within", "100y1h", "is more than a hundred years"},
		{"within", "2000000000y", "is more than a hundred years"},
		{"within-last", "7d", `no rule is called "within-last"`},
		{"weakly", "7", `no rule is called "weakly"`},
	} {
		r, err := ParseRule(c.name, c.value)
		got := r.Name() + " " + r.Value()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s %s: %s, want %s", c.name, c.value, got, c.want)
		}
	}
	for _, name := range Names() {
		value := map[bool]string{true: "30d", false: "7"}[strings.HasPrefix(name, "within")]
		if r, err := ParseRule(name, value); err != nil || r.Name() != name || r.Value() != value {
			t.Errorf("%s %s becomes %v, %v", name, value, r, err)
		}
	}
}
