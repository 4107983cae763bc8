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
// takes the entries of a walk in their order.
type comparer struct {
	ix     *index.Index  // nil: everything is new
	recall *index.Recall // nil: a set that was never saved
	cut    *page.Cutter
	cuts   *page.Run
	stats  *fs.StatHasher
	clocks fs.Clocks

	last string // path of the last entry
	key  index.PathKey
}

func newComparer(op *opened, ix *index.Index) *comparer {
	if op == nil || op.Host == nil || ix == nil {
		return &comparer{}
	}
	secret := op.Host.Secret
	c := &comparer{ix: ix, cut: page.NewCutter(secret.PageCut()),
		stats: fs.NewStatHasher(secret.IndexPath())}
	return c
}

// of begins the walk of a set.
func (c *comparer) of(set layout.SetID, ignore fs.Ignore) {
	c.recall, c.last = nil, ""
	if c.ix != nil && !set.IsZero() {
		c.recall, c.cuts = c.ix.Recall(set), c.cut.Run(0)
		c.recall.Leaf(index.PathKey{})
		c.stats.Ignore = ignore
	}
}

// add takes the next entry; the answer is about files.
func (c *comparer) add(it *fs.WalkItem) messages.Status {
	if c.recall == nil {
		return messages.StatusNew
	}
	if it.Err != nil && it.Path == c.last {
		return messages.StatusNew // about a directory that is an entry already
	}
	c.last = it.Path
	if it.Err == nil {
		defer c.clocks.Saw(&it.Stat, time.Now())
	}
	hash := c.cut.Hash(it.Path)
	key := index.PathKey(hash[16:])
	c.key = key
	status := messages.StatusNew
	if it.Err == nil && it.Stat.Type == page.File {
		if row := c.recall.Find(key); row != nil {
			status = messages.StatusChanged
			sum := c.stats.Sum(it.Path, &it.Stat, c.clocks.Moment(it.Stat.Dev, time.Now()))
			if c.stats.Vouches(fs.StatSum(row.Stat), sum, it.Path, &it.Stat) {
				status = messages.StatusUnchanged
			}
		}
	}
	if c.cuts.Add(it.Path) {
		c.recall.Leaf(key)
	}
	return status
}
