package mirror_test

import (
	"context"
	"testing"

	"vaultik/actors/jobtest"
	"vaultik/actors/mirror"
	"vaultik/backends/mem"
)

// A call that never returns, of a copier or beside the actors, does not hold the copy for ever.
func TestCopy_HangingCallIsLeftBehind(t *testing.T) {
	for _, where := range []string{"copier", "planner"} {
		t.Run(where, func(t *testing.T) {
			h, dir := jobtest.New(t), t.TempDir()
			jobtest.MakeOdd(t, dir, 5, 50)
			h.Backup(dir)
			s := h.CopySpec(mem.New())
			hang := jobtest.NewHang(t)
			s.Faults.HangTime, s.Warn = jobtest.HangTime, hang.Warn
			if where == "copier" {
				s.Faults.OnDownload = hang.Call
			} else {
				s.Faults.OnScan = hang.Call
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			hang.Ends(t, cancel, func() error {
				_, err := mirror.Run(ctx, h.System, s)
				return err
			}, "a system call")
		})
	}
}
