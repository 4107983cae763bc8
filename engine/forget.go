package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vaultik/backends"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/vault/gc"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/retention"
	"vaultik/vault/snapshot"
)

// ForgetOptions say which snapshots are kept.
type ForgetOptions struct {
	Pick   Pick
	Rules  []Rule // none: those of the configuration
	DryRun bool   // only say what would be removed
	Prune  bool   // give back the space of what nothing needs, too
	Force  bool   // go past the brakes of a policy
	// Agree is asked what to do where the brakes have stopped policies, and nothing else has
	// failed. It is told what became of all sets; with true these policies are applied past
	// the brakes, and the result has their sets only. nil: they stay refused.
	Agree func(ForgetResult) bool
}

// Rule keeps snapshots: a name such as daily, within-daily or tag, and its value such as 7, 30d
// or release, as package retention has them.
type Rule struct{ Name, Value string }

// policy is nil if there are no rules.
func (o *ForgetOptions) policy() (p retention.Policy, err error) {
	for _, rule := range o.Rules {
		r, err := retention.ParseRule(rule.Name, rule.Value)
		if err != nil {
			return nil, fault.Misuse("forget", "--keep-"+rule.Name+": "+err.Error())
		}
		p = append(p, r)
	}
	if err := p.Check(); err != nil {
		return nil, fault.Misuse("forget", err.Error())
	}
	return p, nil
}

// ForgetResult is what a policy says of each snapshot, and what was removed.
type ForgetResult struct {
	events.Totals
	Sets []ForgottenSet
	// Pruned is what became of each host's part of the store.
	Pruned []PrunedHost
}

// ForgottenSet is what a policy says of one set.
type ForgottenSet struct {
	Host, Set string           // names, ids where they are not known
	Policy    string           // in words
	List      []events.Verdict // oldest first
	Refused   error            // why nothing of it is removed; nil: what is not kept is
	Removed   int              // snapshots that were, or would be, removed
}

// Forget removes the snapshots that no rule of a policy keeps. Sets that no policy is for, and
// those of other hosts unless they are picked, stay as they are; so do all hosts where this one
// has no snapshots. What is removed needs a [Engine.Prune] to give back its space.
func (e *Engine) Forget(ctx context.Context, o ForgetOptions,
	sink events.Sink) (ForgetResult, error) {
	j := e.begin("forget", sink)
	res, err := attended(ctx, j, func() (ForgetResult, error) { return j.forget(ctx, o) })
	res.Totals = j.totals()
	return res, err
}

func (j *job) forget(ctx context.Context, o ForgetOptions) (res ForgetResult, err error) {
	j.dry = o.DryRun
	policy, err := o.policy()
	if err != nil {
		return res, err
	}
	key, err := j.optionalIdentity()
	if err != nil {
		return res, err
	}
	op, err := j.openStore(ctx, backends.Options{ReadOnly: o.DryRun})
	if err != nil {
		return res, err
	}
	defer op.Close()
	if _, _, err := op.pruner(); err != nil {
		return res, err
	}
	f := &forgetting{job: j, o: o, policy: policy}
	if f.cat, err = j.marked(ctx, op); err != nil {
		return res, err
	}
	if err := f.sets(ctx, key); err != nil {
		return res, err
	}
	if f.now, err = j.storeNow(ctx, op); err != nil {
		return res, err
	}
	res, err = f.apply(ctx, op)
	if err != nil {
		return res, errors.Join(err, f.refusals())
	}
	if o.Agree != nil && !o.DryRun && f.stopped() && o.Agree(res) {
		f.o.Force = true
		f.all = slices.DeleteFunc(f.all, func(s *forgottenSet) bool { return s.Refused == nil })
		if res, err = f.apply(ctx, op); err != nil {
			return res, err
		}
	}
	return res, f.refusals()
}

// apply removes what the policies do not keep.
func (f *forgetting) apply(ctx context.Context, op *opened) (res ForgetResult, err error) {
	p := pruning{PruneOptions: PruneOptions{Hosts: f.hosts(), DryRun: f.o.DryRun},
		choose: f.choose, keep: !f.o.Prune, now: f.now}
	done, err := f.prune(ctx, op, p)
	res.Sets, res.Pruned = f.told(done), done.Hosts
	return res, err
}

// stopped reports whether there are refusals, and all of them are by the brakes.
func (f *forgetting) stopped() (some bool) {
	for _, s := range f.all {
		if s.Refused != nil && !errors.Is(s.Refused, retention.ErrTooMuch) {
			return false
		}
		some = some || s.Refused != nil
	}
	return some
}

