package restore

import (
	"github.com/asynkron/protoactor-go/actor"

	"vaultik/vault/plan"
)

// What the target has already need not be fetched. A file that is to be replaced
// or changed, or the part of a file that an interrupted restore has left, is read at the
// offsets of the snapshot's chunks; those whose ids match are taken from there.

const (
	checkBatch = 256      // pieces of one job
	checkBytes = 16 << 20 // about, of these, so that several writers read one large file
)

// compare has extents of a file compared with its source.
func (p *restorePlanner) compare(f *filePlan, extents []plan.Extent) {
	c := checkPiece{
		Item: f.item, Source: f.Wanted().Source,
		Only: f.Phase() == plan.Comparing, Whole: f.Alone(),
	}
	for i := range extents {
		c.Extent = extents[i]
		p.check = append(p.check, c)
	}
}

// submitChecks gives the writers the pieces that are to be compared.
func (p *restorePlanner) submitChecks(c actor.Context) {
	for len(p.check) > 0 {
		n, bytes := 0, int64(0)
		for n < len(p.check) && n < checkBatch {
			bytes += int64(p.check[n].Ref.Span.Len) // a hole costs little
			if n > 0 && bytes > checkBytes {
				break
			}
			n++
		}
		p.write(c, writing{Check: p.check[:n:n]})
		p.check = p.check[n:]
	}
	p.check = nil
}

// checked takes a writer's report on pieces. missing has the numbers, ascending, of those
// that are not in their source.
func (p *restorePlanner) checked(job []checkPiece, missing []int) {
	for i := 0; i < len(job) && p.full == nil; {
		it := job[i].Item
		var present, lacking []plan.Extent
		for ; i < len(job) && job[i].Item == it; i++ {
			if len(missing) > 0 && missing[0] == i {
				missing = missing[1:]
				lacking = append(lacking, job[i].Extent)
			} else {
				present = append(present, job[i].Extent)
			}
		}
		f := p.file(it)
		p.do(f, f.Checked(present, lacking))
	}
}
