package jobtest

import (
	"crypto/sha256"
	"slices"

	"vaultik/actors/verify"
	"vaultik/backends"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

func (h *Host) VerifySpec(key, data bool) *verify.Spec {
	h.T.Helper()
	all, problems, err := h.Opened.Manifests(h.T.Context(), snapshot.Filter{})
	Must(h.T, err)
	if len(problems) > 0 {
		h.T.Fatalf("problems: %v", problems)
	}
	// Caches of the store would hide what is done to it.
	opened, err := snapshot.OpenStore(h.T.Context(), backends.Objects(h.Store), snapshot.Pin{})
	Must(h.T, err)
	s := &verify.Spec{Store: h.Store, Opened: opened, Snapshots: all, ReadData: data}
	if key {
		s.Identity = h.Identity
	}
	return s
}

func (h *Host) Verify(key, data bool) *verify.Report {
	h.T.Helper()
	r, err := verify.Run(h.T.Context(), h.System, h.VerifySpec(key, data))
	Must(h.T, err)
	return r
}

// ListBlobs replaces the newest manifest by one that names all its blobs in a list,
// unless it has one.
func (h *Host) ListBlobs() {
	h.T.Helper()
	m, _, _ := h.Newest()
	if len(m.Lists) > 0 { // by chance of its blobs' names
		return
	}
	list, err := snapshot.EncodeBlobList(m.Blobs, 0)
	Must(h.T, err)
	c := *m.Manifest
	sum := snapshot.Sum(sha256.Sum256(list))
	c.Lists, c.Blobs = []snapshot.ListRef{
		{Name: sum, Size: int64(len(list)), Count: int64(len(m.Blobs))},
	}, nil
	b, err := snapshot.EncodeManifest(&c, h.Host.Signer)
	Must(h.T, err)
	h.Put(layout.BlobList(m.Host, sum), list)
	h.Put(m.Key, b)
}

func (h *Host) Get(key string) []byte {
	h.T.Helper()
	b, err := backends.Objects(h.Store).Get(h.T.Context(), key, 0, -1)
	Must(h.T, err)
	return b
}

// Objects are the keys of a kind, sorted.
func (h *Host) Objects(kind layout.Kind) (out []string) {
	h.T.Helper()
	Must(h.T, h.Store.ListStream(h.T.Context(), "h/", func(o backends.ObjectInfo) error {
		if name, err := layout.Parse(o.Key); err == nil && name.Kind == kind {
			out = append(out, o.Key)
		}
		return nil
	}))
	slices.Sort(out)
	return out
}
