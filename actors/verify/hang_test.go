package verify_test

import (
	"context"
	"testing"

	"vaultik/actors/jobtest"
	"vaultik/actors/verify"
)

// A call that never returns, of a checker or beside the actors, does not hold the check for ever.
func TestVerify_HangingCallIsLeftBehind(t *testing.T) {
	for _, where := range []string{"checker", "inspector"} {
		t.Run(where, func(t *testing.T) {
			h, dir := jobtest.New(t), t.TempDir()
			jobtest.MakeOdd(t, dir, 5, 50)
			h.Backup(dir)
			s := h.VerifySpec(true, true)
			hang := jobtest.NewHang(t)
			s.Faults.HangTime, s.Warn = jobtest.HangTime, hang.Warn
			if where == "checker" {
				s.Faults.OnDownload = hang.Call
			} else {
				s.Faults.OnScan = hang.Call
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			hang.Ends(t, cancel, func() error {
				_, err := verify.Run(ctx, h.System, s)
				return err
			}, "a system call")
		})
	}
}
