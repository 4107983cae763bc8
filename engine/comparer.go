package engine

import (
	"time"

	"vaultik/index"
	"vaultik/messages"
	"vaultik/vault/fs"
	"vaultik/vault/layout"
	"vaultik/vault/page"
)

// comparer tells by the index which files changed since they were backed up. It
// takes the entries of a walk in their order and finds the rows of a leaf as the
// scanner does: they go by the last path before the leaf.
type comparer struct {
	ix    *index.Index // nil: everything is new
	set   layout.SetID
	cut   *page.Cutter
	cuts  *page.Run
	stats *fs.StatHasher

	started bool          // the rows of the leaf have been looked for
	start   index.PathKey // of the last path before the leaf
	next    index.PathKey // of the last path in memory
	left    int           // neighbouring rows that may still be read for this leaf
	memory  map[index.PathKey]*index.LeafEntry
	last    string // path of the last entry
}

// neighbours is how many rows beyond a leaf's own are read where a leaf was split
// or joined since the last backup; as in the scanner.
const neighbours = 8

func newComparer(op *opened, ix *index.Index) *comparer {
	if op == nil || op.Host == nil || ix == nil {
		return &comparer{}
	}
	secret := op.Host.Secret
	c := &comparer{ix: ix, cut: page.NewCutter(secret.PageCut()),
		stats: fs.NewStatHasher(secret.IndexPath())}
	c.cuts = c.cut.Run(0)
	return c
}

// add takes the next entry; the answer is about files.
func (c *comparer) add(it *fs.WalkItem) messages.Status {
	if c.ix == nil || c.set.IsZero() {
		return messages.StatusNew
	}
	if it.Err != nil && it.Path == c.last {
		return messages.StatusNew // about a directory that is an entry already
	}
	c.last = it.Path
	hash := c.cut.Hash(it.Path)
	key := index.PathKey(hash[16:])
	status := messages.StatusNew
	if it.Err == nil && it.Stat.Type == page.File {
		if row := c.find(key); row != nil {
			status = messages.StatusChanged
			sum := c.stats.Sum(it.Path, &it.Stat, time.Now())
			if !sum.IsZero() && fs.StatSum(row.Stat) == sum {
				status = messages.StatusUnchanged
			}
		}
	}
	if c.cuts.Add(it.Path) {
		c.started, c.start = false, key
	}
	return status
}

// find is what the index knows of a path on the leaf, nil for nothing.
func (c *comparer) find(key index.PathKey) *index.LeafEntry {
	if !c.started {
		c.started, c.left = true, neighbours
		if rows, ok := c.ix.LeafEntries(index.LeafKey{Set: c.set, Last: c.start}); ok {
			c.memory = nil
			c.remember(rows)
		}
	}
	for {
		if row := c.memory[key]; row != nil {
			return row
		}
		if c.memory == nil || c.left == 0 {
			return nil
		}
		c.left--
		rows, ok := c.ix.LeafEntries(index.LeafKey{Set: c.set, Last: c.next})
		if !ok {
			c.left = 0
			return nil
		}
		c.remember(rows)
	}
}

// remember adds a row, whose last entry has the key of the leaf's last path.
func (c *comparer) remember(rows []index.LeafEntry) {
	if c.memory == nil {
		c.memory = make(map[index.PathKey]*index.LeafEntry, len(rows))
	}
	for i := range rows {
		c.memory[rows[i].Path] = &rows[i]
	}
	if n := len(rows); n > 0 {
		c.next = rows[n-1].Path
	}
}
