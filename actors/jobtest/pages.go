package jobtest

import (
	"vaultik/actors"
	"vaultik/vault/page"
)

// LastLeaf is the first path in the last leaf of the newest snapshot.
func (h *Host) LastLeaf() (path string) {
	h.T.Helper()
	_, root, s := h.Newest()
	tree, err := actors.OpenTree(h.Store, root, s.Identities)
	Must(h.T, err)
	Must(h.T, tree.WalkPages(h.T.Context(), func(_ page.Ref, p *page.Page) error {
		if p.Kind == page.Leaf {
			path = p.Entries[0].Path
		}
		return nil
	}))
	return path
}
