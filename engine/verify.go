package engine

import (
	"context"
	"errors"
	"slices"

	"vaultik/actors"
	"vaultik/actors/verify"
	"vaultik/backends"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/messages"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// VerifyOptions say what is checked, and how deeply.
type VerifyOptions struct {
	Snapshot string // digits of an id, or latest; "" for all
	Pick     Pick
	ReadData bool // read every object, not only list it
	// Subset says which of them are read: a share such as 5%, chosen at random, or a part
	// such as 1/30; "" for all or none, as ReadData says.
	Subset string
	// Scrub is a time such as 30d in which each byte is to be read once: what is due of them
	// is read; "" for no such reading.
	Scrub string
	// ServerSums compares the SHA-256 that the store has of each object, without reading it.
	ServerSums bool
}

// VerifyResult is what was checked, also if it ended early.
type VerifyResult struct {
	events.Totals
	Verified events.Verified
	Whole    bool  // it went through
	ReadData bool  // all of it
	Some     bool  // a part of it
	Key      bool  // pages, and chunks of what was read, were checked with the key
	Vouched  int64 // with ServerSums: objects of which the store has the right SHA-256
}

// Verify checks that a store has what its snapshots need. It tells of each
// [events.Problem], then [events.Verified], then which snapshots are [events.Affected].
func (e *Engine) Verify(ctx context.Context, o VerifyOptions, sink events.Sink) (VerifyResult,
	error) {
	j := e.begin("verify", sink)
	res, err := attended(ctx, j, func() (VerifyResult, error) { return j.verify(ctx, o) })
	res.Totals = j.totals()
	return res, err
}

func (j *job) verify(ctx context.Context, o VerifyOptions) (res VerifyResult, err error) {
	read, err := o.reads()
	if err != nil {
		return res, err
	}
	key, err := j.optionalIdentity()
	if err != nil {
		return res, err
	}
	parallel, memory, err := j.effort()
	if err != nil {
		return res, err
	}
	v, err := j.verification(ctx, o, key)
	if err != nil {
		return res, err
	}
	op := v.cat.op
	defer op.Close()
	v.tellSigned()
	spec := v.spec(parallel, memory)
	spec.Hosts = hostsOf(op, o, v.rows)
	spec.ServerSums, spec.ReadData = o.ServerSums, read.any
	spec.Choose = read.choose
	var scrub *scrubbing
	if read.period > 0 {
		if scrub, err = j.scrubs(op, read.period); err != nil {
			return res, err
		}
		defer func() {
			if cerr := scrub.log.Close(); err == nil {
				err = cerr
			}
		}()
		spec.Choose, spec.OnChecked = scrub.choose, scrub.checked
	}
	rep, err := v.check(ctx, spec)
	if rep == nil {
		return res, err
	}
	res.ReadData, res.Key, res.Vouched = o.ReadData, key != nil, rep.Vouched
	res.Some = read.any && !o.ReadData
	res.Verified, res.Whole, err = v.report(ctx, rep, err)
	if scrub != nil && scrub.inv != nil {
		j.Tell(scrub.event())
		if ferr := scrub.finish(res.Whole); err == nil {
			err = ferr
		}
	}
	if o.ServerSums && err == nil {
		err = j.unvouched(rep)
	}
	return res, err
}

// verification opens the store, which the caller closes, and chooses the snapshots.
func (j *job) verification(ctx context.Context, o VerifyOptions, key *keys.Identity) (
	_ *verification, err error) {
	op, err := j.openStore(ctx, backends.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = op.Close()
		}
	}()
	cat, err := j.catalog(ctx, op)
	if err != nil {
		return nil, err
	}
	rows, problems, err := j.choose(ctx, cat, o, key)
	if err != nil {
		return nil, err
	}
	return &verification{job: j, cat: cat, rows: rows, signed: problems, key: key}, nil
}

