package jobtest

import (
	"context"
	"slices"

	"vaultik/backends"
	"vaultik/vault/layout"
)

// Keys lists what the store has under the host's part of a kind.
func (h *Host) Keys(kind string) (all []string) {
	h.T.Helper()
	Must(h.T, h.Store.ListStream(context.Background(), layout.HostPrefix(h.Host.ID)+kind,
		func(o backends.ObjectInfo) error {
			all = append(all, o.Key)
			return nil
		}))
	slices.Sort(all)
	return all
}
