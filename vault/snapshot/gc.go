package snapshot

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

const (
	gcType      = "gc"
	gcNamespace = "gc@vaultik"
)

// GC is what prune says about one host: objects that it is going to delete, or has deleted,
// and manifests that it has deleted. It is cumulative: the newest one counts.
type GC struct {
	Header
	Store     layout.StoreID `json:"store"`
	Host      layout.HostID  `json:"host"`             // whose objects these are
	Seq       uint64         `json:"seq"`              // 1, 2, 3...
	Prev      Sum            `json:"prev,omitzero"`    // of the gc object before; none at seq 1
	Others    []Sum          `json:"others,omitempty"` // of those beside it that are in this one, too
	Time      time.Time      `json:"time"`             // by the pruner's clock; for people
	Condemned []Condemned    `json:"condemned"`        // sorted by First, then Deleted
	Pruned    []Pruned       `json:"pruned"`           // sorted and joined
	Dropped   []Dropped      `json:"dropped"`          // sorted by set, seq and sum
	Removed   []Removed      `json:"removed"`          // sorted by set, one each
}

// Condemned are objects that nothing needs, all of one age. A backup treats them as absent,
// and never stores one again, as long as they are listed.
type Condemned struct {
	First   uint64    `json:"first"`             // seq of the gc object that condemned them
	Deleted uint64    `json:"deleted,omitempty"` // of the one that said they are deleted; 0: not yet
	Names   []string  `json:"names"`             // as [layout.Object.Name] has them, sorted; the first MaxInline
	Lists   []ListRef `json:"lists"`             // condemned lists, with more names
}

// MaxInline is how many names of a group a gc object holds itself.
const MaxInline = 4096

// MaxCondemned is how many names a gc object condemns at most, those in lists included.
const MaxCondemned = 1 << 24

// Pruned is a run of deleted manifests of one set. It closes the gap they leave
// in the chain: Prev is the prev of the first, Sum the SHA-256 of the last.
type Pruned struct {
	Set  layout.SetID `json:"set"`
	From uint64       `json:"from"` // seq of the first
	To   uint64       `json:"to"`   // seq of the last
	Prev Sum          `json:"prev,omitzero"`
	Sum  Sum          `json:"sum"`
}

// Dropped is an object in the place of a manifest that is none of the chain: readers leave it
// out.
type Dropped struct {
	Set    layout.SetID `json:"set"`
	Seq    uint64       `json:"seq"`
	Sum    Sum          `json:"sum"`    // SHA-256 of its bytes
	Reason string       `json:"reason"` // DroppedFork...
}

// Why an object was dropped.
const (
	DroppedFork    = "fork"    // another one stands in its place
	DroppedDamaged = "damaged" // nobody can tell what it was
	DroppedRevoked = "revoked" // signed by a key that is revoked, and does not stand
)

// Removed is the last manifest of a set that was removed as a whole: it need not be there any
// more, nor one that follows it.
type Removed struct {
	Set layout.SetID `json:"set"`
	Seq uint64       `json:"seq"`
	Sum Sum          `json:"sum"`
}

// Check reports whether the object is what its name says: [ErrDamaged] if not.
func (g *GC) Check(store layout.StoreID, host layout.HostID, seq uint64) error {
	if g.Store != store || g.Host != host || g.Seq != seq {
		return damaged("this name holds a gc object of another store, host or seq")
	}
	return nil
}

func (g *GC) check() error {
	if g.Store.IsZero() || g.Host.IsZero() {
		return errors.New("store or host is missing")
	}
	if err := checkSeq(g.Seq, g.Prev); err != nil {
		return err
	}
	for i, sum := range g.Others {
		if g.Seq == 1 || sum.IsZero() || sum == g.Prev || i > 0 && g.Others[i-1].compare(sum) >= 0 {
			return errors.New("others are not sorted, or are prev itself")
		}
	}
	if err := g.checkCondemned(); err != nil {
		return err
	}
	merged, err := MergePruned(g.Pruned)
	if err == nil && !slices.Equal(merged, g.Pruned) {
		err = errors.New("prune records are not sorted and joined")
	}
	if err == nil {
		err = g.checkDropped()
	}
	return err
}

func (g *GC) checkCondemned() error {
	names, lists, total := map[string]bool{}, map[Sum]bool{}, int64(0)
	for i := range g.Condemned {
		c := &g.Condemned[i]
		if c.First < 1 || c.First > g.Seq || c.Deleted != 0 && (c.Deleted <= c.First || c.Deleted > g.Seq) {
			return fmt.Errorf("condemned by gc object %d, deleted by %d: from the future, or in a wrong order",
				c.First, c.Deleted)
		}
		if i > 0 && g.Condemned[i-1].compare(c) >= 0 {
			return errors.New("groups of condemned names are not sorted, or two are of one age")
		}
		if len(c.Names) > MaxInline || len(c.Names)+len(c.Lists) == 0 {
			return fmt.Errorf("a group with %d condemned names, want 1 to %d", len(c.Names), MaxInline)
		}
		for n, name := range c.Names {
			if _, err := layout.ParseName(g.Host, name); err != nil {
				return err
			}
			if n > 0 && c.Names[n-1] >= name || names[name] {
				return fmt.Errorf("condemned %s: not sorted, or twice", name)
			}
			names[name] = true
		}
		for _, l := range c.Lists {
			if l.Name.IsZero() || !whole(l.Size) || l.Size > MaxCondemnedList ||
				l.Count < 1 || l.Count > MaxCondemnedNames || lists[l.Name] {
				return errors.New("malformed condemned list, or one that is named twice")
			}
			lists[l.Name] = true
			total += l.Count
		}
	}
	if total += int64(len(names)); total > MaxCondemned {
		return fmt.Errorf("%d condemned names, more than %d", total, MaxCondemned)
	}
	return nil
}

