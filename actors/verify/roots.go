package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"filippo.io/age"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/plan"
	"vaultik/vault/snapshot"
)

// roots opens what the identity opens: epoch keys and roots.
func (n *Inspector) roots(ctx context.Context) error {
	spec := n.Run.spec
	n.Run.hosts = make([]*hostSecrets, len(n.Run.Inv.Hosts()))
	for h := range n.Run.hosts {
		n.Run.hosts[h] = &hostSecrets{}
	}
	wrong := 0
	for i := range n.Snaps {
		s := &n.Snaps[i]
		ids, bad, err := spec.Opened.Identities(ctx, s.Manifest, spec.Identity)
		if err != nil {
			return err
		}
		for _, p := range bad {
			if err := n.fatal(p.Err); err != nil {
				return err
			}
			if errors.Is(p.Err, keys.ErrWrongIdentity) {
				n.warnOnce(p.Key, "the identity does not open the epoch key "+p.Key)
				continue
			}
			n.keyProblem(p)
		}
		n.keysChecked(s, bad)
		root, err := spec.Opened.Root(ctx, s.Manifest, ids)
		if err != nil {
			if err := n.fatal(err); err != nil {
				return err
			}
			if errors.Is(err, keys.ErrWrongIdentity) {
				wrong++
				n.warnOnce(s.ID(), fmt.Sprintf("the identity does not open snapshot %.8s, whose contents are not checked", s.ID()))
			} else {
				n.rootProblem(s, err)
			}
			continue
		}
		n.checkedNow(layout.Object{Kind: layout.KindRoot, Host: s.Host, Sum: s.Manifest.Root.Name})
		s.root = root
		h := n.Run.hosts[s.HostNum]
		h.learn(ids, root.Secret.ChunkID())
	}
	if wrong > 0 && wrong == len(n.Snaps) {
		return fmt.Errorf("%w: %w", errNoKeyFits, keys.ErrWrongIdentity)
	}
	return nil
}

func (n *Inspector) warnOnce(about, text string) {
	if !n.warned[about] {
		n.warned[about] = true
		n.Run.spec.warn(text)
	}
}

// learn adds what one snapshot's root tells.
func (h *hostSecrets) learn(ids []age.Identity, chunkID [32]byte) {
	if !slices.Contains(h.chunkID, chunkID) {
		h.chunkID = append(h.chunkID, chunkID)
	}
	for _, id := range ids {
		if !slices.Contains(h.ids, id) {
			h.ids = append(h.ids, id)
		}
	}
}

// keyProblem reports an epoch key, unless the listing has.
func (n *Inspector) keyProblem(p snapshot.Problem) {
	name, err := layout.Parse(p.Key)
	if err != nil {
		return
	}
	if i, ok := n.Run.Inv.Find(name); ok && n.Run.Inv.At(i).State != plan.Bad {
		n.objectProblem(i, KindOf(p.Err), plainReason(p.Err, p.Key))
	}
}

// keysChecked notes the epoch keys of a snapshot that were read and are right.
func (n *Inspector) keysChecked(s *InspectedSnapshot, bad []snapshot.Problem) {
	for _, k := range s.Keys {
		o := layout.Object{Kind: layout.KindEpochKey, Host: s.Host, Epoch: k.Epoch, N: k.N}
		if !slices.ContainsFunc(bad, func(p snapshot.Problem) bool { return p.Key == o.Key() }) {
			n.checkedNow(o)
		}
	}
}

func (n *Inspector) checkedNow(o layout.Object) {
	if i, ok := n.Run.Inv.Find(o); ok && n.Run.Inv.At(i).State == plan.Present {
		n.Run.Inv.At(i).State = plan.Checked
		n.Run.read.Add(n.Run.Inv.At(i).Size)
	}
}

func (n *Inspector) rootProblem(s *InspectedSnapshot, err error) {
	o := layout.Object{Kind: layout.KindRoot, Host: s.Host, Sum: s.Manifest.Root.Name}
	if i, ok := n.Run.Inv.Find(o); ok && n.Run.Inv.At(i).State != plan.Bad {
		n.objectProblem(i, KindOf(err), plainReason(err, o.Key()))
	}
}
