package jobtest

import (
	"context"
	"io"
	"time"

	"vaultik/actors/backup"
	"vaultik/vault/fs"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

func (h *Host) Stream(path string, r io.Reader) *backup.Spec {
	s := h.Spec()
	s.Stream = &backup.Stream{
		Path:   path,
		Source: r,
		Stat: fs.Stat{
			Type: page.File, Mode: 0o600, UID: 5, GID: 6, Mtime: page.TimeOf(time.Unix(1e9, 5)),
		},
	}
	return s
}

func (h *Host) BackupStream(path string, r io.Reader) *backup.Result {
	h.T.Helper()
	res, err := backup.Run(h.T.Context(), context.Background(), h.System, h.Stream(path, r))
	Must(h.T, err)
	return res
}

func (h *Host) Snapshots() int {
	h.T.Helper()
	all, problems, err := h.Opened.Manifests(h.T.Context(), snapshot.Filter{})
	Must(h.T, err)
	if len(problems) > 0 {
		h.T.Fatalf("problems: %v", problems)
	}
	return len(all)
}
