package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vaultik/actors/verify"
	"vaultik/engine/checked"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/plan"
	"vaultik/vault/retention"
)

// DrillOptions say how much is tried out.
type DrillOptions struct {
	Pick   Pick
	Files  int    // of the newest snapshot of each set, that are restored into memory
	Blobs  int    // at most so many new blobs are opened; 0: all
	All    bool   // blobs that were opened by an earlier drill as well
	MaxAge string // how old the newest whole snapshot of a set may be, like 26h; "" for any age
}

// DrillResult is what a drill has found, also if it ended early.
type DrillResult struct {
	events.Totals
	Drilled events.Drilled
	Whole   bool // it went through
}

// Drill tries out whether a restore with the identity would work. It tells of each
// [events.Problem], then [events.Drilled], then which snapshots are [events.Affected].
func (e *Engine) Drill(ctx context.Context, o DrillOptions, sink events.Sink) (DrillResult, error) {
	j := e.begin("drill", sink)
	res, err := attended(ctx, j, func() (DrillResult, error) { return j.drill(ctx, o) })
	res.Totals = j.totals()
	return res, err
}

// drilling is one drill under way.
type drilling struct {
	*verification
	o      DrillOptions
	maxAge time.Duration // 0: any
	now    time.Time
	log    *checked.Log
	begun  bool // the log takes notes
	inv    *plan.Inventory
	before int64
	left   int64
}

func (j *job) drill(ctx context.Context, o DrillOptions) (res DrillResult, err error) {
	d := &drilling{o: o, now: time.Now()}
	if o.MaxAge != "" {
		if d.maxAge, err = retention.ParseSpan(o.MaxAge); err != nil {
			return res, fault.Misuse("drill", "--max-age: "+err.Error())
		}
	}
	key, err := j.needIdentity()
	if err != nil {
		return res, err
	}
	parallel, memory, err := j.effort()
	if err != nil {
		return res, err
	}
	d.verification, err = j.verification(ctx, VerifyOptions{Pick: o.Pick}, key)
	if err != nil {
		return res, err
	}
	op := d.cat.op
	defer op.Close()
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(key.Recipients())), "\n")))
	d.log, err = checked.Load(j.checkedFile("drill", op.Store.Doc.Store) + "-" +
		hex.EncodeToString(sum[:4]))
	if err != nil {
		return res, err
	}
	defer func() {
		if cerr := d.log.Close(); err == nil {
			err = cerr
		}
	}()
	d.tellSigned()
	spec := d.spec(parallel, memory)
	spec.Drill = &verify.Drill{Files: o.Files}
	spec.Choose, spec.OnChecked = d.chooseBlobs, d.opened
	rep, err := d.check(ctx, spec)
	if rep == nil {
		return res, err
	}
	res.Drilled, res.Whole, err = d.tell(ctx, rep, err)
	return res, err
}

// chooseBlobs chooses the blobs that are new since the drill before, the latest first.
func (d *drilling) chooseBlobs(inv *plan.Inventory) (plan.Choice, error) {
	d.inv = inv
	there := marks(inv)
	if d.o.Pick != (Pick{}) { // what others need stays remembered
		there = d.log.Marks()
	}
	since := d.log.Since()
	if since.IsZero() {
		since = d.now
	}
	err := d.log.Begin(since, there)
	d.begun = err == nil
	if err != nil {
		d.Warn("", "the next drill will begin anew: %v", err)
	}
	var fresh []int
	for i := range inv.Len() {
		if !inv.IsBlob(i) || inv.At(i).State != plan.Present {
			continue
		}
		if _, is := d.log.At(checked.MarkOf(inv.Sum(i))); is && !d.o.All {
			d.before++
			continue
		}
		fresh = append(fresh, i)
	}
	slices.SortStableFunc(fresh, func(a, b int) int {
		return cmp.Compare(inv.At(b).Stored, inv.At(a).Stored)
	})
	if n := d.o.Blobs; n > 0 && n < len(fresh) {
		d.left = int64(len(fresh) - n)
		fresh = fresh[:n]
	}
	chosen := make([]bool, inv.Len())
	for _, i := range fresh {
		chosen[i] = true
	}
	return func(i int) bool { return chosen[i] }, nil
}

// opened notes that a blob is not new any more. It is called from several goroutines.
func (d *drilling) opened(i int) error {
	if !d.begun {
		return nil
	}
	return d.log.Note(checked.MarkOf(d.inv.Sum(i)), d.now)
}

