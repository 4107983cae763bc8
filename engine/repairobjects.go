package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"vaultik/actors"
	"vaultik/actors/prune"
	"vaultik/actors/repair"
	"vaultik/actors/survey"
	"vaultik/backends"
	"vaultik/engine/events"
	"vaultik/internal/words"
	"vaultik/messages"
	"vaultik/vault/blob"
	"vaultik/vault/gc"
	"vaultik/vault/layout"
	"vaultik/vault/plan"
	"vaultik/vault/snapshot"
)

// damage is what is wrong with the objects that snapshots need.
type damage struct {
	inv    *plan.Inventory
	items  map[string]*badItem       // that can be put back, by key
	other  []survey.Problem          // that no source helps with
	parity map[string]survey.Problem // damaged, by key
	stuck  map[string]bool           // there, and condemned as deleted
	barred map[string]bool           // keys of what must not be put back, since it is condemned
	mayNot error                     // why

	heads map[layout.HostID]uint64 // seq of the newest gc objects, by which nothing is condemned
}

// badItem is an object that is missing or damaged.
type badItem struct {
	repair.Object
	kind   survey.Kind
	reason string
	why    string // it was not put back; "": that was not tried
}

// look finds out what is wrong with the objects that snapshots need, those that are to be put
// back included. What was read once is not read again.
func (r *repairing) look(ctx context.Context) error {
	f := &r.found
	if f.items == nil {
		f.items, f.barred = map[string]*badItem{}, map[string]bool{}
		f.heads, f.parity = map[layout.HostID]uint64{}, map[string]survey.Problem{}
	}
	f.other, f.stuck = nil, map[string]bool{}
	v := &verification{job: r.job, cat: r.signed.cat, rows: r.signed.cat.rows}
	spec := v.spec(r.parallel, r.memory)
	spec.Hosts = hostsOf(r.op, VerifyOptions{}, nil)
	spec.ReadData = r.o.ReadData
	before := f.inv
	spec.Choose = func(inv *plan.Inventory) (plan.Choice, error) {
		f.inv = inv
		return func(i int) bool {
			if before == nil {
				return true
			}
			o, err := layout.Parse(inv.Key(i))
			_, known := before.Find(o)
			return err != nil || !known
		}, nil
	}
	var found []survey.Problem
	spec.OnProblem = func(p survey.Problem) { found = append(found, p) }
	rep, err := v.check(ctx, spec)
	if err != nil {
		return err
	}
	for i := range found {
		f.add(&found[i])
	}
	r.ev.Snapshots, r.ev.Objects = rep.Snapshots, rep.Objects
	r.sum.BytesRead += rep.Read
	return nil
}

// add adds a problem that the survey of the store has brought up.
func (f *damage) add(p *survey.Problem) {
	o, err := layout.Parse(p.Key)
	if err != nil || o.Kind == layout.KindGC || o.Kind == layout.KindCondemned {
		return // signed objects are judged by findSigned
	}
	i, ok := f.inv.Find(o)
	switch {
	case o.Kind == layout.KindParity && p.Kind == survey.ProblemDamaged:
		f.parity[p.Key] = *p
	case ok && p.Kind == survey.ProblemCondemned:
		f.stuck[p.Key] = true
	case !ok || p.Kind != survey.ProblemMissing && p.Kind != survey.ProblemSize &&
		p.Kind != survey.ProblemDamaged:
		f.other = append(f.other, *p)
	case f.items[p.Key] == nil:
		f.items[p.Key] = &badItem{kind: p.Kind, reason: reasonOf(p.Reason),
			Object: repair.Object{Key: p.Key, Size: f.inv.At(i).Size, Sum: f.inv.Sum(i),
				There: p.Kind != survey.ProblemMissing}}
	}
}

// release takes off what is condemned the names of all that is to be put back, or is needed by
// snapshots that are: a backup would not use it, and a prune that is under way may delete it
// again. It reports whether the store has to be looked at once more.
func (r *repairing) release(ctx context.Context) (again bool, err error) {
	wanted := map[layout.HostID]map[string]bool{}
	for n, host := range r.found.inv.Hosts() {
		keys, err := r.condemned(ctx, n, host)
		if err != nil {
			return false, err
		}
		if len(keys) > 0 {
			wanted[host] = keys
		}
	}
	if len(wanted) == 0 {
		return false, nil
	}
	signer, _, mayNot := r.op.pruner()
	if mayNot != nil {
		r.found.mayNot = mayNot
		r.bar(wanted)
		return false, nil //nolint:nilerr // it is told at the end
	}
	wait := false
	for host, keys := range wanted {
		r.ev.Released += int64(len(keys))
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			r.Tell(events.Repair{Type: "repair", Key: key, Done: events.RepairReleased,
				Reason: "prune has condemned it", DryRun: r.dry})
		}
		if r.dry {
			continue
		}
		_, err := prune.Run(ctx, r.system, &prune.Spec{Store: r.op.Backend,
			Opened: r.op.Store, Host: host, Signer: signer, Parallel: r.parallel,
			Options: gc.Options{Now: time.Now()},
			Release: func(o layout.Object) bool { return keys[o.Key()] },
			Warn:    func(text string) { r.Warn("", "%s", text) }})
		if err != nil {
			return false, fmt.Errorf("take names off what is condemned: %w", err)
		}
		times, err := (&pruneJob{job: r.job, op: r.op, locked: r.locked}).times(ctx, host)
		if err != nil {
			return false, err
		}
		wait = wait || times.Grace > 0
	}
	if r.dry {
		return false, nil
	}
	if wait {
		return true, r.waitForPrunes(ctx)
	}
	return true, nil
}

