package backup

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"vaultik/index"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/page"
)

const (
	// A blob is sparse if sets use less of it than this, in percent.
	sparsePercent = 50
	// restDays is how long a blob must have been sparse. What is deleted from now on need not
	// be stored anew, and the snapshots of these days hold the blob anyway.
	restDays = 7
)

// compaction has a run store anew what it uses of sparse blobs, so that no later snapshot
// needs them: they go when prune has deleted the older ones. It needs no key, since the chunks
// are read from the files, which are as they were; a piece of a file that is not stays where it
// was stored. What the sets use is counted in each run, for the next one to choose by.
type compaction struct {
	run    *backupRun
	before []index.Use             // by the snapshot before, of this set
	others map[index.BlobNum]int64 // bytes that other sets use
	from   map[*blob.Info]bool     // blobs that are to be left
	left   atomic.Int64            // bytes that may still be stored anew
	spent  atomic.Bool             // that was not enough
	stored atomic.Int64            // bytes of contents stored anew
}

// choose chooses blobs: the sparsest, as many as can be left whole within the budget. It is not
// worth it before they would free a blob.
func (p *compaction) choose() {
	budget := p.run.spec.CompactBudget
	if budget == 0 {
		return
	}
	p.others, p.from = map[index.BlobNum]int64{}, map[*blob.Info]bool{}
	for set, uses := range p.run.spec.Index.Uses() {
		if set == p.run.spec.Set {
			p.before = uses
			continue
		}
		for _, u := range uses {
			p.others[u.Blob] += u.Live
		}
	}
	var due []index.Use
	for _, u := range p.before {
		if u.Low > 0 && u.Live > 0 && p.today()-u.Low >= restDays && p.sparse(u) {
			due = append(due, u)
		}
	}
	slices.SortFunc(due, func(a, b index.Use) int {
		return cmp.Compare(float64(a.Live)/float64(p.raw(a.Blob)),
			float64(b.Live)/float64(p.raw(b.Blob)))
	})
	var live, dead int64
	for _, u := range due {
		info, ok := p.run.blobs.info(u.Blob)
		if !ok || live+u.Live > budget {
			continue
		}
		p.from[info] = true
		live += u.Live
		dead += p.raw(u.Blob) - u.Live - p.others[u.Blob]
	}
	if dead < p.run.spec.BlobSize {
		clear(p.from)
	}
	p.left.Store(budget)
}

// today is the day, in days since 1970.
func (p *compaction) today() int64 { return p.run.began.Unix() / int64(24*time.Hour/time.Second) }

// raw is how many bytes of chunks a blob has, or at least.
func (p *compaction) raw(n index.BlobNum) int64 {
	if raw := p.run.spec.Index.Raw(n); raw > 0 {
		return raw
	}
	in, _ := p.run.spec.Index.Blob(n) // it was indexed without its table
	return in.Size
}

// sparse reports whether little of a blob is used, by all sets.
func (p *compaction) sparse(u index.Use) bool {
	return (u.Live+p.others[u.Blob])*100 < p.raw(u.Blob)*sparsePercent
}

// leaves reports whether a blob is to be left.
func (p *compaction) leaves(b *blob.Info) bool { return len(p.from) > 0 && p.from[b] }

// take takes bytes out of the budget, if there are so many.
func (p *compaction) take(n int64) bool {
	if p.left.Add(-n) >= 0 {
		return true
	}
	p.left.Add(n)
	p.spent.Store(true)
	return false
}

// rewrites reports whether a page that could stay is written anew, since it or what it
// refers to is in a blob that is to be left.
func (p *compaction) rewrites(row *index.Leaf) bool {
	if len(p.from) == 0 {
		return false
	}
	for _, n := range append([]index.BlobNum{row.Page.Blob}, row.Blobs...) {
		if info, ok := p.run.blobs.info(n); ok && p.from[info] {
			return p.take(int64(row.Page.Span.Len))
		}
	}
	return false
}

// move gives a known file the places of what was stored anew by now. It reports whether there
// is more of it in blobs that are to be left, and that may be stored anew.
func (p *compaction) move(refs []page.Ref) (anew bool, err error) {
	if len(p.from) == 0 {
		return false, nil
	}
	var ids []chunk.ID
	var at []int
	for i := range refs {
		if p.leaves(refs[i].Blob) {
			ids, at = append(ids, refs[i].ID), append(at, i)
		}
	}
	locs, bytes := make([]index.Loc, len(ids)), int64(0)
	if err := p.run.spec.Index.Chunks(ids, locs); err != nil {
		return false, err
	}
	for k, i := range at {
		if info, ok := p.run.blobs.info(locs[k].Blob); ok && !p.leaves(info) {
			refs[i].Blob, refs[i].Span = info, locs[k].Span
		} else {
			bytes += refs[i].Length()
		}
	}
	return bytes > 0 && p.take(bytes), nil
}

// uses is what the snapshot uses, by the numbers of blobs; false if that is what is known.
func (p *compaction) uses() (uses []index.Use, changed bool) {
	since := make(map[index.BlobNum]int64, len(p.before))
	for _, u := range p.before {
		since[u.Blob] = u.Low
	}
	ix := p.run.spec.Index
	p.run.blobs.eachNeeded(func(b *knownBlob) {
		n, ok := ix.Num(b.Name)
		if !ok {
			return
		}
		raw := p.raw(n)
		u := index.Use{Blob: n, Live: min(b.live, raw)}
		if b.own {
			u.Live = raw // it was stored for this snapshot
		}
		if p.sparse(u) {
			u.Low = p.today()
			// One that could not be left, though the budget was enough, waits once more.
			if low := since[n]; low > 0 && (p.spent.Load() || !p.leaves(&b.Info)) {
				u.Low = low
			}
		}
		uses = append(uses, u)
	})
	slices.SortFunc(uses, func(a, b index.Use) int { return cmp.Compare(a.Blob, b.Blob) })
	return uses, !slices.Equal(uses, p.before)
}

// result is how much was stored anew, and which blobs were left for it.
func (p *compaction) result() (r Compacted) {
	r.Bytes = p.stored.Load()
	for b := range p.from {
		if !p.run.blobs.needed(b.Name) {
			r.Blobs++
			r.Left += b.Size
		}
	}
	return r
}
