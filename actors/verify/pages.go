package verify

import (
	"context"
	"slices"
	"sync/atomic"

	"vaultik/actors"
	"vaultik/actors/survey"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/layout"
	"vaultik/vault/page"
	"vaultik/vault/plan"
	"vaultik/vault/read"
)

// checkRefs is how many references wait for the table of their blob.
const checkRefs = 32 << 10

// Memory of a check of pages, in bytes. With ReadData buffers take the rest.
const (
	seenMemory  = 6 << 20
	tableMemory = 6 << 20
	frameMemory = 8 << 20
)

// pages is what the walks through all snapshots share: a page that several snapshots have is
// read once, and so is the table of a blob that pages of several snapshots refer to.
type pages struct {
	n       *inspector
	seen    *recent[mark, *seenPage]
	tables  *tables
	ahead   *ahead
	sources map[sourceKey]*source
	needs   bitset // by object: the manifest of the snapshot at hand names it
}

// source is where the pages of a host are read that were written under one secret.
type source struct {
	host    int // by number
	reader  *read.Reader
	waiting plan.Blobs[place] // references whose blob's table is to be read
}

type sourceKey struct {
	host   int
	secret [32]byte
}

// place is an entry of a snapshot.
type place struct {
	path     string
	snapshot int // by number
}

// counted is a store whose bytes are counted.
type counted struct {
	actors.Objects
	count *atomic.Int64
}

func (c counted) Range(ctx context.Context, key string, off, n int64) ([]byte, error) {
	b, err := c.Objects.Range(ctx, key, off, n)
	c.count.Add(int64(len(b)))
	return b, err
}

func (c counted) Head(ctx context.Context, key string, n int64) ([]byte, error) {
	b, err := c.Objects.Head(ctx, key, n)
	c.count.Add(int64(len(b)))
	return b, err
}

func newPages(n *inspector) *pages {
	spare := n.run.Spare(n.run.spec.ReadData)
	p := &pages{n: n, seen: newRecent[mark, *seenPage](seenMemory + spare/8),
		tables: newTables(tableMemory + spare/8), sources: map[sourceKey]*source{},
		needs: newBitset(n.run.survey.Inventory.Len())}
	p.ahead = &ahead{parallel: n.run.Parallel, under: map[chunk.ID]*wanted{},
		skip: func(w *wanted) bool {
			_, known := p.seen.get(topMark(w.from.host, &w.ref))
			return w.top && known
		},
		read: func(ctx context.Context, w *wanted) {
			_, _ = p.read(ctx, w.from, w.ref) // the walk meets the error, too
		}}
	return p
}

// check checks every page of all snapshots once.
func (p *pages) check(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer p.ahead.wait.Wait()
	defer cancel()
	for i := range p.n.snaps {
		if s := &p.n.snaps[i]; s.root != nil && s.root.Top != nil {
			p.ahead.tops = append(p.ahead.tops,
				&wanted{ref: s.root.Top.Ref(), from: p.source(s), top: true})
		}
	}
	p.n.ofSnapshots("check pages", len(p.n.snaps))
	for i := range p.n.snaps {
		s := &p.n.snaps[i]
		if s.root == nil || s.root.Top == nil {
			continue
		}
		p.n.run.spec.Progress.FilesDone.Store(int64(i + 1))
		if err := p.walk(ctx, s); err != nil {
			return err
		}
		s.root = nil // there may be thousands of them
	}
	for _, from := range p.sources {
		for from.waiting.Pieces() > 0 {
			if err := p.take(from); err != nil {
				return err
			}
		}
	}
	return nil
}

// source is where a snapshot's pages are read.
func (p *pages) source(s *inspected) *source {
	run := p.n.run
	k := sourceKey{s.HostNum, s.root.Secret.ChunkID()}
	from := p.sources[k]
	if from == nil {
		store := counted{actors.Objects{Store: run.spec.Store}, &run.survey.Fetched}
		from = &source{host: s.HostNum,
			reader: read.New(store, s.root, run.hosts[s.HostNum].ids)}
		from.reader.Keep(2*run.Parallel+openBlobs, frameMemory)
		from.reader.OnDamage = func(info *blob.Info, err error) { p.damaged(from, info, err) }
		p.sources[k] = from
	}
	return from
}

// openBlobs is how many blobs stay open beside those that are read ahead, for which there is
// room twice: one that was pushed out before the walk came to it is opened again, and without
// room for both it would push out the next.
const openBlobs = 16

// tableOf returns the sums of the table of a blob, which it reads unless they are known.
func (p *pages) tableOf(ctx context.Context, from *source, info *blob.Info) ([]uint64, error) {
	k := tableKey{from.host, *info}
	if sums, ok := p.tables.get(k); ok {
		return sums, nil
	}
	rows, err := from.reader.Table(ctx, *info)
	if err != nil {
		return nil, err
	}
	return p.tables.put(k, rows), nil
}

// read reads a page, and the table of its blob while that is open.
func (p *pages) read(ctx context.Context, from *source, ref page.Ref) ([]byte, error) {
	b, err := from.reader.Chunk(ctx, ref)
	if err == nil {
		_, _ = p.tableOf(ctx, from, ref.Blob) // an error comes again where the table is needed
	}
	return b, err
}

// damaged reports a blob of pages that is damaged, unless it is known to be. It is called
// from any goroutine.
func (p *pages) damaged(from *source, info *blob.Info, err error) {
	sv := p.n.run.survey
	if i, ok := sv.Inventory.FindBlob(from.host, info.Name); ok && !slices.Contains(sv.Bad(), i) {
		p.n.aside.Tell(&problemFound{survey.Of(err, sv.Inventory.Key(i), sv.IDs(i)...)})
	}
}

// take has the references to one blob checked.
func (p *pages) take(from *source) error {
	l := from.waiting.Take()
	host := p.n.run.survey.Inventory.Hosts()[from.host]
	return p.n.submit(checking{
		Refs: &refsCheck{From: from, Pages: p, Key: layout.Blob(host, l.Info.Name), Lease: l},
	})
}
