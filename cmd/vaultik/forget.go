package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/words"
)

type forgetCmd struct {
	pick
	keepFlags
	DryRun bool `name:"dry-run" short:"n" help:"Change nothing; show what would be removed."`
	Prune  bool `help:"Give back the space of what nothing needs any more, as vaultik prune does."`
	Force  bool `help:"Remove what a policy says even if that is almost everything."`
}

// keepFlags are the rules of a policy.
type keepFlags struct {
	KeepLast      *string  `help:"Keep the last N; N may be unlimited, here and below." placeholder:"N"`
	KeepHourly    *string  `help:"Keep the newest of each of the last N hours that have any." placeholder:"N"`
	KeepDaily     *string  `help:"The same for days." placeholder:"N"`
	KeepWeekly    *string  `help:"For weeks, from Monday." placeholder:"N"`
	KeepMonthly   *string  `help:"For months." placeholder:"N"`
	KeepQuarterly *string  `help:"For quarters." placeholder:"N"`
	KeepYearly    *string  `help:"For years." placeholder:"N"`
	KeepWithin    *string  `help:"Keep all that are at most so much older than the newest, such as 36h, 30d, 8w, 6mo, 1y." placeholder:"D"`
	KeepWithinH   *string  `name:"keep-within-hourly" help:"Of these, the newest of each hour." placeholder:"D"`
	KeepWithinD   *string  `name:"keep-within-daily" help:"Of each day." placeholder:"D"`
	KeepWithinW   *string  `name:"keep-within-weekly" help:"Of each week." placeholder:"D"`
	KeepWithinM   *string  `name:"keep-within-monthly" help:"Of each month." placeholder:"D"`
	KeepWithinQ   *string  `name:"keep-within-quarterly" help:"Of each quarter." placeholder:"D"`
	KeepWithinY   *string  `name:"keep-within-yearly" help:"Of each year." placeholder:"D"`
	KeepTag       []string `sep:"none" help:"Keep those with this tag, or with all of several: a,b. May be repeated." placeholder:"TAG"`
}

// rules are those that were given.
func (f *keepFlags) rules() (out []engine.Rule) {
	for _, one := range []struct {
		name  string
		value *string
	}{
		{"last", f.KeepLast}, {"hourly", f.KeepHourly}, {"daily", f.KeepDaily},
		{"weekly", f.KeepWeekly}, {"monthly", f.KeepMonthly}, {"quarterly", f.KeepQuarterly},
		{"yearly", f.KeepYearly}, {"within", f.KeepWithin}, {"within-hourly", f.KeepWithinH},
		{"within-daily", f.KeepWithinD}, {"within-weekly", f.KeepWithinW},
		{"within-monthly", f.KeepWithinM}, {"within-quarterly", f.KeepWithinQ},
		{"within-yearly", f.KeepWithinY},
	} {
		if one.value != nil {
			out = append(out, engine.Rule{Name: one.name, Value: *one.value})
		}
	}
	for _, tags := range f.KeepTag {
		out = append(out, engine.Rule{Name: "tag", Value: tags})
	}
	return out
}

func (forgetCmd) Help() string {
	return `Removes the snapshots that no rule keeps, of each set by itself. Without options the
rules are those of the configuration (retention:). A snapshot that any rule keeps stays.
So do, in any case: the newest of a set, the newest that is whole, what is pinned, and
what is younger than 24 hours. Incomplete snapshots take no place of complete ones.

Of several machines' snapshots only this host's are looked at, unless --host says so. A
machine needs the role prune; other machines add snapshots and remove none.

The space comes back with vaultik prune, or with --prune at once.

  vaultik forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run`
}

func (c *forgetCmd) Run(ctx context.Context, s *session) error {
	res, err := s.engine.Forget(ctx, engine.ForgetOptions{Pick: c.engine(), Rules: c.rules(),
		DryRun: c.DryRun, Prune: c.Prune, Force: c.Force}, s)
	s.sum.Totals = res.Totals
	removed := 0
	for i := range res.Sets {
		s.showForgotten(&res.Sets[i], c.DryRun)
		removed += res.Sets[i].Removed
	}
	if removed > 0 && !c.DryRun && !c.Prune {
		s.out.note("the space of what nothing needs any more comes back with: vaultik prune")
	}
	return err
}

// showForgotten prints what a policy says of one set.
func (s *session) showForgotten(set *engine.ForgottenSet, dry bool) {
	for _, v := range set.List {
		s.out.event(v)
	}
	if len(set.List) == 0 {
		return
	}
	s.out.result("set %s of %s: keep %s", words.Printable(set.Set), words.Printable(set.Host),
		set.Policy)
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tTIME\t\tREASONS")
	kept := 0
	for _, v := range set.List {
		id, what := v.ID[:8], "remove"
		if s.out.verbose {
			id = v.ID
		}
		if v.Keep {
			what = "keep"
			kept++
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", id, words.Moment(v.Time), what, reasonsText(v))
	}
	_ = t.Flush() // a strings.Builder never fails
	s.out.raw(trimEnds(b.String()))
	all := words.Plural(int64(len(set.List)), "snapshot", "snapshots")
	switch {
	case set.Refused != nil || set.Removed == 0 && kept < len(set.List):
		s.out.result("%s: nothing removed", all)
	case dry:
		s.out.result("%s: %d would be kept, %d removed", all, kept, set.Removed)
	default:
		s.out.result("%s: %d kept, %d removed", all, kept, set.Removed)
	}
}

// reasonsText is why a snapshot is kept, or what is the matter with one that is not.
func reasonsText(v events.Verdict) string {
	out := v.Reasons
	if !v.Complete && len(out) == 0 {
		out = append(out, "incomplete")
	}
	text := strings.Join(out, ", ")
	if !v.Whole {
		text = strings.TrimPrefix(text+" (objects are missing)", " ")
	}
	return words.Printable(text)
}
