package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"vaultik/actors"
	copying "vaultik/actors/mirror"
	"vaultik/backends"
	"vaultik/config"
	"vaultik/messages"
	"vaultik/vault/snapshot"
)

type storeCopyCmd struct {
	To       string `required:"" help:"Where the mirror is, or is to be: a directory, s3://BUCKET/PREFIX or rclone://REMOTE/PATH." placeholder:"URL"`
	New      bool   `help:"Begin anew where a mirror was that is gone."`
	ReadData bool   `help:"Also read what the target has already, and replace what is damaged there."`
	Parallel int    `help:"Transfers at once, 1 to 64 (default: the configuration's)." placeholder:"N"`
}

// Help is shown by --help.
func (storeCopyCmd) Help() string {
	return `Copies all that the snapshots of a store need to another place, of whatever kind, and
then the snapshots: they can be read, verified and restored there. It needs no key. Run
again it copies what is new; interrupted or killed it goes on, and what is in the target
is a whole store all the time. The SHA-256 of each object is checked on its way;
what is damaged is named, not copied, and the exit code is 13.

Nothing is deleted in the target, and nothing of another store, or of one whose
snapshots are others, is touched.`
}

// copiedEvent is what store copy has done, also if it ended early.
type copiedEvent struct {
	Type      string `json:"type"` // copied
	Store     string `json:"store"`
	To        string `json:"to"`        // without secrets
	Snapshots int    `json:"snapshots"` // of the source that the target has now
	New       int    `json:"new_snapshots"`
	Objects   int64  `json:"objects"` // that the snapshots need
	Bytes     int64  `json:"bytes"`   // of these
	There     int64  `json:"objects_there"`
	Sent      int64  `json:"objects_sent"`
	SentBytes int64  `json:"bytes_sent"`
	Replaced  int64  `json:"objects_replaced"`
	Read      int64  `json:"bytes_read"`
	Spare     int64  `json:"objects_left_out"`
	Extra     int    `json:"snapshots_kept"` // that only the target has
	Problems  int64  `json:"problems"`
}