// tell tells what was found, and returns what is to be said of it as an error.
func (d *drilling) tell(ctx context.Context, rep *verify.Report, err error) (ev events.Drilled,
	whole bool, _ error) {
	problems := make([]events.Problem, 0, len(rep.Problems))
	for _, p := range rep.Problems {
		problems = append(problems, ofObject(p))
	}
	d.tellObjects(problems, rep.Found)
	found := rep.Found + int64(len(d.signed))
	affected := d.affected(problems)
	n := rep.Drilled
	d.sum.Files, d.sum.BytesRead, d.sum.Errors = n.Files, rep.Read, found
	ev = events.Drilled{Type: "drilled", Blobs: n.Blobs, ByEpoch: n.ByEpoch, Older: n.Older,
		Before: d.before, Left: d.left, Keys: n.Keys, Files: n.Files, FileBytes: n.FileBytes,
		BytesRead: rep.Read, Affected: affected, Problems: found,
		Sets: d.sets(ctx, affected)}
	if last := d.log.Last(); !last.IsZero() {
		last = last.UTC()
		ev.Since = &last
	}
	d.Tell(ev)
	switch {
	case err != nil && ctx.Err() != nil:
		d.Note("interrupted: what was opened is remembered, the next drill goes on there")
		return ev, false, ErrInterrupted
	case err != nil:
		return ev, false, err
	}
	if d.begun {
		if err := d.log.Finish(d.now); err != nil {
			return ev, false, err
		}
	}
	if n.Older > 0 {
		d.Note("%s did not open with this key: only older snapshots need them, which are for "+
			"other recipients", words.Plural(n.Older, "blob", "blobs"))
	}
	if len(d.rows) == 0 && found == 0 {
		return ev, true, fault.WithHint(errors.New("the store has no snapshot to restore"),
			"save one: "+d.vaultik("backup PATH"))
	}
	if found > 0 {
		d.tellAffected(ctx, affected)
		return ev, true, d.finding(problems, found, affected)
	}
	return ev, true, d.old(ev.Sets)
}

// finding is the error of a drill that found something.
func (d *drilling) finding(problems []events.Problem, found int64, affected []string) error {
	err := d.err(problems, found, affected)
	for _, p := range problems {
		if p.Kind == "sealed" {
			return fault.WithHint(err, "on the host whose they are, compare age_recipients with "+
				"the recovery kit: vaultik config show; what was saved for others cannot be "+
				"restored with this key: back up anew for the right ones")
		}
	}
	if _, is := fault.HintOf(err); is {
		return err
	}
	return fault.WithHint(err, "see whether more is damaged, and which files of older snapshots "+
		"are affected: "+d.here("verify --read-data"))
}

// sets are the sets with their newest snapshots. Whole is one that has all that was asked for,
// and nothing of which is known to be bad.
func (d *drilling) sets(ctx context.Context, affected []string) []events.DrilledSet {
	at, all := map[chain]int{}, []events.DrilledSet{}
	for _, r := range d.rows { // by time
		i, ok := at[r.chain()]
		if !ok {
			i = len(all)
			at[r.chain()] = i
			all = append(all, events.DrilledSet{Host: r.Host.String(), Set: r.Set.String()})
		}
		s := &all[i]
		s.Newest = r.Time
		if r.Complete && !slices.Contains(affected, r.ID()) {
			when := r.Time
			s.Whole, s.Snapshot = &when, r.ID()
		}
		s.Old = d.maxAge > 0 && (s.Whole == nil || d.now.Sub(*s.Whole) > d.maxAge)
	}
	heads, _ := d.cat.heads()
	for k, i := range at {
		root, _ := d.cat.rootOf(ctx, heads[k], d.key) // for its names
		s := &all[i]
		s.HostText, s.SetText = d.cat.hostName(k, root), d.cat.setName(k, root)
		if s.HostText != s.Host {
			s.Hostname, s.Hostname64 = events.Twin(s.HostText)
		}
		if s.SetText != s.Set {
			s.SetName, s.SetName64 = events.Twin(s.SetText)
		}
	}
	return all
}

// old is the error of sets whose newest whole snapshot is older than was asked for.
func (d *drilling) old(sets []events.DrilledSet) error {
	var first *events.DrilledSet
	n := int64(0)
	for i := range sets {
		if sets[i].Old {
			n++
			first = cmp.Or(first, &sets[i])
		}
	}
	if n == 0 {
		return nil
	}
	more := ""
	if n > 1 {
		more = fmt.Sprintf(", and so of %s", words.Plural(n-1, "other set", "other sets"))
	}
	what := "has no whole snapshot"
	if first.Whole != nil {
		what = "has its newest whole snapshot of " + words.Moment(*first.Whole) +
			", older than " + d.o.MaxAge
	}
	return fault.WithHint(
		fmt.Errorf("set %s of %s %s%s", first.SetText, first.HostText, what, more),
		"see what the last backup on that host says, and back up there: vaultik backup")
}
