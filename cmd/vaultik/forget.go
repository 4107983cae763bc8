package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

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

A policy that would leave almost nothing is stopped: on a terminal you are asked, elsewhere
it takes --force. Tags and pins keep single snapshots: vaultik snapshot tag, pin.

Of several machines' snapshots only this host's are looked at, unless --host says so; a
machine that only prunes looks at all. A machine needs the role prune; other machines add
snapshots and remove none.

The space comes back with vaultik prune, or with --prune at once.

  vaultik forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run`
}

func (c *forgetCmd) Run(ctx context.Context, s *session) error {
	o := engine.ForgetOptions{Pick: c.engine(), Rules: c.rules(), DryRun: c.DryRun,
		Prune: c.Prune, Force: c.Force}
	f := &forgetShow{session: s, dry: c.DryRun}
	if !s.out.json && term.IsTerminal(int(os.Stdin.Fd())) {
		o.Agree = func(res engine.ForgetResult) bool {
			f.show(res)
			f.asked, f.agreed = true, s.ask(f.question(res))
			return f.agreed
		}
	}
	res, err := s.engine.Forget(ctx, o, f)
	s.sum.Totals = res.Totals
	if f.asked == f.agreed { // else all of it was shown
		f.show(res)
	}
	if f.removed > 0 && !c.DryRun && !c.Prune {
		s.out.note("the space of what nothing needs any more comes back with: vaultik prune")
	}
	return err
}

// forgetShow shows what policies say, and below that what prune did, which is known first.
type forgetShow struct {
	*session
	dry           bool
	asked, agreed bool // asked: the lists were shown already
	removed       int
	pruned        []events.Pruned
}

// Tell keeps what prune did for later.
func (f *forgetShow) Tell(e events.Event) {
	if p, ok := e.(events.Pruned); ok {
		f.pruned = append(f.pruned, p)
		return
	}
	f.session.Tell(e)
}

func (f *forgetShow) show(res engine.ForgetResult) {
	for i := range res.Sets {
		set := &res.Sets[i]
		f.removed += set.Removed
		f.showSet(set)
	}
	for _, p := range f.pruned {
		f.session.Tell(p)
	}
	f.pruned = nil
}

// question says why policies were stopped.
func (f *forgetShow) question(res engine.ForgetResult) string {
	for i := range res.Sets {
		if set := &res.Sets[i]; set.Refused != nil {
			f.out.say(fmt.Sprintf("set %s: %v", words.Printable(set.Set), set.Refused))
		}
	}
	return "remove them all the same, for ever?"
}

// showSet prints what a policy says of one set; with -q only if it was stopped.
func (f *forgetShow) showSet(set *engine.ForgottenSet) {
	s, dry := f.session, f.dry
	for _, v := range set.List {
		s.out.event(v)
	}
	if len(set.List) == 0 {
		return
	}
	list, kept := verdictList(set, s.out.verbose)
	name := "set " + words.Printable(set.Set) + " of " + words.Printable(set.Host)
	if !f.asked && (!s.out.quiet || set.Refused != nil || dry) {
		s.out.result("%s: keep %s", name, set.Policy)
		s.out.raw(list)
		name = words.Plural(int64(len(set.List)), "snapshot", "snapshots")
	}
	switch {
	case set.Refused != nil || set.Removed == 0 && kept < len(set.List):
		s.out.result("%s: nothing removed", name)
	case dry:
		s.out.result("%s: %d would be kept, %d removed", name, kept, set.Removed)
	default:
		s.out.result("%s: %d kept, %d removed", name, kept, set.Removed)
	}
}

// verdictList is a table of a set's snapshots, and how many of them are kept.
func verdictList(set *engine.ForgottenSet, verbose bool) (text string, kept int) {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tTIME\t\tREASONS")
	for _, v := range set.List {
		id, what := v.ID[:8], "remove"
		if verbose {
			id = v.ID
		}
		if v.Keep {
			what = "keep"
			kept++
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", id, words.Moment(v.Time), what, reasonsText(v))
	}
	_ = t.Flush() // a strings.Builder never fails
	return trimEnds(b.String()), kept
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
