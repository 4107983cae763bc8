package jobtest

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"vaultik/actors/mirror"
	"vaultik/actors/survey"
	"vaultik/actors/verify"
	"vaultik/backends"
	"vaultik/messages"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// CopySpec is a copy into a target that is empty, or holds an older state.
func (h *Host) CopySpec(to backends.Backend) *mirror.Spec {
	h.T.Helper()
	opened, err := snapshot.OpenStore(h.T.Context(), backends.Objects(h.Store), snapshot.Pin{})
	Must(h.T, err)
	all, problems, err := opened.Manifests(h.T.Context(), snapshot.Filter{})
	Must(h.T, err)
	if len(problems) > 0 {
		h.T.Fatalf("problems: %v", problems)
	}
	s := &mirror.Spec{
		From: h.Store, To: to, Opened: opened, Snapshots: all, There: map[string]bool{},
		Damaged: map[string]bool{}, Conditional: true, Progress: &messages.Progress{},
	}
	for _, key := range []string{layout.Trust(1), layout.StoreJSON} {
		if _, err := to.Stat(h.T.Context(), key); err != nil {
			s.Heads = append(s.Heads, mirror.Head{Key: key, Data: h.Get(key)})
		}
	}
	for _, m := range all {
		if b, err := backends.Objects(to).Get(h.T.Context(), m.Key, 0, -1); err == nil {
			s.There[m.Key] = bytes.Equal(b, h.Get(m.Key))
			s.Damaged[m.Key] = !s.There[m.Key]
		}
	}
	return s
}

func (h *Host) CopyTo(to backends.Backend) *mirror.Report {
	h.T.Helper()
	r, err := mirror.Run(h.T.Context(), h.System, h.CopySpec(to))
	Must(h.T, err)
	return r
}

// VerifyMirror reads everything that a mirror has, and returns what is wrong.
func (h *Host) VerifyMirror(to backends.Backend, snapshots int) []survey.Problem {
	h.T.Helper()
	opened, err := snapshot.OpenStore(h.T.Context(), backends.Objects(to),
		snapshot.Pin{Owner: h.Opened.Doc.Owner.Fingerprint()})
	Must(h.T, err)
	all, problems, err := opened.Manifests(h.T.Context(), snapshot.Filter{})
	Must(h.T, err)
	if len(problems) > 0 || snapshots >= 0 && len(all) != snapshots {
		h.T.Errorf("%d snapshots in the mirror, want %d; problems: %v", len(all), snapshots,
			problems)
	}
	r, err := verify.Run(h.T.Context(), h.System, &verify.Spec{
		Store: to, Opened: opened, Snapshots: all, ReadData: true, Identity: h.Identity,
	})
	Must(h.T, err)
	return r.Problems
}

// Spare is an object that no snapshot needs, and its bytes.
func (h *Host) Spare() (string, []byte) {
	b := []byte("of a backup that did not finish")
	return layout.Blob(h.Host.ID, sha256.Sum256(b)), b
}

// Needed are the objects of a kind that snapshots need.
func (h *Host) Needed(kind layout.Kind) []string {
	spare, _ := h.Spare()
	return slices.DeleteFunc(h.Objects(kind), func(key string) bool { return key == spare })
}
