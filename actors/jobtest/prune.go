package jobtest

import (
	"crypto/sha256"
	"sync"

	"vaultik/actors/prune"
	"vaultik/backends"
	"vaultik/backends/mem"
	"vaultik/vault/gc"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// PruneSpec is a prune of this host's part of a store, which is read through b. Nothing waits.
func (h *Host) PruneSpec(b backends.Backend) *prune.Spec {
	h.T.Helper()
	opened, err := snapshot.OpenStore(h.T.Context(), backends.Objects(b), snapshot.Pin{})
	Must(h.T, err)
	return &prune.Spec{Store: b, Opened: opened, Host: h.Host.ID, Signer: h.Host.Signer,
		Options: gc.Options{Force: true}}
}

// Clone is a store that has what another has.
func (h *Host) Clone(b backends.Backend) *mem.Backend {
	h.T.Helper()
	to := mem.New()
	h.CopyAll(b, to)
	return to
}

// CopyAll puts what one store has into another.
func (h *Host) CopyAll(from, to backends.Backend) {
	h.T.Helper()
	Must(h.T, from.ListStream(h.T.Context(), "", func(o backends.ObjectInfo) error {
		data, err := backends.ReadRange(h.T.Context(), from, o.Key, 0, -1, nil)
		Must(h.T, err)
		sum := sha256.Sum256(data)
		_, err = to.Put(h.T.Context(), o.Key, backends.Bytes(data, &sum), backends.PutOptions{})
		return err
	}))
}

// Garbage puts so many blobs into the host's part of a store that nothing needs, and returns
// their keys.
func (h *Host) Garbage(b backends.Backend, n int) (keys []string) {
	h.T.Helper()
	keys = make([]string, n)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < n; i += 8 {
				data := []byte{byte(i), byte(i >> 8), 'g'}
				sum := sha256.Sum256(data)
				keys[i] = layout.Blob(h.Host.ID, sum)
				_, err := b.Put(h.T.Context(), keys[i], backends.Bytes(data, &sum),
					backends.PutOptions{})
				if err != nil {
					h.T.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return keys
}
