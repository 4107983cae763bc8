package verify

import (
	"context"
	"slices"
	"sync"

	"vaultik/vault/chunk"
	"vaultik/vault/page"
)

// aheadBytes bounds the frames that are read ahead, in bytes as they are stored. Pages
// shrink to a sixth or so.
const aheadBytes = 3 << 20

// ahead reads pages before the walk comes to them, so that a store far away is asked for
// several at once. Only the inspector uses it.
type ahead struct {
	parallel int
	skip     func(w *wanted) bool // it is known by now
	read     func(ctx context.Context, w *wanted)

	tops  []*wanted // of the snapshots to come
	queue []*wanted // below the top of this one, in the order of the walk
	under map[chunk.ID]*wanted
	bytes int64 // of under
	wait  sync.WaitGroup
}

// wanted is a page that the walk will come to.
type wanted struct {
	ref  page.Ref
	from *source
	top  bool
}

// want puts pages in front of all others that are wanted.
func (a *ahead) want(from *source, refs []page.Ref) {
	front := make([]*wanted, 0, len(refs)+len(a.queue))
	for _, r := range refs {
		front = append(front, &wanted{ref: r, from: from})
	}
	a.queue = append(front, a.queue...)
}

// visited says that the walk has come to a page.
func (a *ahead) visited(id chunk.ID) {
	if w := a.under[id]; w != nil {
		a.forget(w)
		return
	}
	is := func(w *wanted) bool { return w.ref.ID == id }
	if i := slices.IndexFunc(a.queue, is); i >= 0 {
		a.queue = a.queue[i+1:] // what was before it has turned out to be known
	}
}

func (a *ahead) forget(w *wanted) {
	delete(a.under, w.ref.ID)
	a.bytes -= int64(w.ref.Span.FrameLen)
}

// next begins a snapshot: what was wanted of the one before is not wanted any more.
func (a *ahead) next() {
	a.queue = nil
	for _, w := range a.under {
		if !w.top {
			a.forget(w)
		}
	}
}

// fill reads as much as may be read.
func (a *ahead) fill(ctx context.Context) {
	for len(a.under) < a.parallel && (a.bytes < aheadBytes || len(a.under) == 0) {
		from := &a.queue
		if len(a.queue) == 0 {
			from = &a.tops
		}
		if len(*from) == 0 {
			return
		}
		w := (*from)[0]
		*from = (*from)[1:]
		if a.under[w.ref.ID] != nil || a.skip(w) {
			continue
		}
		a.under[w.ref.ID] = w
		a.bytes += int64(w.ref.Span.FrameLen)
		a.wait.Go(func() {
			// The walk reads the same again, in a goroutine whose panic ends the job.
			defer func() { _ = recover() }()
			a.read(ctx, w)
		})
	}
}