// Run copies.
func (c *storeCopyCmd) Run(ctx context.Context, s *session) error {
	to, err := config.StoreURL(c.To)
	if err != nil {
		return &usageError{msg: "--to: " + err.Error(), command: "store copy"}
	}
	parallel, memory, err := s.settings(c.Parallel)
	if err != nil {
		return err
	}
	op, err := s.openStore(ctx, backends.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer op.Close()
	if err := notItself(op.URL, to); err != nil {
		return err
	}
	cat, err := s.catalog(ctx, op)
	if err != nil {
		return err
	}
	m, err := s.openMirror(ctx, cat, to, c.New)
	if err != nil {
		return err
	}
	defer func() { _ = m.backend.Close() }()
	if err := m.pin(); err != nil {
		s.out.warn("", "cannot remember the mirror: %v", err)
	}
	v := &verification{s: s, cat: cat, rows: cat.rows, signed: cat.problems}
	for _, p := range cat.problems {
		v.sayProblem(v.ofManifest(p))
	}
	spec := &copying.Spec{
		From: op.Backend, To: m.backend, Opened: op.Store, Heads: m.heads, There: m.there, Damaged: m.damaged, ReadData: c.ReadData,
		Conditional: m.info.ConditionalPut, Parallel: parallel, Memory: memory, Progress: &messages.Progress{},
		OnReplace: func(key string) { s.out.note("replaced %s, which was damaged in the target", key) },
	}
	for _, r := range cat.rows {
		spec.Snapshots = append(spec.Snapshots, r.Loaded)
	}
	system := actors.NewSystem(nil)
	defer system.Close()
	stop := s.showProgress(spec.Progress)
	rep, err := copying.Run(ctx, system, spec)
	stop()
	if rep == nil {
		return err
	}
	if nerr := m.note(rep); nerr != nil {
		s.out.warn("", "cannot remember what the mirror has: %v", nerr)
	}
	return m.report(ctx, v, rep, err)
}

// notItself refuses a target that is the store itself, as far as that can be told: who
// believes to have two of what there is only once may lose both.
func notItself(store, to string) error {
	msg := ""
	a, b := filePath(store), filePath(to)
	switch {
	case store == to:
		msg = "--to is the store itself"
	case a == "" || b == "":
	case isSameDir(a, b):
		msg = fmt.Sprintf("--to is the store itself, %s, under another name", a)
	case within(a, b), within(b, a):
		msg = "--to: one of store and target lies inside the other"
	}
	if msg == "" {
		return nil
	}
	return &usageError{msg: msg, hint: "name a place elsewhere, best on another disk: --to URL"}
}

func isSameDir(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	two, err := os.Stat(b)
	return err == nil && os.SameFile(one, two)
}

// report prints what was copied and returns what is to be said of it as an error.
func (m *mirror) report(ctx context.Context, v *verification, rep *copying.Report, err error) error {
	s := m.s
	var problems []problemEvent
	for _, p := range rep.Problems {
		ev := ofObject(p)
		if rep.Saved[p.Key] {
			ev.Reason += "; the target has it"
		}
		problems = append(problems, ev)
		v.sayProblem(ev)
	}
	if more := rep.Found - int64(len(rep.Problems)); more > 0 {
		s.out.result("and %s", plural(more, "problem more", "problems more"))
	}
	found := rep.Found + int64(len(v.signed))
	s.sum.BytesRead, s.sum.Stored, s.sum.Objects, s.sum.Errors = rep.Read, rep.SentBytes, rep.Sent, found
	s.out.event(copiedEvent{Type: "copied", Store: m.op.Store.Doc.Store.String(), To: backends.Redact(m.url), Snapshots: rep.Snapshots, New: rep.New,
		Objects: rep.Objects, Bytes: rep.Bytes, There: rep.There, Sent: rep.Sent, SentBytes: rep.SentBytes, Replaced: rep.Replaced,
		Read: rep.Read, Spare: rep.Spare, Extra: m.extra, Problems: found})
	if err != nil {
		if ctx.Err() != nil {
			s.out.note("interrupted: %s, %s, are in the mirror; the same command goes on from there", plural(rep.Sent, "object", "objects"), size(rep.SentBytes))
			return errInterrupted
		}
		return m.failed(err)
	}
	if rep.Spare > 0 {
		s.out.note("left out: %s, %s, that no snapshot needs: of a backup that runs, or did not finish", plural(rep.Spare, "object", "objects"), size(rep.SpareSize))
	}
	if m.extra > 0 {
		s.out.note("the target has %s that the source has not any more: nothing is deleted there", plural(int64(m.extra), "snapshot", "snapshots"))
	}
	if !m.info.ConditionalPut && m.op.Store.Doc.Safety == "" {
		s.out.note("%s cannot create an object only if absent, which this store asks for: the mirror can be read and restored, backups to it fail", backends.Redact(m.url))
	}
	affected := v.affected(problems)
	if found > 0 {
		v.sayAffected(ctx, affected)
	}
	s.out.result("%s now has %s, %s of them new: %s, %s, copied in %s", backends.Redact(m.url), plural(int64(rep.Snapshots), "snapshot", "snapshots"),
		count(int64(rep.New)), plural(rep.Sent, "object", "objects"), size(rep.SentBytes), took(rep.Duration))
	return v.err(problems, found, affected)
}

// failed is a copy that ended early, with a hint that fits the place that failed.
func (m *mirror) failed(err error) error {
	var target *copying.TargetError
	if errors.As(err, &target) {
		return m.targetError(err)
	}
	return err
}

// targetError gives an error of the target a hint of its own: those of its kind speak
// of the store.
func (m *mirror) targetError(err error) error {
	hint := ""
	switch {
	case errors.Is(err, backends.ErrNoSpace):
		hint = "make space there, then run it again: it goes on"
	case errors.Is(err, backends.ErrReadOnly), errors.Is(err, backends.ErrPermission):
		hint = "give this user access to the target, or name another: --to URL"
	case errors.Is(err, backends.ErrContainerNotFound):
		hint = "is it mounted? then run it again"
	case errors.Is(err, snapshot.ErrFork):
		hint = "see what is there: vaultik --store " + config.Quote(m.url) + " verify"
	}
	if hint == "" {
		return err
	}
	return &hinted{err, hint}
}

// pin remembers that the place is a mirror: before the first object, since a copy that
// is killed leaves one, too.
func (m *mirror) pin() error {
	if m.s.home(m.url) { // it was brought back from a mirror
		return nil
	}
	doc := &m.op.Store.Doc
	err := m.s.state.UpdateKnown(func(k *config.Known) error {
		k.Pin(config.KnownStore{Store: doc.Store, URL: m.url, Owner: doc.Owner.Fingerprint(), Since: time.Now().UTC().Truncate(time.Second), Mirror: true})
		return nil
	})
	if err != nil || !m.fresh {
		return err
	}
	return m.s.state.UpdateSeen(func(seen *config.Seen) error { // of a mirror that was there before
		delete(seen.Mirrors, m.url)
		return nil
	})
}

// note remembers what the mirror has now, if it has everything.
func (m *mirror) note(rep *copying.Report) error {
	if m.s.home(m.url) || rep.Snapshots < len(m.rows) {
		return nil
	}
	newest := map[chain]*row{}
	for _, r := range m.rows {
		if n := newest[r.chain()]; n == nil || r.Seq > n.Seq {
			newest[r.chain()] = r
		}
	}
	return m.s.state.UpdateSeen(func(seen *config.Seen) error {
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

// otherTarget: the place for a mirror holds something else.
type otherTarget struct{ url, what string }

func (e *otherTarget) Error() string { return fmt.Sprintf("copy to %s: %s", e.url, e.what) }
