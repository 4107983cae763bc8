package backup

import "vaultik/vault/page"

// comparison compares what is read of a file with what is known of it. Nil compares
// nothing.
type comparison struct {
	refs    []page.Ref
	next    int
	differs bool
}

// compareWith begins one for a file that is known and read again; nil for others.
func compareWith(t *entryTask) *comparison {
	if !t.Reread {
		return nil
	}
	return &comparison{refs: t.Known.Refs}
}

// restart is for a file that is read once more from its beginning.
func (c *comparison) restart() {
	if c != nil {
		c.next, c.differs = 0, false
	}
}

// add takes the next chunk, by its ID, or hole.
func (c *comparison) add(r page.Ref) {
	if c == nil {
		return
	}
	if c.differs = c.differs || c.next == len(c.refs); !c.differs {
		was := &c.refs[c.next]
		c.differs = was.Hole != r.Hole || r.Hole == 0 && was.ID != r.ID
	}
	c.next++
}

// same reports whether the file that was read is the one that is known.
func (c *comparison) same() bool { return c != nil && !c.differs && c.next == len(c.refs) }
