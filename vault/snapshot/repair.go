package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// Author is a key that has signed objects of a store. Anybody can make a key and sign with
// it: only its owner can say whose it is.
type Author struct {
	Host      layout.HostID // whose manifests it signed; zero: only gc objects
	Key       keys.PublicKey
	Manifests int
	GCs       int
	Last      time.Time // of the newest manifest, by its signer's clock
	// Recipients are the sums in these manifests, each once, that of the newest manifest last.
	Recipients []Sum
	Entry      *TrustHost // of this host and key in the newest readable trust list; nil: none
}

// HeadState is what is left of store.json and the trust lists.
type HeadState struct {
	StoreGood bool
	Trust     *Trust // the newest that the owner has signed; nil: none is left
	TrustGood bool   // it is the only one of its number, and no newer one, damaged, stands behind
	// Forked are the newest, where there are several: Trust is none of them then.
	Forked []FoundTrust
	Next   uint64 // the number for a new list
	Prev   Sum    // what that continues from; zero if it is the first
	Weak   bool   // manifests have the names of a store without create-if-absent
}

// ReadHead reads store.json and the trust lists of a store whose id and owner are known from
// elsewhere, as is the number of the newest list that was seen. The error is
// [ErrOwnerChanged] where another store is there, or of reading.
func ReadHead(ctx context.Context, o Objects, store layout.StoreID,
	owner keys.PublicKey, seen uint64) (*HeadState, error) {
	s := newStore(o)
	s.Doc = StoreDoc{Store: store, Owner: owner}
	h := &HeadState{}
	b, err := o.Head(ctx, layout.StoreJSON, MaxStoreDoc+1)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if doc, derr := DecodeStore(b); err == nil && derr == nil {
		if doc.Store != store || doc.Owner != owner {
			return nil, fmt.Errorf("%w: it is store %s of %s", ErrOwnerChanged, doc.Store,
				doc.Owner.Fingerprint())
		}
		h.StoreGood, h.Weak = true, doc.Safety == SafetyWeak
	} else if errors.Is(derr, ErrNewerFormat) {
		return nil, derr
	}
	if err := s.readLists(ctx, h); err != nil {
		return nil, err
	}
	last := seen
	if !h.TrustGood {
		last = max(last, h.Next)
	}
	for seq := h.Next; seq <= last; seq++ { // a new one must not take back what one of these says
		if err := s.Unlisted(ctx, layout.Trust(seq)); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// readLists finds the newest good trust list, and where a new one goes.
func (s *Store) readLists(ctx context.Context, h *HeadState) error {
	all, err := s.find(ctx, layout.TrustPrefix, layout.KindTrust)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Compare(b.Seq, a.Seq) })
	var bad []Problem
	var good []FoundTrust
	sums := make(map[uint64]Sum)
	h.Next = 1
	for _, f := range all {
		if f.Seq+1 < h.Next {
			break
		}
		l, err := s.readTrust(ctx, f)
		switch {
		case err == nil:
			h.Next = f.Seq + 1
			if !slices.ContainsFunc(good, func(o FoundTrust) bool { return o.Sum == l.Sum }) {
				good = append(good, l)
			}
		case !Unproven(err):
			return fmt.Errorf("%s: %w", f.Key(), err)
		default:
			sums[f.Seq] = l.Sum
			bad = append(bad, problemOf(f, err))
		}
	}
	switch len(good) {
	case 0:
	case 1:
		h.Continue(good[0])
	default:
		h.Forked = good
	}
	slices.Reverse(bad)
	line, _ := inLine(slices.DeleteFunc(bad, func(p Problem) bool { return p.Seq < h.Next }), h.Next)
	h.TrustGood = len(good) == 1 && len(line) == 0
	if n := len(line); n > 0 {
		h.Next = line[n-1].Seq + 1
		if len(good) == 0 {
			h.Prev = sums[line[n-1].Seq]
		}
	}
	if h.Next > 1 && h.Prev.IsZero() && len(h.Forked) == 0 { // the last was too large to be read
		return damaged("%s is too large", layout.Trust(h.Next-1))
	}
	return nil
}

// Continue has the new list follow one that was found.
func (h *HeadState) Continue(l FoundTrust) {
	h.Trust, h.Prev = &l.Trust, l.Sum
}

