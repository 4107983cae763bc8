package jobtest

import (
	"slices"
	"strings"

	"vaultik/actors/restore"
	"vaultik/messages"
	"vaultik/vault/snapshot"
)

// Newest opens the newest snapshot.
func (h *Host) Newest() (*snapshot.Loaded, *snapshot.Root, *restore.Spec) {
	h.T.Helper()
	ctx := h.T.Context()
	all, problems, err := h.Opened.Manifests(ctx, snapshot.Filter{})
	Must(h.T, err)
	if len(problems) > 0 {
		h.T.Fatalf("problems: %v", problems)
	}
	m := slices.MaxFunc(all, func(a, b *snapshot.Loaded) int { return int(a.Seq) - int(b.Seq) })
	ids, problems, err := h.Opened.Identities(ctx, m.Manifest, h.Identity)
	Must(h.T, err)
	if len(problems) > 0 {
		h.T.Fatalf("problems: %v", problems)
	}
	root, err := h.Opened.Root(ctx, m.Manifest, ids)
	Must(h.T, err)
	return m, root, &restore.Spec{
		Store: h.Store, Root: root, Identities: ids, Progress: &messages.Progress{},
		Warn: func(text string) { h.T.Log("warning:", text) },
	}
}

// RestoreSpec restores the contents of dir, as the newest snapshot has them.
func (h *Host) RestoreSpec(dir, target string) *restore.Spec {
	_, _, s := h.Newest()
	s.From, s.Target = strings.TrimPrefix(dir, "/"), target
	return s
}

func (h *Host) Restore(s *restore.Spec) *restore.Result {
	h.T.Helper()
	r, err := restore.Run(h.T.Context(), h.System, s)
	Must(h.T, err)
	return r
}
