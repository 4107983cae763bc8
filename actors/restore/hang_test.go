package restore_test

import (
	"context"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
	"vaultik/internal/testtree"
)

// A writer, or a downloader, that never comes back does not hold the restore for ever.
func TestRestore_HangingLeafIsLeftBehind(t *testing.T) {
	for _, where := range []string{"write", "download", "walk"} {
		t.Run(where, func(t *testing.T) {
			h, dir := jobtest.New(t), t.TempDir()
			jobtest.MakeOdd(t, dir, 5, 50)
			testtree.Make(t, dir, "file Same text=a\nfile same text=b")
			h.Backup(dir)
			out := t.TempDir()
			s := h.RestoreSpec(dir, out)
			hang := jobtest.NewHang(t)
			s.Faults.HangTime, s.Warn = jobtest.HangTime, hang.Warn
			says := out
			switch where {
			case "write":
				s.Faults.OnWrite = hang.Call
			case "download":
				s.Faults.OnDownload, says = hang.Call, "a system call"
			case "walk":
				s.Faults.Folds = func(string) bool { return true }
				s.Faults.OneName = func(string, string, string) (bool, error) {
					hang.Call()
					return false, nil
				}
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

// What hangs when all is restored already is no success: nothing says that it is on the disk.
func TestRestore_HangAtTheEnd(t *testing.T) {
	h, dir := jobtest.New(t), t.TempDir()
	jobtest.MakeOdd(t, dir, 5, 50)
	h.Backup(dir)
	out := t.TempDir()
	s := h.RestoreSpec(dir, out)
	hang := jobtest.NewHang(t)
	s.Faults.HangTime, s.Warn = jobtest.HangTime, hang.Warn
	stopping := func(who string, message any) {
		if _, ok := message.(*actor.Stopping); ok && strings.Contains(who, "/walker") {
			hang.Call()
		}
	}
	actors.OnReceive.Store(&stopping)
	defer actors.OnReceive.Store(nil)
	r, err := restore.Run(t.Context(), h.System, s)
	if r == nil || r.Abandoned == "" || err == nil ||
		!strings.Contains(err.Error(), "may not be on the disk") {
		t.Errorf("%+v, %v", r, err)
	}
	if got := marksIn(t, out); len(got) != 1 {
		t.Errorf("marks %q", got)
	}
}
