//go:build !portable

package restore_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vaultik/actors"
	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
	"vaultik/internal/testfuse"
)

// What comes before a job of actors and after it, and reads the target: a call that hangs there
// is named by its path, and left behind when the command is to end.
func TestHangingTarget_IsLeftBehind(t *testing.T) {
	const text = "what is restored"
	for name, c := range map[string]struct {
		hangs func(hang *jobtest.Hang, a, b *testfuse.File, s *restore.Spec)
		work  func(context.Context, *jobtest.Host, *restore.Spec) error
		mount bool   // the target is a FUSE
		says  string // below the target
	}{
		"read back, read": {
			hangs: func(hang *jobtest.Hang, a, _ *testfuse.File, _ *restore.Spec) {
				a.Plain = false
				a.Read = func(int64, int) ([]byte, error) { hang.Call(); return nil, nil }
			},
			mount: true, work: readBack, says: "/a",
		},
		"read back, open": {
			hangs: func(hang *jobtest.Hang, a, _ *testfuse.File, _ *restore.Spec) {
				a.Open = func() error { hang.Call(); return nil }
			},
			mount: true, work: readBack, says: "/a",
		},
		"read back, syncfs": {
			hangs: func(hang *jobtest.Hang, _, _ *testfuse.File, s *restore.Spec) {
				s.Faults.OnSync = hang.Call
			},
			work: func(ctx context.Context, h *jobtest.Host, s *restore.Spec) error {
				sync := s.Faults.OnSync
				s.Faults.OnSync = nil
				h.Restore(s)
				s.Faults.OnSync = sync
				return readBack(ctx, h, s)
			},
		},
		"restore, syncfs": {
			hangs: func(hang *jobtest.Hang, _, _ *testfuse.File, s *restore.Spec) {
				s.Faults.OnSync = hang.Call
			},
			work: func(ctx context.Context, h *jobtest.Host, s *restore.Spec) error {
				_, err := restore.Run(ctx, h.System, s)
				return err
			},
		},
		"delete": {
			hangs: func(hang *jobtest.Hang, _, _ *testfuse.File, s *restore.Spec) {
				s.Faults.Folds = func(string) bool { hang.Call(); return false }
			},
			work: deleteExtras, says: "/extra",
		},
		"find what to delete": {
			hangs: func(hang *jobtest.Hang, _, b *testfuse.File, _ *restore.Spec) {
				b.Stat = func() error { hang.Call(); return nil }
			},
			mount: true, work: findExtras, says: "/b",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if os.Geteuid() != 0 {
				t.Skip("mounting needs root")
			}
			h, dir := jobtest.New(t), t.TempDir()
			jobtest.Must(t, os.WriteFile(filepath.Join(dir, "a"), []byte(text), 0o600))
			h.Backup(dir)
			out := filepath.Join(t.TempDir(), "out")
			s := h.RestoreSpec(dir, out)
			hang := jobtest.NewHang(t)
			a, b := testfuse.Bytes([]byte(text)), testfuse.Bytes([]byte("extra"))
			c.hangs(hang, &a, &b, s)
			if c.mount {
				testfuse.New(t, out, map[string]testfuse.File{"a": a, "b": b})
			}
			s.Faults.HangTime, s.Warn, s.Watch = jobtest.HangTime, hang.Warn, &actors.Watch{}
			attendance := actors.Attendance{
				Name: "command", Watch: s.Watch, Warn: hang.Warn, HangTime: jobtest.HangTime,
				Alone: func() time.Time { return time.Time{} },
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			hang.Ends(t, cancel, func() error {
				var err error
				if left := attendance.Do(ctx, func() { err = c.work(ctx, h, s) }); left != nil {
					return left
				}
				return err
			}, out+c.says)
		})
	}
}

func readBack(ctx context.Context, h *jobtest.Host, s *restore.Spec) error {
	_, err := restore.ReadBack(ctx, h.System, s)
	return err
}

func findExtras(ctx context.Context, h *jobtest.Host, s *restore.Spec) error {
	_, err := restore.Extras(ctx, h.System, &restore.ExtrasSpec{Restore: s})
	return err
}

func deleteExtras(ctx context.Context, h *jobtest.Host, s *restore.Spec) error {
	hang := s.Faults.Folds
	s.Faults.Folds = nil
	h.Restore(s)
	if err := os.WriteFile(filepath.Join(s.Target, "extra"), nil, 0o600); err != nil {
		return err
	}
	listed, err := restore.Extras(ctx, h.System, &restore.ExtrasSpec{Restore: s})
	if err != nil {
		return err
	}
	s.Faults.Folds = hang
	_, err = restore.Extras(ctx, h.System, &restore.ExtrasSpec{Restore: s, Listed: listed})
	return err
}
