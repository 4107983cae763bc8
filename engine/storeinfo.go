package engine

import (
	"context"
	"strings"

	"vaultik/backends"
	"vaultik/engine/events"
	"vaultik/engine/placecheck"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// InfoResult is a store as a whole.
type InfoResult struct {
	events.Totals
	Info events.StoreInfo
}

// Info tells whose a store is, its hosts, what is in it and what its place can do. It
// lists the store once and needs no key.
func (e *Engine) Info(ctx context.Context, sink events.Sink) (InfoResult, error) {
	j := e.begin("store info", sink)
	info, err := attended(ctx, j, func() (events.StoreInfo, error) { return j.info(ctx) })
	return InfoResult{j.totals(), info}, err
}

func (j *job) info(ctx context.Context) (events.StoreInfo, error) {
	op, err := j.openStore(ctx, backends.Options{ReadOnly: true})
	if err != nil {
		return events.StoreInfo{}, err
	}
	defer op.Close()
	info, err := op.Backend.Info(ctx)
	if err != nil {
		return events.StoreInfo{}, err
	}
	n := &census{kinds: map[string]*events.ObjectsOfKind{}, sets: map[chain]bool{}}
	err = op.Backend.ListStream(ctx, "", func(o backends.ObjectInfo) error {
		n.add(o)
		return nil
	})
	if err != nil {
		return events.StoreInfo{}, err
	}
	return infoOf(op, info, n), nil
}

func infoOf(op *opened, info backends.Info, n *census) events.StoreInfo {
	doc := &op.Store.Doc
	word, promise := placecheck.Safety(doc, info.ConditionalPut)
	ev := events.StoreInfo{Type: "store-info", Store: doc.Store.String(),
		URL: backends.Redact(op.URL), Kind: info.Kind, Owner: doc.Owner.Fingerprint(),
		Created: doc.Created, Safety: word, Promise: promise, TrustSeq: op.Store.TrustSeq,
		Sets: len(n.sets), Snapshots: n.of(layout.KindManifest),
		Objects: n.rows(), Total: placecheck.Known(info.Total, 0),
		Free: placecheck.Known(info.Free, 0), Abilities: placecheck.Abilities(info)}
	for _, h := range op.Store.Trust.Hosts {
		ev.Hosts = append(ev.Hosts, storeHost(op, h))
	}
	return ev
}

func storeHost(op *opened, h snapshot.TrustHost) events.StoreHost {
	host := events.StoreHost{Host: h.Host.String(), Roles: h.Roles, Here: op.Host != nil &&
		op.Host.ID == h.Host}
	if !h.Revoked.IsZero() {
		host.Revoked = &h.Revoked
	}
	return host
}

// census is what a listing of a store counts.
type census struct {
	kinds map[string]*events.ObjectsOfKind
	sets  map[chain]bool
}

const (
	scratchKind = "leftovers of checks"
	foreignKind = "not from vaultik"
)

// kindsInOrder is the order in which kinds are shown.
var kindsInOrder = []string{
	layout.KindBlob.String(), layout.KindManifest.String(), layout.KindRoot.String(),
	layout.KindBlobList.String(),
	layout.KindEpochKey.String(), layout.KindCheckpoint.String(), layout.KindGC.String(),
	layout.KindCondemned.String(), layout.KindNote.String(), layout.KindParity.String(),
	layout.KindTrust.String(),
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
		k = &events.ObjectsOfKind{Kind: kind}
		n.kinds[kind] = k
	}
	k.Objects++
	k.Bytes += o.Size
}

func (n *census) rows() (out []events.ObjectsOfKind) {
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
