package engine

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"vaultik/actors"
	"vaultik/actors/mirror"
	"vaultik/backends"
	"vaultik/backends/aside"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/messages"
	"vaultik/vault/snapshot"
)

// CopyOptions say where a mirror is.
type CopyOptions struct {
	To       string // URL or path
	New      bool   // begin anew where a mirror was that is gone
	ReadData bool   // also read what the target has already
}

// CopyResult is what a copy has done, also if it ended early.
type CopyResult struct {
	events.Totals
	Copied   events.Copied
	Whole    bool // it went through
	Duration time.Duration
}

// Copy brings a mirror of the store up to date, or makes one. It needs no key. It tells
// of each [events.Problem], then [events.Copied], then which snapshots are
// [events.Affected].
func (e *Engine) Copy(ctx context.Context, o CopyOptions, sink events.Sink) (CopyResult, error) {
	j := e.begin("store copy", sink)
	res, err := attended(ctx, j, func() (CopyResult, error) { return j.copy(ctx, o) })
	res.Totals = j.totals()
	return res, err
}

func (j *job) copy(ctx context.Context, o CopyOptions) (res CopyResult, err error) {
	to, err := config.StoreURL(o.To)
	if err != nil {
		return res, fault.Misuse("store copy", "--to: "+err.Error())
	}
	parallel, memory, err := j.effort()
	if err != nil {
		return res, err
	}
	op, err := j.openStore(ctx, backends.Options{ReadOnly: true})
	if err != nil {
		return res, err
	}
	defer op.Close()
	err = aside.Do(ctx, func(context.Context) error { return notItself("--to", op.URL, to) })
	if err != nil {
		return res, err
	}
	if j.home(to) { // what comes back there must not meet a prune that does not wait
		unlock, err := j.lockHost()
		if err != nil {
			return res, err
		}
		defer unlock()
	}
	cat, err := j.catalog(ctx, op)
	if err != nil {
		return res, err
	}
	m, err := j.openMirror(ctx, cat, to, o.New)
	if err != nil {
		return res, err
	}
	defer func() { _ = m.backend.Close() }()
	return m.update(ctx, cat, o, parallel, memory)
}

// update brings the mirror what it lacks.
func (m *mirrorPlace) update(ctx context.Context, cat *catalog, o CopyOptions, parallel int,
	memory int64) (res CopyResult, err error) {
	if err := m.pin(); err != nil {
		m.Warn("", "cannot record the mirror: %v", err)
	}
	v := &verification{job: m.job, cat: cat, rows: cat.rows, signed: cat.problems}
	v.tellSigned()
	rep, err := m.bring(ctx, o, parallel, memory)
	if rep == nil {
		return res, err
	}
	if nerr := m.note(rep); nerr != nil {
		m.Warn("", "cannot record what the mirror has: %v", nerr)
	}
	res.Duration = rep.Duration
	res.Copied, res.Whole, err = m.report(ctx, v, rep, err)
	return res, err
}

// bring runs the actors.
func (m *mirrorPlace) bring(ctx context.Context, o CopyOptions, parallel int,
	memory int64) (*mirror.Report, error) {
	spec := &mirror.Spec{
		From: m.op.Backend, To: m.backend, Opened: m.op.Store, Heads: m.heads, There: m.there,
		Damaged: m.damaged, ReadData: o.ReadData,
		Conditional: m.info.ConditionalPut, Parallel: parallel, Memory: memory,
		Progress:  &messages.Progress{},
		OnReplace: func(key string) { m.Note("replaced %s, which was damaged in the target", key) },
		Snapshots: loaded(m.rows),
	}
	system := actors.NewSystem(nil)
	defer system.Close()
	stop := m.show(spec.Progress)
	defer stop()
	return mirror.Run(ctx, system, spec)
}

// notItself refuses a mirror that is the store itself, as far as that can be told: who
// believes to have two of what there is only once may lose both.
func notItself(option, store, to string) error {
	msg := ""
	a, b := config.FilePath(store), config.FilePath(to)
	switch {
	case store == to:
		msg = option + " is the store itself"
	case a == "" || b == "":
	case isSameDir(a, b):
		msg = fmt.Sprintf("%s is the store itself, %s, under another name", option, a)
	case within(a, b), within(b, a):
		msg = option + ": store and mirror must not contain each other"
	}
	if msg == "" {
		return nil
	}
	return &fault.UsageError{Msg: msg,
		Advice: "choose another place, preferably on another disk: " + option + " URL"}
}

func isSameDir(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	two, err := os.Stat(b)
	return err == nil && os.SameFile(one, two)
}