func (c *Condemned) compare(o *Condemned) int {
	return cmp.Or(cmp.Compare(c.First, o.First), cmp.Compare(c.Deleted, o.Deleted))
}

func (g *GC) checkDropped() error {
	for i, d := range g.Dropped {
		if d.Set.IsZero() || d.Seq < 1 || d.Seq > layout.MaxSeq || d.Sum.IsZero() {
			return errors.New("malformed record of what is dropped")
		}
		switch d.Reason {
		case DroppedFork, DroppedDamaged, DroppedRevoked:
		default:
			return fmt.Errorf("dropped for an unknown reason, %.40q", d.Reason)
		}
		if i > 0 && g.Dropped[i-1].Compare(d) >= 0 {
			return errors.New("records of what is dropped are not sorted, or two are of one object")
		}
	}
	for i, r := range g.Removed {
		if r.Set.IsZero() || r.Seq < 1 || r.Seq > layout.MaxSeq || r.Sum.IsZero() ||
			i > 0 && bytes.Compare(g.Removed[i-1].Set[:], r.Set[:]) >= 0 {
			return errors.New("records of removed sets are malformed, or not sorted")
		}
		if g.pruned(r.Set, r.Seq) == nil {
			return fmt.Errorf("set %s was removed, but no prune record covers its seq %d", r.Set, r.Seq)
		}
	}
	return nil
}

// Compare sorts by set, seq and sum.
func (d Dropped) Compare(o Dropped) int {
	return cmp.Or(bytes.Compare(d.Set[:], o.Set[:]), cmp.Compare(d.Seq, o.Seq), d.Sum.compare(o.Sum))
}

// dropped reports whether an object in a place of a set is none of its chain.
func (g *GC) dropped(set layout.SetID, seq uint64, sum Sum) bool {
	return g != nil && slices.ContainsFunc(g.Dropped, func(d Dropped) bool {
		return d.Set == set && d.Seq == seq && d.Sum == sum
	})
}

// damaged reports whether what stood in a place of a set was damaged for good, and was dropped.
func (g *GC) damaged(set layout.SetID, seq uint64) bool {
	return g != nil && slices.ContainsFunc(g.Dropped, func(d Dropped) bool {
		return d.Set == set && d.Seq == seq && d.Reason == DroppedDamaged
	})
}

// removed reports whether prune has removed a set whose manifest of this sum was seen, and
// all of its others up to there or a later one.
func (g *GC) removed(set layout.SetID, seq uint64, sum Sum) bool {
	return g != nil && slices.ContainsFunc(g.Removed, func(r Removed) bool {
		return r.Set == set && (r.Seq > seq || r.Seq == seq && r.Sum == sum)
	})
}

// MergePruned sorts prune records and joins those that follow each other, so
// that a chain has one record a gap. Records that overlap are an error.
func MergePruned(records []Pruned) ([]Pruned, error) {
	sorted := slices.SortedFunc(slices.Values(records), func(a, b Pruned) int {
		if c := slices.Compare(a.Set[:], b.Set[:]); c != 0 {
			return c
		}
		return cmp.Compare(a.From, b.From)
	})
	var out []Pruned
	for _, r := range sorted {
		if err := checkSeq(r.From, r.Prev); err != nil || r.To < r.From || r.To > layout.MaxSeq || r.Sum.IsZero() || r.Set.IsZero() {
			return nil, fmt.Errorf("%w: malformed prune record", ErrInvalid)
		}
		if n := len(out); n > 0 && out[n-1].Set == r.Set {
			last := &out[n-1]
			if r.From <= last.To {
				return nil, fmt.Errorf("%w: two prune records of set %s, seq %d", ErrInvalid, r.Set, r.From)
			}
			if r.From == last.To+1 && r.Prev == last.Sum {
				last.To, last.Sum = r.To, r.Sum
				continue
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// EncodeGC writes a gc object, to be stored under layout.GC(g.Host, g.Seq).
func EncodeGC(g *GC, signer *keys.Signer) ([]byte, error) {
	c := *g
	c.Header, c.Time = newHeader(gcType), seconds(g.Time)
	c.Condemned, c.Pruned = list(slices.Clone(g.Condemned)), list(g.Pruned)
	c.Dropped, c.Removed = list(g.Dropped), list(g.Removed)
	for i := range c.Condemned {
		c.Condemned[i].Names = list(c.Condemned[i].Names)
		c.Condemned[i].Lists = list(c.Condemned[i].Lists)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("encode gc object: %w: %w", ErrInvalid, err)
	}
	b, err := encodeSigned(&c, gcNamespace, MaxGC, signer)
	if err != nil {
		return nil, fmt.Errorf("encode gc object: %w", err)
	}
	return b, nil
}

// DecodeGC reads a gc object that one of the pruners signed. The caller then calls
// Check.
func DecodeGC(b []byte, pruners []keys.PublicKey) (*GC, error) {
	line, err := decodeSigned(b, gcNamespace, MaxGC, pruners...)
	if err == nil {
		var g *GC
		if g, err = parseGC(line); err == nil {
			return g, nil
		}
	}
	return nil, fmt.Errorf("decode gc object: %w", err)
}

func parseGC(line []byte) (*GC, error) {
	g := new(GC)
	if err := unmarshal(line, gcType, g); err != nil {
		return nil, err
	}
	if err := g.check(); err != nil {
		return nil, damaged("%w", err)
	}
	return g, nil
}
