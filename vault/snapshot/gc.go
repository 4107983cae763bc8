package snapshot

import (
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

// GC is what prune says about one host: objects that it is going to delete,
// and manifests that it has deleted. It is cumulative: the newest one counts.
type GC struct {
	Header
	Store     layout.StoreID `json:"store"`
	Host      layout.HostID  `json:"host"`          // whose objects these are
	Seq       uint64         `json:"seq"`           // 1, 2, 3...
	Prev      Sum            `json:"prev,omitzero"` // of the gc object before; none at seq 1
	Time      time.Time      `json:"time"`          // by the pruner's clock
	Condemned []Condemned    `json:"condemned"`
	Pruned    []Pruned       `json:"pruned"`
}

// Condemned is an object that nothing needs. A backup treats it as absent.
type Condemned struct {
	Key      string    `json:"key"`       // its full key; of no manifest and no gc object
	First    time.Time `json:"first"`     // when it was condemned, by that pruner's clock
	FirstSeq uint64    `json:"first_seq"` // in which gc object, whose time in the store is what counts
}

// Pruned is a run of deleted manifests of one set. It closes the gap they leave
// in the chain: Prev is the prev of the first, Sum the SHA-256 of the last.
type Pruned struct {
	Set  layout.SetID `json:"set"`
	From uint64       `json:"from"` // seq of the first
	To   uint64       `json:"to"`   // seq of the last
	Prev Sum          `json:"prev,omitzero"`
	Sum  Sum          `json:"sum"`
}

// Keys returns the condemned objects by key.
func (g *GC) Keys() map[string]Condemned {
	m := make(map[string]Condemned, len(g.Condemned))
	for _, c := range g.Condemned {
		m[c.Key] = c
	}
	return m
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
	seen := make(map[string]bool, len(g.Condemned))
	for _, c := range g.Condemned {
		o, err := layout.Parse(c.Key)
		if err != nil {
			return err
		}
		switch o.Kind {
		case layout.KindBlob, layout.KindEpochKey, layout.KindRoot, layout.KindBlobList, layout.KindCheckpoint:
		default:
			return fmt.Errorf("a %s cannot be condemned", o.Kind)
		}
		if o.Host != g.Host || c.FirstSeq < 1 || c.FirstSeq > g.Seq || seen[c.Key] {
			return fmt.Errorf("condemned %s: of another host, from the future, or twice", c.Key)
		}
		seen[c.Key] = true
	}
	merged, err := MergePruned(g.Pruned)
	if err == nil && !slices.Equal(merged, g.Pruned) {
		err = errors.New("prune records are not sorted and joined")
	}
	return err
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
	for i := range c.Condemned {
		c.Condemned[i].First = seconds(c.Condemned[i].First)
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
