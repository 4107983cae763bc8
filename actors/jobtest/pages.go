package jobtest

import (
	"vaultik/vault/page"
	"vaultik/vault/read"
)

// LastLeaf is the first path in the last leaf of the newest snapshot.
func (h *Host) LastLeaf() (path string) {
	h.T.Helper()
	m, root, s := h.Newest()
	reader := read.New(h.Store, m.Host, s.Identities, root.Secret.ChunkID())
	tree := &page.Tree{Fetch: reader.Fetch, Top: root.Top.Ref()}
	Must(h.T, tree.WalkPages(h.T.Context(), func(_ page.Ref, p *page.Page) error {
		if p.Kind == page.Leaf {
			path = p.Entries[0].Path
		}
		return nil
	}))
	return path
}