// waitForPrunes waits until a prune that is under way anywhere has noticed that the list of what
// is condemned is another: until then it deletes by the old one.
func (r *repairing) waitForPrunes(ctx context.Context) error {
	until := words.Moment(time.Now().Add(gc.Settled))
	r.Note("waiting until %s, so that a prune which may be under way does not delete again what "+
		"is put back", until)
	t := time.NewTimer(gc.Settled)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		r.Note("rerun the command after %s, not before", until)
		return context.Cause(ctx)
	}
}

// sameHeads reports whether no prune has condemned anything since it was looked at what is
// condemned, of hosts whose snapshots are put back.
func (r *repairing) sameHeads(ctx context.Context) (bool, error) {
	for _, row := range r.signed.cat.rows {
		if !r.signed.done[row.Key] || r.dry {
			continue
		}
		g, err := r.op.Store.GC(ctx, row.Host)
		if err != nil {
			return false, err
		}
		if g != nil && g.Seq != r.found.heads[row.Host] {
			return false, nil
		}
	}
	return true, nil
}

// condemned are the keys of a host that are to be released.
func (r *repairing) condemned(ctx context.Context, num int,
	host layout.HostID) (map[string]bool, error) {
	f, st := &r.found, r.signed.cat.op.Store
	g, err := st.GC(ctx, host)
	var marks layout.Marks
	if err == nil {
		marks, err = st.Condemned(ctx, g)
	}
	if err == nil && g != nil {
		f.heads[host] = g.Seq
	}
	if err != nil || marks.Len() == 0 {
		return nil, survey.Fatal(ctx, err) // else it is told, and nobody prunes by it
	}
	keys := map[string]bool{}
	for i := range f.inv.Len() {
		key := f.inv.Key(i)
		if f.inv.HostOf(i) != num || f.barred[key] || !marks.Has(key) {
			continue
		}
		item := f.items[key]
		switch {
		case item == nil && !f.stuck[key] && !r.ofRecovered(i):
		case item != nil && item.why != "":
		default:
			has := item == nil
			if !has {
				if has, err = r.available(ctx, item); err != nil {
					return nil, err
				}
			}
			if has {
				keys[key] = true
			}
		}
	}
	return keys, nil
}

// ofRecovered reports whether an object is needed by a snapshot that is to be put back.
func (r *repairing) ofRecovered(i int) bool {
	return slices.ContainsFunc(r.found.inv.Snapshots(i), func(n int) bool {
		_, ok := r.signed.put[r.signed.cat.rows[n].Key]
		return ok
	})
}

// available reports whether there seems to be a source for an object.
func (r *repairing) available(ctx context.Context, item *badItem) (bool, error) {
	type look struct {
		in  backends.Backend
		key string
	}
	var looks []look
	o, err := layout.Parse(item.Key)
	if err != nil {
		return false, err
	}
	if r.from != nil {
		looks = append(looks, look{r.from, item.Key})
	}
	if o.Kind == layout.KindBlob {
		x := layout.Parity(o.Host, o.Sum)
		looks = append(looks, look{r.op.Backend, x})
		if r.from != nil {
			looks = append(looks, look{r.from, x})
		}
	}
	for _, l := range looks {
		_, err := l.in.Stat(ctx, l.key)
		if err == nil {
			return true, nil
		}
		if err := survey.Fatal(ctx, err); err != nil {
			return false, err
		}
	}
	return false, nil
}

// bar notes what must not be put back: the objects, and the manifests that need them.
func (r *repairing) bar(wanted map[layout.HostID]map[string]bool) {
	f := &r.found
	for _, keys := range wanted {
		for key := range keys {
			f.barred[key] = true
			o, err := layout.Parse(key)
			if err != nil {
				continue
			}
			if i, ok := f.inv.Find(o); ok {
				for _, n := range f.inv.Snapshots(i) {
					f.barred[r.signed.cat.rows[n].Key] = true
				}
			}
		}
	}
}