// spec is what all checks have in common.
func (v *verification) spec(parallel int, memory int64) *verify.Spec {
	return &verify.Spec{
		Store: v.cat.op.Backend, Opened: v.cat.op.Store, Identity: v.key,
		Parallel: parallel, Memory: memory, Snapshots: loaded(v.rows),
		Progress: &messages.Progress{}, Warn: func(text string) { v.Warn("", "%s", text) },
		OnAffected: func(path, key string) {
			v.Tell(events.Item{Type: "item", PathText: events.PathOf(shown(path)),
				Status: "affected", Reason: key})
		},
	}
}

// unvouched says of which objects the store has no SHA-256. Where it has none at all nothing
// was checked.
func (j *job) unvouched(rep *verify.Report) error {
	n := words.Plural(rep.Unvouched, "object", "objects")
	switch {
	case rep.Unvouched == 0:
		return nil
	case rep.Vouched == 0:
		return fault.WithHint(errors.New("the store has no SHA-256 of its objects to compare"),
			"read them: "+j.here("verify --read-data"))
	}
	j.Warn("read them: "+j.here("verify --read-data"),
		"the store has no SHA-256 of %s, which were only listed", n)
	return nil
}

// check runs the actors.
func (v *verification) check(ctx context.Context, spec *verify.Spec) (*verify.Report, error) {
	system := actors.NewSystem(nil)
	defer system.Close()
	stop := v.show(spec.Progress)
	defer stop()
	return verify.Run(ctx, system, spec)
}

// loaded are the manifests of rows.
func loaded(rows []*row) (out []*snapshot.Loaded) {
	for _, r := range rows {
		out = append(out, r.Loaded)
	}
	return out
}

// hostsOf are the hosts whose snapshots are checked; all of the store, unless some were chosen.
func hostsOf(op *opened, o VerifyOptions, rows []*row) (out []layout.HostID) {
	for _, h := range op.Store.Trust.Hosts {
		if o.Snapshot == "" && o.Pick == (Pick{}) ||
			slices.ContainsFunc(rows, func(r *row) bool { return r.Host == h.Host }) {
			out = append(out, h.Host)
		}
	}
	return out
}

// choose gives the snapshots to be checked, and the problems that concern them.
func (j *job) choose(ctx context.Context, cat *catalog, o VerifyOptions,
	key *keys.Identity) ([]*row, []snapshot.Problem, error) {
	switch {
	case o.Snapshot != "":
		return j.chooseOne(ctx, cat, o, key)
	case o.Pick == Pick{}:
		err := j.readNotes(ctx, cat)
		return cat.rows, cat.problems, err
	}
	chains, err := cat.chains(ctx, o.Pick, key)
	if err != nil {
		return nil, nil, err
	}
	if len(chains) == 0 {
		return nil, nil, nonePicked(key)
	}
	wanted := map[chain]bool{}
	for _, k := range chains {
		wanted[k.chain] = true
	}
	var rows []*row
	var problems []snapshot.Problem
	for _, r := range cat.rows {
		if wanted[r.chain()] {
			rows = append(rows, r)
		}
	}
	for _, p := range cat.problems {
		if wanted[chain{p.Host, p.Set}] || p.Set.IsZero() && slices.ContainsFunc(chains,
			func(k named) bool { return k.host == p.Host }) {
			problems = append(problems, p)
		}
	}
	return rows, problems, nil
}

// chooseOne is choose for one snapshot.
func (j *job) chooseOne(ctx context.Context, cat *catalog, o VerifyOptions,
	key *keys.Identity) ([]*row, []snapshot.Problem, error) {
	id, path := splitSnapshot(o.Snapshot)
	if path != "" {
		return nil, nil, fault.Misuse("verify",
			"a snapshot is checked as a whole: remove :"+path)
	}
	r, err := j.find(ctx, cat, id, o.Pick, key)
	if err != nil {
		return nil, nil, err
	}
	j.sum.Snapshot = r.ID()
	var mine []snapshot.Problem
	others := int64(0)
	for _, p := range cat.problems {
		if p.Host == r.Host && p.Set == r.Set && p.Seq == r.Seq {
			mine = append(mine, p)
		} else {
			others++
		}
	}
	if others > 0 {
		j.Note("%s elsewhere in the store, see: %s", words.Plural(others, "problem", "problems"),
			j.here("verify"))
	}
	return []*row{r}, mine, nil
}
