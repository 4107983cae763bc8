package main

import (
	"context"
	"strings"
	"time"

	"vaultik/backends"
	"vaultik/vault/layout"
)

type storeInfoCmd struct{}

// Help is shown by --help.
func (storeInfoCmd) Help() string {
	return `Shows the store's id, its owner, its hosts, how many objects of each kind it has
and how large they are, the space that is left, and what the place can do. It lists
the store once and needs no key.`
}

// storeInfoEvent is a store as a whole.
type storeInfoEvent struct {
	Type      string          `json:"type"` // store-info
	Store     string          `json:"store"`
	URL       string          `json:"url"` // without secrets
	Kind      string          `json:"kind"`
	Owner     string          `json:"owner"` // fingerprint
	Created   time.Time       `json:"created"`
	Safety    string          `json:"safety"` // strong or weak
	TrustSeq  uint64          `json:"trust_seq"`
	Hosts     []storeHost     `json:"hosts"`
	Sets      int             `json:"sets"`
	Snapshots int64           `json:"snapshots"`
	Objects   []objectsOfKind `json:"objects"`
	Total     *int64          `json:"total,omitempty"` // bytes
	Free      *int64          `json:"free,omitempty"`
	jsonAbilities
}

// jsonAbilities are what a place can do, for --json.
type jsonAbilities struct {
	ConditionalPut bool   `json:"conditional_put"`
	AtomicReplace  bool   `json:"atomic_replace"`
	Checksums      bool   `json:"server_checksum"`
	Sorted         bool   `json:"sorted"`
	RangeNative    bool   `json:"range_native"`
	EmptyObjects   bool   `json:"empty_objects"`
	MaxObject      *int64 `json:"max_object,omitempty"` // bytes
	Connections    int    `json:"connections"`
}

type storeHost struct {
	Host    string     `json:"host"`
	Roles   []string   `json:"roles"`
	Revoked *time.Time `json:"revoked,omitempty"`
}

type objectsOfKind struct {
	Kind    string `json:"kind"`
	Objects int64  `json:"objects"`
	Bytes   int64  `json:"bytes"`
}

func jsonAbilitiesOf(info backends.Info) jsonAbilities {
	return jsonAbilities{ConditionalPut: info.ConditionalPut, AtomicReplace: info.AtomicReplace, Checksums: info.ServerChecksum,
		Sorted: info.Sorted, RangeNative: info.RangeNative, EmptyObjects: info.EmptyObjects,
		MaxObject: known(info.MaxObjectSize, 1), Connections: info.Connections}
}

// known is n for JSON, nil if it is less than least: not known.
func known(n, least int64) *int64 {
	if n < least {
		return nil
	}
	return &n
}

// census is what a listing of a store counts.
type census struct {
	kinds   map[string]*objectsOfKind
	sets    map[chain]bool
	objects int64
	bytes   int64
}

const (
	scratchKind = "leftovers of checks"
	foreignKind = "others, not of vaultik"
)

// kindsInOrder is the order in which kinds are shown.
var kindsInOrder = []string{
	layout.KindBlob.String(), layout.KindManifest.String(), layout.KindRoot.String(), layout.KindBlobList.String(),
	layout.KindEpochKey.String(), layout.KindCheckpoint.String(), layout.KindGC.String(), layout.KindTrust.String(),
	layout.KindStore.String(), scratchKind, foreignKind,
}

func (n *census) add(o backends.ObjectInfo) {
	kind := foreignKind
	name, err := layout.Parse(o.Key)
	switch {
	case err == nil:
		kind = name.Kind.String()
		if name.Kind == layout.KindManifest {
			n.sets[chain{name.Host, name.Set}] = true
		}
	case strings.HasPrefix(o.Key, layout.ScratchPrefix):
		kind = scratchKind
	}
	k := n.kinds[kind]
	if k == nil {
		k = &objectsOfKind{Kind: kind}
		n.kinds[kind] = k
	}
	k.Objects++
	k.Bytes += o.Size
	n.objects++
	n.bytes += o.Size
}

func (n *census) rows() (out []objectsOfKind) {
	for _, kind := range kindsInOrder {
		if k := n.kinds[kind]; k != nil {
			out = append(out, *k)
		}
	}
	return out
}

func (n *census) of(kind layout.Kind) int64 {
	if k := n.kinds[kind.String()]; k != nil {
		return k.Objects
	}
	return 0
}

// Run shows the store.
func (storeInfoCmd) Run(ctx context.Context, s *session) error {
	op, err := s.openStore(ctx, backends.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer op.Close()
	info, err := op.Backend.Info(ctx)
	if err != nil {
		return err
	}
	n := &census{kinds: map[string]*objectsOfKind{}, sets: map[chain]bool{}}
	err = op.Backend.ListStream(ctx, "", func(o backends.ObjectInfo) error {
		n.add(o)
		return nil
	})
	if err != nil {
		return err
	}
	s.showInfo(op, info, n)
	return nil
}

func (s *session) showInfo(op *opened, info backends.Info, n *census) {
	doc := &op.Store.Doc
	word, meaning := safety(doc, info.ConditionalPut)
	ev := storeInfoEvent{Type: "store-info", Store: doc.Store.String(), URL: backends.Redact(op.URL), Kind: info.Kind, Owner: doc.Owner.Fingerprint(),
		Created: doc.Created, Safety: word, TrustSeq: op.Store.TrustSeq, Sets: len(n.sets), Snapshots: n.of(layout.KindManifest),
		Objects: n.rows(), Total: known(info.Total, 0), Free: known(info.Free, 0), jsonAbilities: jsonAbilitiesOf(info)}
	rows := [][2]string{
		{"store", ev.Store}, {"url", ev.URL}, {"kind", info.Kind}, {"owner", ev.Owner}, {"created", day(doc.Created)},
		{"safety", word + ": " + meaning},
	}
	for _, h := range op.Store.Trust.Hosts {
		jh := storeHost{Host: h.Host.String(), Roles: h.Roles}
		text := jh.Host + " may " + strings.Join(h.Roles, " and ")
		if !h.Revoked.IsZero() {
			jh.Revoked = &h.Revoked
			text += ", revoked " + day(h.Revoked)
		}
		if op.Host != nil && op.Host.ID == h.Host {
			text += " (this machine)"
		}
		ev.Hosts = append(ev.Hosts, jh)
		rows = append(rows, [2]string{"host", text})
	}
	rows = append(rows, [2]string{"sets", count(int64(ev.Sets))}, [2]string{"snapshots", count(ev.Snapshots)},
		[2]string{"objects", count(n.objects) + ", " + size(n.bytes)})
	for _, k := range ev.Objects {
		rows = append(rows, [2]string{"  " + k.Kind, count(k.Objects) + ", " + size(k.Bytes)})
	}
	rows = append(rows, [2]string{"space", room(info)})
	s.out.table(append(rows, abilities(info)...))
	s.out.event(ev)
}