// marked is a catalog with tags and pins, for those who remove snapshots. It comes from the
// store, and not from the cache.
func (j *job) marked(ctx context.Context, op *opened) (*catalog, error) {
	op.Store.WithoutBlobs = true // there may be thousands of manifests
	cat, err := j.catalog(ctx, op)
	op.Store.WithoutBlobs = false // prune has to know what they need
	if err == nil {
		err = j.readNotes(ctx, cat)
	}
	return cat, err
}

// forgetting is a policy at work on the sets that are left.
type forgetting struct {
	*job
	o      ForgetOptions
	policy retention.Policy // nil: that of the configuration
	cat    *catalog
	now    time.Time // by the store's clock
	rows   map[snapshot.Sum]*row
	all    []*forgottenSet
}

// forgottenSet is one set on its way.
type forgottenSet struct {
	ForgottenSet
	named
	policy retention.Policy
}

// sets finds the sets that there is a policy for.
func (f *forgetting) sets(ctx context.Context, key *keys.Identity) error {
	chains, err := f.cat.chains(ctx, f.o.Pick, key)
	switch {
	case err != nil:
		return err
	case len(chains) == 0 && f.o.Pick != Pick{}:
		return nonePicked(key)
	case len(chains) == 0:
		return f.cat.noSnapshot("the store has no snapshot yet")
	}
	conf, err := f.config()
	if err != nil && (f.policy == nil || f.job.o.Store == nil) {
		return err
	}
	var none []string
	usesTags := false
	for _, n := range chains {
		s := &forgottenSet{named: n, policy: f.policy}
		s.Host, s.Set = n.hostName, n.setName
		if s.policy == nil && f.cat.op.Host != nil && n.host == f.cat.op.Host.ID {
			s.policy = conf.Policy(n.setName)
		} else if s.policy == nil {
			s.policy = conf.Retention
		}
		if s.policy == nil {
			none = append(none, fmt.Sprintf("%q", n.setName))
			continue
		}
		s.ForgottenSet.Policy = policyText(s.policy)
		usesTags = usesTags || slices.ContainsFunc(s.policy, func(r retention.Rule) bool {
			return len(r.Tags) > 0
		})
		f.all = append(f.all, s)
	}
	if len(f.all) == 0 {
		return &fault.UsageError{Command: "forget", Msg: "no policy says what to keep",
			Advice: "give rules, such as --keep-daily 7 --keep-weekly 5 --keep-monthly 12; " +
				"or write them as retention: into " + f.places.Config}
	}
	if len(none) > 0 {
		f.Note("no policy is for %s: nothing of it is removed", strings.Join(none, ", "))
	}
	f.rows = map[snapshot.Sum]*row{}
	var rows []*row
	for _, r := range f.cat.rows {
		f.rows[r.Sum] = r
		if usesTags && f.set(r.chain()) != nil {
			rows = append(rows, r)
		}
	}
	return f.nameTags(ctx, f.cat, rows, key)
}

// policyText is a policy as the options have it, without their dashes: "daily 7, within 30d".
func policyText(p retention.Policy) string {
	var out []string
	for _, r := range p {
		out = append(out, r.Name()+" "+r.Value())
	}
	return strings.Join(out, ", ")
}

func (f *forgetting) set(k chain) *forgottenSet {
	for _, s := range f.all {
		if s.chain == k {
			return s
		}
	}
	return nil
}

