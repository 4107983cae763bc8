package jobtest

import (
	"path/filepath"

	"vaultik/actors"
	"vaultik/actors/backup"
	"vaultik/messages"
)

// Items collects what a backup says of single entries.
type Items map[string]messages.Status

func (h *Host) BackupItems(dir string, inject func(*actors.Faults)) (*backup.Result, Items) {
	h.T.Helper()
	said := Items{}
	h.Edit = func(s *backup.Spec) {
		s.OnItem = func(path string, st messages.Status, _ string) {
			said[filepath.Base(path)] = st
		}
		inject(&s.Faults)
	}
	defer func() { h.Edit = nil }()
	return h.Backup(dir), said
}
