package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"filippo.io/age"

	"vaultik/actors/survey"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/plan"
	"vaultik/vault/snapshot"
)

// roots opens what the identity opens: epoch keys and roots.
func (n *inspector) roots(ctx context.Context) error {
	spec := n.run.spec
	n.run.hosts = make([]*hostSecrets, len(n.run.survey.Inventory.Hosts()))
	for h := range n.run.hosts {
		n.run.hosts[h] = &hostSecrets{}
	}
	wrong := 0
	var snaps []*inspected
	var manifests []*snapshot.Manifest
	for i := range n.snaps {
		if s := &n.snaps[i]; n.opens(i) {
			snaps, manifests = append(snaps, s), append(manifests, s.Manifest)
		}
	}
	n.ofSnapshots("open the snapshots", len(snaps))
	err := spec.Opened.OpenAll(ctx, manifests, spec.Identity, func(i int, o snapshot.Opened) error {
		s := snaps[i]
		spec.Progress.FilesDone.Store(int64(i + 1))
		if err := n.keysBad(ctx, o.Problems); err != nil {
			return err
		}
		n.keysChecked(s, o.Problems)
		err := n.root(ctx, s, o)
		if errors.Is(err, keys.ErrWrongIdentity) && spec.Drill != nil {
			n.rootProblem(s, survey.ErrSealed)
			return nil
		}
		if errors.Is(err, keys.ErrWrongIdentity) {
			wrong++
			n.warnOnce(s.ID(), fmt.Sprintf(
				"the identity does not open snapshot %.8s; its contents are not checked", s.ID()))
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	if wrong > 0 && wrong == len(snaps) {
		return fmt.Errorf("%w: %w", errNoKeyFits, keys.ErrWrongIdentity)
	}
	return nil
}

// opens reports whether the root of a snapshot is opened.
func (n *inspector) opens(i int) bool { return n.run.drill == nil || n.run.drill.newest[i] }

// root takes the root of one snapshot. A damaged one is reported; the errors are
// keys.ErrWrongIdentity and those that end the check.
func (n *inspector) root(ctx context.Context, s *inspected, o snapshot.Opened) error {
	if err := o.Err; err != nil {
		if fatal := survey.Fatal(ctx, err); fatal != nil {
			return fatal
		}
		if errors.Is(err, keys.ErrWrongIdentity) {
			return err
		}
		n.rootProblem(s, err)
		return nil
	}
	n.checkedNow(layout.Object{Kind: layout.KindRoot, Host: s.Host, Sum: s.Manifest.Root.Name})
	if n.run.drill != nil {
		n.run.report.Drilled.Roots++
		n.recipients(s, o.Root)
	}
	o.Root.Errors, o.Root.Excludes, o.Root.Filters, o.Root.Recipients = nil, nil, nil, nil
	s.root = o.Root
	n.run.hosts[s.HostNum].learn(o.IDs, o.Root.Secret.ChunkID())
	return nil
}

// recipients compares the recipients that a root names with the sum in its manifest, which is
// what the owner has signed.
func (n *inspector) recipients(s *inspected, root *snapshot.Root) {
	if s.Recipients.IsZero() {
		return
	}
	rs, err := keys.ParseRecipients(root.Recipients)
	if err == nil && snapshot.Sum(rs.Sum()) == s.Recipients {
		return
	}
	n.aside.Tell(&problemFound{survey.Problem{Kind: survey.ProblemSealed, Key: s.Key,
		Snapshots: []string{s.ID()},
		Reason:    "the recipients that its root names are not those that it was signed for"}})
}

// keysBad reports the epoch keys that could not be opened.
func (n *inspector) keysBad(ctx context.Context, bad []snapshot.Problem) error {
	for _, p := range bad {
		if err := survey.Fatal(ctx, p.Err); err != nil {
			return err
		}
		if errors.Is(p.Err, keys.ErrWrongIdentity) {
			n.warnOnce(p.Key, "the identity does not open the epoch key "+p.Key)
			continue
		}
		n.keyProblem(p)
	}
	return nil
}

func (n *inspector) warnOnce(about, text string) {
	if !n.warned[about] {
		n.warned[about] = true
		n.run.spec.warn(text)
	}
}

// learn adds the keys of one snapshot.
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
func (n *inspector) keyProblem(p snapshot.Problem) {
	name, err := layout.Parse(p.Key)
	if err != nil {
		return
	}
	if i, ok := n.run.survey.Inventory.Find(name); ok &&
		n.run.survey.Inventory.At(i).State != plan.Bad {
		n.run.survey.ObjectError(i, p.Err)
	}
}

// keysChecked notes the epoch keys of a snapshot that were read and are right.
func (n *inspector) keysChecked(s *inspected, bad []snapshot.Problem) {
	for _, k := range s.Keys {
		o := layout.Object{Kind: layout.KindEpochKey, Host: s.Host, Epoch: k.Epoch, N: k.N}
		if !slices.ContainsFunc(bad, func(p snapshot.Problem) bool { return p.Key == o.Key() }) {
			n.checkedNow(o)
		}
	}
}

func (n *inspector) checkedNow(o layout.Object) {
	if i, ok := n.run.survey.Inventory.Find(o); ok &&
		n.run.survey.Inventory.At(i).State == plan.Present {
		n.run.survey.Inventory.At(i).State = plan.Checked
		n.run.survey.Fetched.Add(n.run.survey.Inventory.At(i).Size)
	}
}

func (n *inspector) rootProblem(s *inspected, err error) {
	o := layout.Object{Kind: layout.KindRoot, Host: s.Host, Sum: s.Manifest.Root.Name}
	if i, ok := n.run.survey.Inventory.Find(o); ok &&
		n.run.survey.Inventory.At(i).State != plan.Bad {
		n.run.survey.ObjectError(i, err)
	}
}