// hosts are the ids of those that have sets.
func (f *forgetting) hosts() (out []string) {
	for _, s := range f.all {
		if id := s.host.String(); !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// choose applies the policies to the snapshots of a host. It is called again where another
// prune came first.
func (f *forgetting) choose(host layout.HostID, all []*gc.Snapshot) (c gc.Choice, err error) {
	bySet := map[chain][]*gc.Snapshot{}
	for _, s := range all {
		k := chain{s.Place.Host, s.Place.Set}
		bySet[k] = append(bySet[k], s)
	}
	for _, s := range f.all {
		if s.host == host {
			c.Expire = append(c.Expire, f.judge(s, bySet[s.chain])...)
		}
	}
	return c, nil
}

// judge says what becomes of the snapshots of a set, and returns those to be removed.
func (f *forgetting) judge(s *forgottenSet, list []*gc.Snapshot) (expire []snapshot.Sum) {
	var set []retention.Snapshot
	bySeq := map[uint64]*gc.Snapshot{}
	for _, g := range list {
		bySeq[g.Place.Seq] = g
		one := retention.Snapshot{Seq: g.Place.Seq, Time: g.Time, Stored: g.Stored,
			Complete: g.Complete, Whole: g.Whole, Pinned: len(g.Pins) > 0}
		one.Tags, one.Unnamed = f.tagNames(g, s.policy)
		set = append(set, one)
	}
	verdicts, err := s.policy.Apply(set, retention.Options{Now: f.now, Force: f.o.Force})
	s.List, s.Refused, s.Removed = nil, err, 0
	for i := range verdicts {
		g := bySeq[verdicts[i].Seq]
		s.List = append(s.List, f.verdict(s, g, &verdicts[i]))
		if !verdicts[i].Keep() && err == nil {
			expire = append(expire, g.Sum)
		}
	}
	slices.Reverse(s.List)
	return expire
}

// tagNames are the names of a snapshot's tags, as far as a policy asks for them. unnamed says
// that it has some whose names may be others that the policy asks for.
func (f *forgetting) tagNames(g *gc.Snapshot, p retention.Policy) (names []string, unnamed bool) {
	r := f.rows[g.Sum]
	if len(g.Tags) == 0 {
		return nil, false
	}
	if r == nil {
		return nil, true // it is newer than what was read
	}
	mark := f.cat.mark(r)
	own := f.cat.op.Host != nil && f.cat.op.Host.ID == r.Host
	unnamed = !slices.Equal(mark.Tags, g.Tags)
	for _, id := range g.Tags {
		if name, ok := f.cat.tags[id]; ok {
			names = append(names, name)
		} else if !own {
			unnamed = true
		}
	}
	for _, rule := range p {
		for _, name := range rule.Tags {
			if _, has := f.cat.hasTag(r, mark, name); has {
				names = append(names, name)
			}
		}
	}
	return names, unnamed
}

func (f *forgetting) verdict(s *forgottenSet, g *gc.Snapshot,
	v *retention.Verdict) events.Verdict {
	ev := events.Verdict{Type: "verdict", ID: g.Sum.String(), Time: g.Time,
		Host: g.Place.Host.String(), Set: g.Place.Set.String(), Seq: g.Place.Seq,
		Complete: g.Complete, Whole: g.Whole, Keep: v.Keep()}
	if s.hostName != ev.Host {
		ev.Hostname, ev.Hostname64 = events.Twin(s.hostName)
	}
	if s.setName != ev.Set {
		ev.SetName, ev.SetName64 = events.Twin(s.setName)
	}
	for _, r := range v.Reasons {
		ev.Reasons = append(ev.Reasons, r.String())
	}
	return ev
}

// told is what became of all sets whose snapshots were judged.
func (f *forgetting) told(done PruneResult) (out []ForgottenSet) {
	removed := map[chain]int{}
	for _, h := range done.Hosts {
		if h.Result == nil || h.Result.Seq == 0 && !f.o.DryRun {
			continue // it ended before
		}
		for _, s := range h.Result.Expired {
			removed[chain{s.Place.Host, s.Place.Set}]++
		}
	}
	for _, s := range f.all {
		if len(s.List) > 0 || s.Refused != nil {
			s.Removed = removed[s.chain]
			out = append(out, s.ForgottenSet)
		}
	}
	return out
}

// refusals is the error that stands for all sets of which nothing was removed.
func (f *forgetting) refusals() error {
	var errs []error
	for _, s := range f.all {
		if s.Refused != nil {
			errs = append(errs, fmt.Errorf("set %q: %w", s.setName, s.Refused))
		}
	}
	var err error
	switch len(errs) {
	case 0:
		return nil
	case 1:
		err = fmt.Errorf("nothing is removed from %w", errs[0])
	default:
		err = fmt.Errorf("nothing is removed from %d sets: %w", len(errs), errors.Join(errs...))
	}
	if !f.stopped() {
		return err
	}
	return fault.WithHint(err, "look at the list; only if that is meant, rerun the same command "+
		"with --force")
}

// storeNow is the time by the clock of the store: when it has stored something just now. In a dry
// run, which stores nothing, it is that of this machine.
func (j *job) storeNow(ctx context.Context, op *opened) (time.Time, error) {
	if j.dry {
		return time.Now(), nil
	}
	var id [8]byte
	_, _ = rand.Read(id[:])
	key := layout.ScratchPrefix + hex.EncodeToString(id[:]) + "/now"
	_, err := op.Backend.Put(ctx, key, backends.Bytes([]byte{'\n'}, nil), backends.PutOptions{})
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the store for its time: %w", err)
	}
	info, err := op.Backend.Stat(ctx, key)
	if err == nil {
		err = op.Backend.Delete(ctx, key)
	}
	if errors.Is(err, backends.ErrLocked) { // the next store check removes it
		err = nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the store for its time: %w", err)
	}
	return info.ModTime, nil
}
