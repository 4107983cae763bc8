package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/fault"
)

// filling fills a file system as soon as a snapshot is saved.
type filling struct {
	heard
	dir string
	err error
}

func (f *filling) Tell(e events.Event) {
	f.heard.Tell(e)
	if _, ok := e.(events.Saved); ok {
		f.err = fill(filepath.Join(f.dir, "ballast"))
	}
}

// fill writes a file until there is no more space.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err = f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	if errors.Is(err, unix.ENOSPC) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// A disk that is full when the index is closed is told, though the snapshot is saved.
func TestBackup_IndexCannotBeClosed(t *testing.T) {
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "mode=0700,size=64m"); err != nil {
		t.Skipf("mount: %v", err) // only root may
	}
	t.Cleanup(func() { _ = unix.Unmount(small, unix.MNT_DETACH) })
	t.Setenv("VAULTIK_INDEX_PATH", filepath.Join(small, "index"))
	m := newMachine(t, filepath.Join(t.TempDir(), "store"))
	m.write("src/a", strings.Repeat("a", 1<<20))
	e, sink := m.engine(nil), &filling{dir: small}
	res, err := e.Backup(t.Context(), engine.BackupOptions{Paths: []string{filepath.Join(m.dir,
		"src")}}, sink)
	m.must(sink.err)
	if err == nil {
		t.Fatal("closing the index on a full disk was no error")
	}
	x := engine.Explain(err)
	if x.Exit != fault.Failed || !strings.Contains(x.Message, "no space left for the index") ||
		!strings.Contains(x.Message, "the snapshot is intact") ||
		!strings.HasPrefix(x.Hint, "free some space in ") {
		t.Errorf("%+v", x)
	}
	if res.Snapshot == "" || len(eventsOf[events.Saved](&sink.heard)) != 1 {
		t.Errorf("%+v", res)
	}
	m.must(os.Remove(filepath.Join(small, "ballast")))
	verified, err := e.Verify(t.Context(), engine.VerifyOptions{ReadData: true}, events.Discard)
	m.must(err)
	if verified.Verified.Snapshots != 1 {
		t.Errorf("%+v", verified)
	}
}
