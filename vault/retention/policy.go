package retention

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Policy is a list of rules. A snapshot that any of them keeps is kept. A policy without
// rules keeps everything.
type Policy []Rule

// Rule keeps snapshots by number, by age or by tags: Tags if there are any, else Within if it
// is not 0, else Count.
type Rule struct {
	// Every is the length of the buckets, of each of which the newest snapshot is kept; Each
	// for rules without buckets.
	Every Period
	// Count is the number of buckets, or of snapshots if there are none. 0 keeps nothing.
	Count int
	// Within is how much older than the newest snapshot others may be.
	Within time.Duration
	// Tags are names, all of which a snapshot must have.
	Tags []string
}

// Unlimited is the Count that has no end.
const Unlimited = -1

// Periods of the calendar.
const (
	Each Period = iota // each snapshot for itself
	Hour
	Day
	Week // from Monday, ISO 8601
	Month
	Quarter
	Year
)

// Period is the length of buckets.
type Period int

var periodNames = [...]string{"last", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly"}

// ErrKeepsNothing is returned for a policy whose rules are all 0. It is never meant: to keep
// everything, remove the rules; to keep nothing, remove the set.
var ErrKeepsNothing = errors.New("every number of the policy is 0, so it would keep nothing; " +
	"without any rule everything is kept")

// Names are the rules that [ParseRule] knows: last, hourly to yearly, within, within-hourly to
// within-yearly, and tag. Options put keep- before them, and so does the configuration, which
// writes _ for -.
func Names() []string {
	names := slices.Clone(periodNames[:])
	names = append(names, "within")
	for _, p := range periodNames[Hour:] {
		names = append(names, "within-"+p)
	}
	return append(names, "tag")
}

// ParseRule reads a rule by its name, one of [Names]. The value is a number (7; -1, all or
// unlimited for no end), a time as [ParseSpan] reads it (30d), or tags with commas
// between (release,home). Errors say what to write instead, but not the name.
func ParseRule(name, value string) (Rule, error) {
	if name == "tag" {
		tags := strings.Split(value, ",")
		if slices.Contains(tags, "") {
			return Rule{}, fmt.Errorf("%q has an empty tag; write it like release or "+
				"release,home", value)
		}
		return Rule{Tags: tags}, nil
	}
	kind, within := strings.CutPrefix(name, "within")
	kind = strings.TrimPrefix(kind, "-")
	every := Each
	if !within || kind != "" {
		i := slices.Index(periodNames[:], kind)
		if i < 0 || within && i == int(Each) {
			return Rule{}, fmt.Errorf("no rule is called %q", name)
		}
		every = Period(i)
	}
	if within {
		d, err := ParseSpan(value)
		return Rule{Every: every, Within: d}, err
	}
	n, err := parseCount(value)
	return Rule{Every: every, Count: n}, err
}

func parseCount(s string) (int, error) {
	switch s {
	case "-1", "all", "unlimited":
		return Unlimited, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a number of snapshots; write 0, 1, 2... or unlimited", s)
	}
	return n, nil
}

// Name is the rule's name, as in [Names].
func (r Rule) Name() string {
	switch {
	case len(r.Tags) > 0:
		return "tag"
	case r.Within == 0:
		return periodNames[r.Every]
	case r.Every == Each:
		return "within"
	}
	return "within-" + periodNames[r.Every]
}

// Value is the rest of the rule, as [ParseRule] reads it.
func (r Rule) Value() string {
	switch {
	case len(r.Tags) > 0:
		return strings.Join(r.Tags, ",")
	case r.Within != 0:
		return FormatSpan(r.Within)
	case r.Count < 0:
		return "unlimited"
	}
	return strconv.Itoa(r.Count)
}

// Check returns [ErrKeepsNothing] if there are rules and none of them can keep anything.
func (p Policy) Check() error {
	for _, r := range p {
		if r.Count != 0 || r.Within != 0 || len(r.Tags) > 0 {
			return nil
		}
	}
	if len(p) > 0 {
		return ErrKeepsNothing
	}
	return nil
}
