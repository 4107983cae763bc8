package restore_test

import (
	"context"
	"testing"

	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
)

// A writer, or a downloader, that never comes back does not hold the restore for ever.
func TestRestore_HangingLeafIsLeftBehind(t *testing.T) {
	for _, where := range []string{"write", "download"} {
		t.Run(where, func(t *testing.T) {
			h, dir := jobtest.New(t), t.TempDir()
			jobtest.MakeOdd(t, dir, 5, 50)
			h.Backup(dir)
			out := t.TempDir()
			s := h.RestoreSpec(dir, out)
			hang := jobtest.NewHang(t)
			s.Faults.HangTime, s.Warn = jobtest.HangTime, hang.Warn
			says := out
			if where == "write" {
				s.Faults.OnWrite = hang.Call
			} else {
				s.Faults.OnDownload, says = hang.Call, "a system call"
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			hang.Ends(t, cancel, func() error {
				r, err := restore.Run(ctx, h.System, s)
				if r == nil || r.Abandoned == "" {
					t.Errorf("%+v", r)
				}
				return err
			}, says)
		})
	}
}
