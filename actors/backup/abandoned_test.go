package backup_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/messages"
)

// TestBackup_AbandonedWhileItWorks: a backup that leaves a call behind may return
// before its actors are gone. What they do then is not seen in its result, and nobody
// is told of it. The race detector is what fails here.
func TestBackup_AbandonedWhileItWorks(t *testing.T) {
	defer goleak.VerifyNone(t, append(jobtest.LeakOptions, goleak.IgnoreCurrent())...)
	h, dir, marks := jobtest.New(t), t.TempDir(), t.TempDir()
	for i := range 1100 { // two leaves, at least
		name := filepath.Join(dir, strings.Repeat("a", 1+i/100)+string(rune('a'+i%26))+string(rune('a'+i/26%26)))
		jobtest.Must(t, os.WriteFile(name, nil, 0o600))
	}
	hangs := filepath.Join(dir, "z-hangs")
	jobtest.Must(t, os.WriteFile(hangs, []byte("content"), 0o600))
	h.Backup(dir)
	jobtest.Must(t, os.Chtimes(hangs, time.Time{}, time.Unix(1e9, 0)))

	ctx, cancel := context.WithCancelCause(t.Context())
	release := make(chan struct{})
	s := h.Spec(dir)
	s.Faults.HangTime = 100 * time.Millisecond
	s.Faults.OnRead = func(path string) {
		if path == hangs {
			<-release
		}
	}
	// A file tells it that the backup has returned: a channel would order the two.
	returned := filepath.Join(marks, "returned")
	s.Faults.OnBuild = func() {
		for {
			if _, err := os.Stat(returned); err == nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	enough := errors.New("enough")
	s.Warn = func(string) { cancel(enough) }
	s.OnItem = func(path string, _ messages.Status, _ string) {
		if _, err := os.Stat(returned); err == nil {
			t.Errorf("told of %s after the end", path)
		}
	}
	r, err := backup.Run(ctx, context.Background(), h.System, s)
	jobtest.Must(t, os.Mkdir(returned, 0o700))
	if !errors.Is(err, enough) || r.Abandoned != hangs || r.Counts.Files != 0 {
		t.Errorf("%v, %+v", err, r)
	}
	close(release)
	h.CloseIndex()
}
