package restore

import (
	"context"
	"fmt"
	"testing"

	"vaultik/actors"
	"vaultik/vault/page"
	"vaultik/vault/plan"
)

// What is known of hard links grows with their number. It is taken from the memory
// for blobs, of which one buffer always stays.
func TestPlanner_ChargesHardLinks(t *testing.T) {
	run := &restoreRun{}
	defer run.mem.Close()
	run.blobs = actors.NewBudget(&run.mem, 4, 1<<20)
	p := &restorePlanner{run: run}
	n := 0
	grow := func(to int64) {
		t.Helper()
		for p.links.Memory() < to {
			e := page.Entry{Path: fmt.Sprintf("d%d/f%d", n/100, n), Type: page.File}
			e.HL = fmt.Sprintf("%016x", n)
			n++
			j, err := p.links.Join(&e, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			p.led(&filePlan{item: &restoreItem{Path: e.Path, Entry: e}, group: j.Group},
				plan.StatusRestored)
		}
	}
	for i, c := range []struct{ memory, given int64 }{
		{linksFixed - 100, 0},
		{linksFixed + 100, 1},
		{linksFixed + blobMemory + 100, 2},
		{linksFixed + 4*blobMemory, 3},
	} {
		if grow(c.memory); run.charged != c.given {
			t.Errorf("%d: %d buffers are given up for %d files, want %d", i, run.charged, n, c.given)
		}
	}
	if _, err := run.blobs.Acquire(context.Background()); err != nil {
		t.Error(err)
	}
	t.Logf("%d files with several names take %d bytes", n, p.links.Memory())
}
