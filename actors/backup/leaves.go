package backup

import (
	"github.com/asynkron/protoactor-go/actor"

	"vaultik/messages"
	"vaultik/vault/blob"
	"vaultik/vault/page"
)

func (t *treeBuilder) entriesPlaced(_ actor.Context, m *entriesPlaced) {
	l := t.leaves[m.Leaf]
	if l == nil {
		return // a second attempt at what the first had finished
	}
	for i := range m.Pieces {
		p := &m.Pieces[i]
		e := &l.entries[p.Index]
		if e.done != nil || m.Attempt < e.attempt {
			continue
		}
		if m.Attempt > e.attempt || p.Restart {
			e.attempt, e.pieces = m.Attempt, e.pieces[:0]
			t.show(e, -e.shown)
		}
		if !p.Restart {
			e.pieces = append(e.pieces, *p)
			t.show(e, p.Ref.Length())
			t.awaitFrame(l, p.Frame)
		}
	}
	for i := range m.Done {
		d := &m.Done[i]
		e := &l.entries[d.Index]
		if e.done != nil {
			continue
		}
		if m.Attempt > e.attempt {
			e.attempt, e.pieces = m.Attempt, nil // this attempt has none
		}
		t.show(e, -e.shown) // account counts it as a whole
		e.done = d
		l.left--
		t.account(l, d)
	}
	t.check(l)
}

// show adds to what progress shows of an entry under way.
func (t *treeBuilder) show(e *entryState, bytes int64) {
	e.shown += bytes
	t.run.spec.Progress.BytesDone.Add(bytes)
}

func (t *treeBuilder) awaitFrame(l *leafState, frame uint64) {
	if frame == 0 {
		return
	}
	if _, ok := l.frames[frame]; ok {
		return
	}
	f, ok := t.resolved[frame]
	l.frames[frame] = f
	if !ok {
		l.unresolved++
		t.waiting[frame] = append(t.waiting[frame], l)
	}
}

// resolve learns where frames went; info nil means the adopted blob.
func (t *treeBuilder) resolve(frames []framePlace, info *blob.Info) {
	for _, f := range frames {
		r := resolvedFrame{info, f.Off, f.Len}
		t.resolved[f.Frame] = r
		for _, l := range t.waiting[f.Frame] {
			l.frames[f.Frame] = r
			l.unresolved--
			t.check(l)
		}
		delete(t.waiting, f.Frame)
	}
}

// check moves a leaf on when nothing of it is missing.
func (t *treeBuilder) check(l *leafState) {
	blocked := l.left == 0 && l.unresolved > 0
	if blocked != l.blocked {
		l.blocked = blocked
		if blocked {
			t.blocked++
		} else {
			t.blocked--
		}
	}
	if l.left == 0 && l.unresolved == 0 && !l.queued {
		l.queued = true
		t.ready = append(t.ready, l)
	}
}

func (t *treeBuilder) account(l *leafState, d *entryDone) {
	p := t.run.spec.Progress
	if d.Stat.Type == page.File {
		p.FilesDone.Add(1)
		p.BytesDone.Add(d.Stat.Size)
		p.BytesRead.Add(d.BytesRead)
	}
	if d.Reason != "" {
		t.run.tally.problem(d)
	} else if d.Stat.Type == page.File && d.Status != messages.StatusUnchanged {
		t.run.tally.saved(d)
	}
}
