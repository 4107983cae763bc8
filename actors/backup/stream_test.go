package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"vaultik/internal/testsize"

	"go.uber.org/goleak"

	"vaultik/actors"
	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/internal/testtree"
	"vaultik/vault/page"
)

// Streams of all sizes come back; what came before is stored once.
func TestBackup_Stream(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	for _, size := range []int{1, 1000, 200 << 10, 256 << 10, 30 << 20} {
		h := jobtest.New(t)
		data := testtree.Bytes(uint64(size), int64(size))
		r := h.BackupStream("db/of/x", iotest.OneByteReader(io.LimitReader(bytes.NewReader(data), 7)))
		if size >= 7 && (r.Counts.Files != 1 || r.Counts.Bytes != 7 || r.Counts.New != 1 || !r.Complete || r.BytesRead != 7) {
			t.Errorf("%d: %+v", size, r)
		}
		h.BackupStream("db/of/x", bytes.NewReader(data))
		got := h.ReadBack()
		sum := sha256.Sum256(data)
		e := got["db/of/x"]
		if len(got) != 4 || e.Sum != hex.EncodeToString(sum[:]) || e.Size != int64(size) || e.Mode != 0o600 || e.UID != 5 || e.GID != 6 ||
			e.Mtime != page.TimeOf(time.Unix(1e9, 5)) || e.HL != "" {
			t.Errorf("%d: %+v", size, e)
		}
		for _, dir := range []string{".", "db", "db/of"} {
			if d := got[dir]; d.Type != page.Dir || !d.Implied || d.Mode != 0o755 {
				t.Errorf("%q: %+v", dir, d)
			}
		}
		again := h.BackupStream("db/of/x", bytes.NewReader(data))
		if again.BytesRead != int64(size) || again.Counts.Changed != 1 || again.BytesStored > 100<<10 {
			t.Errorf("%d again: %+v", size, again)
		}
		if got := h.ReadBack()["db/of/x"]; got.Sum != e.Sum {
			t.Errorf("%d again: %+v", size, got)
		}
		h.VerifyClean()
		h.CloseIndex()
	}
}

// A stream that fails, or has nothing, makes no snapshot, and the next run does.
func TestBackup_StreamThatFails(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	h := jobtest.New(t)
	data := testtree.Bytes(1, 20<<20)
	why := errors.New("exit status 3")
	for name, r := range map[string]io.Reader{
		"at once": iotest.ErrReader(why),
		"late":    io.MultiReader(bytes.NewReader(data), iotest.ErrReader(why)),
		"short":   iotest.DataErrReader(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(why))),
	} {
		if _, err := backup.Run(t.Context(), context.Background(), h.System, h.Stream("x", r)); !errors.Is(err, why) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var bug *actors.PanicError
	if _, err := backup.Run(t.Context(), context.Background(), h.System, h.Stream("x", brokenReader{})); !errors.As(err, &bug) || bug.Value != "injected" {
		t.Errorf("broken: %v", err)
	}
	if _, err := backup.Run(t.Context(), context.Background(), h.System, h.Stream("x", strings.NewReader(""))); !errors.Is(err, backup.ErrEmptyStream) {
		t.Errorf("empty: %v", err)
	}
	if n := h.Snapshots(); n != 0 {
		t.Errorf("%d snapshots", n)
	}
	if r := h.BackupStream("x", bytes.NewReader(data)); !r.Complete || h.ReadBack()["x"].Size != int64(len(data)) {
		t.Errorf("%+v", r)
	}
	h.VerifyClean()
	h.CloseIndex()
}

// A worker that stumbles cannot read a stream again: no part of it is taken for the whole.
func TestBackup_StreamAndPanic(t *testing.T) {
	h := jobtest.New(t)
	s := h.Stream("x", bytes.NewReader(testtree.Bytes(1, 5<<20)))
	n := 0
	s.Faults.OnChunk = func(path string) {
		if path == "x" {
			if n++; n == 1 {
				panic("injected")
			}
		}
	}
	if _, err := backup.Run(t.Context(), context.Background(), h.System, s); !errors.Is(err, backup.ErrStreamAgain) || h.Snapshots() != 0 {
		t.Errorf("%v, %d snapshots", err, h.Snapshots())
	}
	h.CloseIndex()
}

// A stream that blocks does not keep an interrupted backup; what came is stored.
func TestBackup_StreamThatBlocks(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	h := jobtest.New(t)
	data := testtree.Bytes(1, 40<<20)
	r, w := io.Pipe()
	soft, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = w.Write(data)
		stop() // all of it was taken, and no more comes
	}()
	res, err := backup.Run(t.Context(), soft, h.System, h.Stream("x", r))
	if !errors.Is(err, actors.ErrInterrupted) || h.Snapshots() != 0 || res.BytesStored < 20<<20 {
		t.Errorf("%v, %+v", err, res)
	}
	_ = w.Close()
	if res := h.BackupStream("x", bytes.NewReader(data)); res.BytesStored > 15<<20 {
		t.Errorf("%d bytes stored again", res.BytesStored)
	}
	h.VerifyClean()
	h.CloseIndex()
}

// Blobs that vanish while a stream is read cannot be made again.
func TestBackup_StreamAndLostBlobs(t *testing.T) {
	h := jobtest.New(t)
	data := testtree.Bytes(1, 5<<20)
	h.BackupStream("x", bytes.NewReader(data))
	s := h.Stream("x", bytes.NewReader(data))
	s.Warn = func(string) {}
	s.Faults.Boot = jobtest.Late() // the listing at the start is too old at the end
	s.Faults.OnCommitStart = func() {
		for _, k := range h.Keys("b/") {
			jobtest.Must(t, h.Store.Delete(context.Background(), k))
		}
	}
	if _, err := backup.Run(t.Context(), context.Background(), h.System, s); !errors.Is(err, backup.ErrStreamLost) || h.Snapshots() != 1 {
		t.Errorf("%v, %d snapshots", err, h.Snapshots())
	}
	h.CloseIndex()
}

// brokenReader has a bug.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { panic("injected") }