// heal puts back what has a source, and returns how many blob lists are there again: what they
// name is not known yet.
func (r *repairing) heal(ctx context.Context) (lists int, err error) {
	f := &r.found
	spec := r.spec()
	for _, key := range slices.Sorted(maps.Keys(f.items)) {
		if item := f.items[key]; item.why == "" && !f.barred[key] {
			spec.Objects = append(spec.Objects, item.Object)
		}
	}
	spec.OnDone = func(i int, out repair.Outcome) {
		key := spec.Objects[i].Key
		item := f.items[key]
		if out.Err != nil {
			item.why = survey.PlainReason(out.Err, key)
			return
		}
		from := string(out.From)
		if out.From == repair.FromParity {
			r.ev.Sectors += int64(out.Sectors)
		}
		r.tellPut(key, from, out.Bytes, item.There, item.reason, r.needing(key))
		delete(f.items, key)
		if o, err := layout.Parse(key); err == nil && o.Kind == layout.KindBlobList {
			lists++
		}
	}
	return lists, r.run(ctx, spec)
}

// spec is what healing and making parity have in common.
func (r *repairing) spec() *repair.Spec {
	return &repair.Spec{Store: r.op.Backend, Mirror: r.from, Parity: r.percent, Dry: r.dry,
		Conditional: r.conditional, Parallel: r.parallel, Memory: r.memory,
		Progress: &messages.Progress{}, Warn: func(text string) { r.Warn("", "%s", text) }}
}

func (r *repairing) run(ctx context.Context, spec *repair.Spec) error {
	if len(spec.Objects) == 0 {
		return nil
	}
	stop := r.show(spec.Progress)
	defer stop()
	return repair.Run(ctx, r.system, spec)
}

// needing are the ids of the snapshots that need an object.
func (r *repairing) needing(key string) (out []string) {
	o, err := layout.Parse(key)
	if err != nil {
		return nil
	}
	if i, ok := r.found.inv.Find(o); ok {
		for _, n := range r.found.inv.Snapshots(i) {
			out = append(out, r.signed.cat.rows[n].ID())
		}
	}
	return out
}

// addParity makes the parity that was found to be damaged, and with --parity what is missing.
func (r *repairing) addParity(ctx context.Context) error {
	f, spec, there := &r.found, r.spec(), map[string]bool{}
	if spec.Parity == 0 {
		conf, err := r.tuning()
		if err != nil {
			return err
		}
		spec.Parity = conf.Parity
	}
	if spec.Parity == 0 || r.percent == 0 && len(f.parity) == 0 {
		return nil
	}
	for _, host := range f.inv.Hosts() {
		err := r.op.Backend.ListStream(ctx, layout.ParityPrefix(host),
			func(o backends.ObjectInfo) error {
				there[o.Key] = true
				return nil
			})
		if err != nil {
			return fmt.Errorf("list the store: %w", err)
		}
	}
	for i := range f.inv.Len() {
		key := f.inv.Key(i)
		o, err := layout.Parse(key)
		if err != nil || o.Kind != layout.KindBlob || f.items[key] != nil {
			continue
		}
		x := layout.Parity(o.Host, o.Sum)
		if _, bad := f.parity[x]; bad || r.percent > 0 && !there[x] {
			spec.Objects = append(spec.Objects, repair.Object{Key: key, Size: f.inv.At(i).Size,
				Sum: f.inv.Sum(i), Parity: true})
		}
	}
	spec.OnDone = func(i int, out repair.Outcome) {
		o, _ := layout.Parse(spec.Objects[i].Key)
		if out.Err != nil {
			f.other = append(f.other, survey.Of(out.Err, o.Key(), r.needing(o.Key())...))
			return
		}
		x, reason := layout.Parity(o.Host, o.Sum), "it is missing"
		if p, ok := f.parity[x]; ok {
			reason = reasonOf(p.Reason)
			delete(f.parity, x)
		}
		r.ev.Parities++
		r.ev.PutBytes += out.Bytes
		r.Tell(events.Repair{Type: "repair", Key: x, Done: events.RepairParity,
			From: string(out.From), Bytes: out.Bytes, Reason: reason, DryRun: r.dry})
	}
	return r.run(ctx, spec)
}

