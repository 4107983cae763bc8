package actors

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

	"go.uber.org/goleak"

	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/vault/fs"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

func (h *testHost) stream(path string, r io.Reader) *BackupSpec {
	s := h.spec()
	s.Stream = &Stream{Path: path, Source: r, Stat: fs.Stat{Type: page.File, Mode: 0o600, UID: 5, GID: 6, Mtime: page.TimeOf(time.Unix(1e9, 5))}}
	return s
}

func (h *testHost) backupStream(path string, r io.Reader) *BackupResult {
	h.t.Helper()
	res, err := h.system.Backup(h.t.Context(), context.Background(), h.stream(path, r))
	must(h.t, err)
	return res
}

func (h *testHost) snapshots() int {
	h.t.Helper()
	all, problems, err := h.opened.Manifests(h.t.Context(), snapshot.Filter{})
	must(h.t, err)
	if len(problems) > 0 {
		h.t.Fatalf("problems: %v", problems)
	}
	return len(all)
}

// Streams of all sizes come back; what came before is stored once.
func TestBackup_Stream(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, leakOptions...)
	for _, size := range []int{1, 1000, 200 << 10, 256 << 10, 30 << 20} {
		h := newTestHost(t)
		data := testtree.Bytes(uint64(size), int64(size))
		r := h.backupStream("db/of/x", iotest.OneByteReader(io.LimitReader(bytes.NewReader(data), 7)))
		if size >= 7 && (r.Counts.Files != 1 || r.Counts.Bytes != 7 || r.Counts.New != 1 || !r.Complete || r.BytesRead != 7) {
			t.Errorf("%d: %+v", size, r)
		}
		h.backupStream("db/of/x", bytes.NewReader(data))
		got := h.readBack()
		sum := sha256.Sum256(data)
		e := got["db/of/x"]
		if len(got) != 4 || e.sum != hex.EncodeToString(sum[:]) || e.Size != int64(size) || e.Mode != 0o600 || e.UID != 5 || e.GID != 6 ||
			e.Mtime != page.TimeOf(time.Unix(1e9, 5)) || e.HL != "" {
			t.Errorf("%d: %+v", size, e)
		}
		for _, dir := range []string{".", "db", "db/of"} {
			if d := got[dir]; d.Type != page.Dir || !d.Implied || d.Mode != 0o755 {
				t.Errorf("%q: %+v", dir, d)
			}
		}
		again := h.backupStream("db/of/x", bytes.NewReader(data))
		if again.BytesRead != int64(size) || again.Counts.Changed != 1 || again.BytesStored > 100<<10 {
			t.Errorf("%d again: %+v", size, again)
		}
		if got := h.readBack()["db/of/x"]; got.sum != e.sum {
			t.Errorf("%d again: %+v", size, got)
		}
		h.verifyClean()
		h.closeIndex()
	}
}

// A stream that fails, or has nothing, makes no snapshot, and the next run does.
func TestBackup_StreamThatFails(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, leakOptions...)
	h := newTestHost(t)
	data := testtree.Bytes(1, 20<<20)
	why := errors.New("exit status 3")
	for name, r := range map[string]io.Reader{
		"at once": iotest.ErrReader(why),
		"late":    io.MultiReader(bytes.NewReader(data), iotest.ErrReader(why)),
		"short":   iotest.DataErrReader(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(why))),
	} {
		if _, err := h.system.Backup(t.Context(), context.Background(), h.stream("x", r)); !errors.Is(err, why) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.system.Backup(t.Context(), context.Background(), h.stream("x", strings.NewReader(""))); !errors.Is(err, ErrEmptyStream) {
		t.Errorf("empty: %v", err)
	}
	if n := h.snapshots(); n != 0 {
		t.Errorf("%d snapshots", n)
	}
	if r := h.backupStream("x", bytes.NewReader(data)); !r.Complete || h.readBack()["x"].Size != int64(len(data)) {
		t.Errorf("%+v", r)
	}
	h.verifyClean()
	h.closeIndex()
}

// A worker that stumbles cannot read a stream again: no part of it is taken for the whole.
func TestBackup_StreamAndPanic(t *testing.T) {
	h := newTestHost(t)
	s := h.stream("x", bytes.NewReader(testtree.Bytes(1, 5<<20)))
	n := 0
	s.faults.onChunk = func(path string) {
		if path == "x" {
			if n++; n == 1 {
				panic("injected")
			}
		}
	}
	if _, err := h.system.Backup(t.Context(), context.Background(), s); !errors.Is(err, errStreamAgain) || h.snapshots() != 0 {
		t.Errorf("%v, %d snapshots", err, h.snapshots())
	}
	h.closeIndex()
}

// A stream that blocks does not keep an interrupted backup; what came is stored.
func TestBackup_StreamThatBlocks(t *testing.T) {
	testsize.Long(t)
	defer goleak.VerifyNone(t, leakOptions...)
	h := newTestHost(t)
	data := testtree.Bytes(1, 40<<20)
	r, w := io.Pipe()
	soft, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = w.Write(data)
		stop() // all of it was taken, and no more comes
	}()
	res, err := h.system.Backup(t.Context(), soft, h.stream("x", r))
	if !errors.Is(err, ErrInterrupted) || h.snapshots() != 0 || res.BytesStored < 20<<20 {
		t.Errorf("%v, %+v", err, res)
	}
	_ = w.Close()
	if res := h.backupStream("x", bytes.NewReader(data)); res.BytesStored > 15<<20 {
		t.Errorf("%d bytes stored again", res.BytesStored)
	}
	h.verifyClean()
	h.closeIndex()
}

// Blobs that vanish while a stream is read cannot be made again.
func TestBackup_StreamAndLostBlobs(t *testing.T) {
	h := newTestHost(t)
	data := testtree.Bytes(1, 5<<20)
	h.backupStream("x", bytes.NewReader(data))
	s := h.stream("x", bytes.NewReader(data))
	s.Warn = func(string) {}
	s.faults.fresh = time.Nanosecond // the listing at the start is too old at the end
	s.faults.onCommitStart = func() {
		for _, k := range h.keys("b/") {
			must(t, h.store.Delete(context.Background(), k))
		}
	}
	if _, err := h.system.Backup(t.Context(), context.Background(), s); !errors.Is(err, errStreamLost) || h.snapshots() != 1 {
		t.Errorf("%v, %d snapshots", err, h.snapshots())
	}
	h.closeIndex()
}