// FindAuthors finds the keys that signed the manifests and gc objects of a store, whatever its
// trust lists say: those in known, and those with the most manifests, first. What nobody has
// signed is left out.
func FindAuthors(ctx context.Context, o Objects, store layout.StoreID, known *Trust) (out []Author,
	weak bool, err error) {
	s := newStore(o)
	all := make(map[authorKey]*foundAuthor)
	author := func(host layout.HostID, key keys.PublicKey) *foundAuthor {
		k := authorKey{host, key}
		if all[k] == nil {
			all[k] = &foundAuthor{Author: Author{Host: host, Key: key}, sums: map[Sum]use{}}
		}
		return all[k]
	}
	if known != nil {
		for _, h := range known.Hosts {
			author(h.Host, h.Key).Entry = &h
		}
	}
	manifests, err := s.findAmong(ctx, layout.HostsPrefix, layout.KindManifest)
	if err != nil {
		return nil, false, err
	}
	for _, f := range manifests {
		line, key, err := s.signedObject(ctx, f, manifestNamespace, MaxManifest)
		if err != nil {
			return nil, false, err
		}
		m, err := parseManifest(line)
		if err != nil || m.Check(store, f.Host, f.Set, f.Seq) != nil {
			continue
		}
		a := author(f.Host, key)
		a.Manifests++
		if m.Time.After(a.Last) {
			a.Last = m.Time
		}
		if at := (use{m.Time, m.Seq}); !m.Recipients.IsZero() &&
			at.compare(a.sums[m.Recipients]) > 0 {
			a.sums[m.Recipients] = at
		}
		weak = weak || f.Short != ""
	}
	gcs, err := s.findAmong(ctx, layout.GCsPrefix, layout.KindGC)
	if err != nil {
		return nil, false, err
	}
	byKey := make(map[keys.PublicKey]int)
	for _, f := range gcs {
		line, key, err := s.signedObject(ctx, f, gcNamespace, MaxGC)
		if err != nil {
			return nil, false, err
		}
		if g, err := parseGC(line); err == nil && g.Check(store, f.Host, f.Seq) == nil {
			byKey[key]++
		}
	}
	for _, a := range all {
		a.GCs = byKey[a.Key]
		delete(byKey, a.Key)
		a.Recipients = slices.SortedFunc(maps.Keys(a.sums), func(x, y Sum) int {
			return cmp.Or(a.sums[x].compare(a.sums[y]), bytes.Compare(x[:], y[:]))
		})
		out = append(out, a.Author)
	}
	for key, n := range byKey {
		out = append(out, Author{Key: key, GCs: n})
	}
	slices.SortFunc(out, func(a, b Author) int {
		return cmp.Or(cmp.Compare(order(b.Entry != nil), order(a.Entry != nil)),
			cmp.Compare(b.Manifests, a.Manifests), cmp.Compare(b.GCs, a.GCs),
			strings.Compare(a.Key.String(), b.Key.String()))
	})
	return out, weak, nil
}

type authorKey struct {
	host layout.HostID
	key  keys.PublicKey
}

// foundAuthor is an author some of whose objects are still to be read.
type foundAuthor struct {
	Author
	sums map[Sum]use // of recipients: the newest manifest of each
}

// use is where in the order of a host's manifests one is: two of one set may be of one second.
type use struct {
	time time.Time
	seq  uint64
}

func (u use) compare(v use) int { return cmp.Or(u.time.Compare(v.time), cmp.Compare(u.seq, v.seq)) }

func order(first bool) int {
	if first {
		return 1
	}
	return 0
}

// findAmong is find where objects of other kinds, of which there may be any number, have the
// same prefix.
func (s *Store) findAmong(ctx context.Context, prefix string, kind layout.Kind) (out []found, err error) {
	err = s.objects.List(ctx, prefix, func(key string, size int64, stored time.Time) error {
		if o, err := layout.Parse(key); err == nil && o.Kind == kind {
			out = append(out, found{o, size, stored})
		}
		if len(out) > maxNames {
			return fmt.Errorf("%w: over %d of kind %s", ErrFlooded, maxNames, kind)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", prefix, err)
	}
	return out, nil
}

// signedObject reads a signed object and finds out by which key it is signed; the line is
// empty if by none. The error is of reading.
func (s *Store) signedObject(ctx context.Context, f found, namespace string, limit int) (line []byte,
	key keys.PublicKey, err error) {
	b, err := s.get(ctx, f.Key(), f.size, limit)
	switch {
	case err != nil && (Unproven(err) || errors.Is(err, fs.ErrNotExist)):
		return nil, key, nil
	case err != nil:
		return nil, key, fmt.Errorf("read %s: %w", f.Key(), err)
	}
	plain, err := decompressNames(b, limit)
	if err != nil {
		return nil, key, nil //nolint:nilerr // nobody has signed it
	}
	line, sig, err := splitSigned(plain)
	if err == nil {
		key, err = keys.SignedBy(namespace, line, sig)
	}
	if err != nil {
		return nil, key, nil //nolint:nilerr // as above
	}
	return line, key, nil
}
