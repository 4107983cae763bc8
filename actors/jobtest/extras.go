package jobtest

import (
	"path/filepath"
	"slices"
	"strings"

	"vaultik/actors/restore"
	vfs "vaultik/vault/fs"
)

// FindExtras lists or deletes extras, and returns the paths, in the target, of what was
// found and of what stays.
func (h *Host) FindExtras(
	dir string,
	x *restore.ExtrasSpec,
) (gone, stay string, r *restore.ExtrasResult) {
	h.T.Helper()
	gone, stay, r, err := h.TryExtras(dir, x)
	Must(h.T, err)
	return gone, stay, r
}

// TryExtras is FindExtras where it may be refused.
func (h *Host) TryExtras(
	dir string,
	x *restore.ExtrasSpec,
) (gone, stay string, r *restore.ExtrasResult, err error) {
	h.T.Helper()
	var g, s []string
	x.OnItem = func(path string, _ *vfs.Stat, why error) {
		rel, err := filepath.Rel(dir, "/"+path)
		Must(h.T, err)
		if why == nil {
			g = append(g, rel)
		} else {
			s = append(s, rel)
		}
	}
	r, err = restore.Extras(h.T.Context(), h.System, x)
	slices.Sort(g)
	slices.Sort(s)
	return strings.Join(g, " "), strings.Join(s, " "), r, err
}

// DeleteExtras lists, and deletes what was listed.
func (h *Host) DeleteExtras(
	dir string,
	x *restore.ExtrasSpec,
) (gone, stay string, r *restore.ExtrasResult) {
	h.T.Helper()
	_, _, x.Listed = h.FindExtras(dir, x)
	return h.FindExtras(dir, x)
}