// report tells what is left, and what can be done about it.
func (r *repairing) report(ctx context.Context) error {
	f, s := &r.found, r.signed
	v := &verification{job: r.job, cat: s.cat, rows: s.cat.rows, signed: s.left}
	for key, why := range s.why {
		if _, ok := s.put[key]; ok && !s.done[key] {
			o, _ := layout.Parse(key)
			v.signed = append(v.signed, snapshot.Problem{Key: key, Host: o.Host, Set: o.Set,
				Seq: o.Seq, Err: fmt.Errorf("%w: %s; it is not put back, since prune has "+
					"condemned what it needs", snapshot.ErrDamaged, why)})
		}
	}
	v.tellSigned()
	var problems []events.Problem
	found := int64(len(f.items) + len(f.other) + len(f.parity))
	for _, key := range slices.Sorted(maps.Keys(f.items)) {
		if len(problems) < actors.MaxResultList {
			problems = append(problems, r.leftOver(key, f.items[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(f.parity)) {
		p := f.parity[key]
		p.Reason += "; with --parity SHARE it is made anew"
		f.other = append(f.other, p)
	}
	for _, p := range f.other {
		problems = append(problems, ofObject(p))
	}
	problems, found = v.withoutRemoved(ctx, problems, found)
	v.tellObjects(problems, found)
	found += int64(len(v.signed))
	r.ev.Left, r.ev.Affected = found, v.affected(problems)
	r.sum.Objects, r.sum.Stored, r.sum.Errors = r.ev.Put+r.ev.Parities, r.ev.PutBytes, found
	if r.dry {
		r.sum.Objects, r.sum.Stored = 0, 0
	}
	r.Tell(r.ev)
	if found == 0 {
		return nil
	}
	v.tellAffected(ctx, r.ev.Affected)
	if err := r.tellWays(ctx); err != nil {
		return err
	}
	return v.err(problems, found, r.ev.Affected)
}

// leftOver is an object that is not as it should be, and why it could not be put back.
func (r *repairing) leftOver(key string, item *badItem) events.Problem {
	ev := events.Problem{Kind: string(item.kind), Key: key, Reason: item.reason,
		Snapshots: r.needing(key)}
	switch {
	case r.found.barred[key]:
		ev.Reason += "; it is not put back, since prune has condemned it"
	case item.why != "":
		ev.Reason += "; " + item.why
	}
	return ev
}

// tellWays says what can be done about what is left.
func (r *repairing) tellWays(ctx context.Context) error {
	f := &r.found
	if f.mayNot != nil {
		r.Warn("repair on a machine that may prune: vaultik store info names them",
			"names cannot be taken off what is condemned: %v", f.mayNot)
	}
	if r.from == nil {
		r.Note("if there is a mirror of the store: %s", r.here("repair --from URL"))
	}
	newest := map[string]bool{}
	heads, _ := r.signed.cat.heads()
	for _, row := range heads {
		newest[row.ID()] = true
	}
	own, others := 0, map[string]bool{}
	for key := range f.items {
		switch o, err := layout.Parse(key); {
		case err != nil || o.Kind != layout.KindBlob:
		case !slices.ContainsFunc(r.needing(key), func(id string) bool { return newest[id] }):
		case r.op.Host != nil && o.Host == r.op.Host.ID:
			own++
		default:
			others[o.Host.String()] = true
		}
	}
	if own > 0 {
		if err := r.forgetBlobs(ctx); err != nil {
			return err
		}
		r.Note("the next backup of this host reads its files again, and stores anew what they "+
			"still hold of %s: %s", words.Plural(int64(own), "blob", "blobs"), r.here("backup"))
	}
	for _, host := range slices.Sorted(maps.Keys(others)) {
		r.Note("host %s stores anew what its files still hold; there: vaultik repair --read-data "+
			"&& vaultik backup", host)
	}
	if way := r.removeWay(); way != "" {
		r.Note("only if there is no other copy: %s", way)
	}
	if len(r.ev.Affected) > 0 {
		r.Note("an affected snapshot restores without what it lacks, which is named then: "+
			"vaultik restore ID; to give it up: %s", r.here("snapshot remove ID"))
	}
	return nil
}

// forgetBlobs makes the index of this host forget its blobs that are damaged: the next backup
// would rely on them, if the store lists them.
func (r *repairing) forgetBlobs(ctx context.Context) error {
	conf, err := r.config()
	if err != nil || r.locked == nil || r.dry || r.op.Mirror {
		return err
	}
	if _, err := os.Stat(r.places.IndexDir(conf)); errors.Is(err, os.ErrNotExist) {
		return nil // it vouches for nothing
	}
	var names []blob.Name
	for key := range r.found.items {
		o, err := layout.Parse(key)
		if err == nil && o.Kind == layout.KindBlob && o.Host == r.op.Host.ID {
			names = append(names, o.Sum)
		}
	}
	ix, err := r.openIndex(conf, r.op)
	if err != nil {
		return err
	}
	err = errors.Join(ix.DropBlobs(names), ix.Sync(), ix.Close())
	if err != nil {
		return fmt.Errorf("make the index forget damaged blobs: %w", err)
	}
	return ctx.Err()
}