// report tells what was copied and returns what is to be said of it as an error.
func (m *mirrorPlace) report(ctx context.Context, v *verification, rep *mirror.Report,
	err error) (ev events.Copied, whole bool, _ error) {
	var problems []events.Problem
	for _, p := range rep.Problems {
		ev := ofObject(p)
		if rep.Saved[p.Key] {
			ev.Reason += "; the target has it"
		}
		problems = append(problems, ev)
	}
	problems, found := v.withoutRemoved(ctx, problems, rep.Found)
	v.tellObjects(problems, found)
	found += int64(len(v.signed))
	m.sum.BytesRead, m.sum.Stored, m.sum.Objects, m.sum.Errors = rep.Read, rep.SentBytes, rep.Sent,
		found
	ev = events.Copied{Type: "copied", Store: m.op.Store.Doc.Store.String(),
		To: backends.Redact(m.url), Snapshots: rep.Snapshots, New: rep.New,
		Objects: rep.Objects, Bytes: rep.Bytes, There: rep.There, Sent: rep.Sent,
		SentBytes: rep.SentBytes, Replaced: rep.Replaced,
		Read: rep.Read, Spare: rep.Spare, Extra: m.extra, Problems: found}
	m.Tell(ev)
	if err != nil {
		if ctx.Err() != nil {
			m.Note("interrupted: %s, %s copied; rerun the same command to resume",
				words.Plural(rep.Sent, "object", "objects"), words.Size(rep.SentBytes))
			return ev, false, ErrInterrupted
		}
		return ev, false, m.failed(err)
	}
	m.remark(rep)
	affected := v.affected(problems)
	if found > 0 {
		v.tellAffected(ctx, affected)
	}
	return ev, true, v.err(problems, found, affected)
}

// remark says what else there is to know of a copy.
func (m *mirrorPlace) remark(rep *mirror.Report) {
	if rep.Spare > 0 {
		m.Note("skipped: %s, %s, not needed by any snapshot: from a running or interrupted backup",
			words.Plural(rep.Spare, "object", "objects"), words.Size(rep.SpareSize))
	}
	if m.extra > 0 {
		m.Note("the target has %s that the source no longer has: kept",
			words.Plural(int64(m.extra), "snapshot", "snapshots"))
	}
	if !m.info.ConditionalPut && m.op.Store.Doc.Safety == "" {
		m.Note(
			"%s cannot create an object only if absent, which this store requires: the mirror "+
				"can be read and restored, but not backed up to", backends.Redact(m.url))
	}
}

// failed is a copy that ended early, with a hint that fits the place that failed.
func (m *mirrorPlace) failed(err error) error {
	var target *mirror.TargetError
	if errors.As(err, &target) {
		return m.targetError(err)
	}
	return err
}

// targetError gives an error of the target a hint of its own: those of its kind speak
// of the store.
func (m *mirrorPlace) targetError(err error) error {
	hint := ""
	switch {
	case errors.Is(err, backends.ErrNoSpace):
		hint = "free some space there, then rerun to resume"
	case errors.Is(err, backends.ErrReadOnly), errors.Is(err, backends.ErrPermission):
		hint = "give this user access to the target, or use another: --to URL"
	case errors.Is(err, backends.ErrContainerNotFound):
		hint = "is it mounted? mount it, then rerun the command"
	case errors.Is(err, snapshot.ErrFork):
		hint = "check it: vaultik --store " + config.Quote(m.url) + " verify"
	}
	if hint == "" {
		return err
	}
	return fault.WithHint(err, hint)
}

// pin remembers that the place is a mirror: before the first object, since a copy that
// is killed leaves one, too.
func (m *mirrorPlace) pin() error {
	if m.home(m.url) { // it was brought back from a mirror
		return nil
	}
	doc := &m.op.Store.Doc
	err := m.state.UpdateKnown(func(k *config.Known) error {
		k.Pin(config.KnownStore{Store: doc.Store, URL: m.url, Owner: doc.Owner.Fingerprint(),
			Since: time.Now().UTC().Truncate(time.Second), Mirror: true})
		return nil
	})
	if err != nil || !m.fresh {
		return err
	}
	return m.state.UpdateSeen(func(seen *config.Seen) error { // of a mirror that was there before
		delete(seen.Mirrors, m.url)
		return nil
	})
}

// note remembers what the mirror has now, if it has everything.
func (m *mirrorPlace) note(rep *mirror.Report) error {
	if m.home(m.url) || rep.Snapshots < len(m.rows) {
		return nil
	}
	newest := map[chain]*row{}
	for _, r := range m.rows {
		if n := newest[r.chain()]; n == nil || r.Seq > n.Seq {
			newest[r.chain()] = r
		}
	}
	return m.state.UpdateSeen(func(seen *config.Seen) error {
		st := seen.Mirror(m.url)
		st.Trust = config.Point{Seq: m.op.Store.TrustSeq, Sum: m.op.Store.TrustSum}
		for k, r := range newest {
			if m.ahead[k] < r.Seq {
				st.Note(k.host, k.set, config.Point{Seq: r.Seq, Sum: hex.EncodeToString(r.Sum[:])})
			}
		}
		return nil
	})
}
