package verify_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"vaultik/actors/jobtest"
	"vaultik/actors/verify"
	"vaultik/backends"
	"vaultik/vault/blob"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// many is a store that seems to have many blobs more: copies of one, under other names.
type many struct {
	backends.Backend
	blob     string // key of the one
	size     int64
	keys     map[string]bool
	requests atomic.Int64
}

func (m *many) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser,
	backends.ObjectInfo, error) {
	m.requests.Add(1)
	if m.keys[key] {
		key = m.blob
	}
	return m.Backend.Get(ctx, key, off, n)
}

func (m *many) ListStream(ctx context.Context, prefix string,
	fn func(backends.ObjectInfo) error) error {
	m.requests.Add(1)
	if strings.HasPrefix(m.blob, prefix) {
		m.requests.Add(int64(len(m.keys) / 1000)) // the pages of S3
		for key := range m.keys {
			if err := fn(backends.ObjectInfo{Key: key, Size: m.size}); err != nil {
				return err
			}
		}
	}
	return m.Backend.ListStream(ctx, prefix, fn)
}

// BenchmarkDrill is the first drill of a store with 100,000 blobs of 1 MiB.
func BenchmarkDrill(b *testing.B) {
	const blobs = 100_000
	h := jobtest.New(b)
	dir := b.TempDir()
	writeBytes(b, dir, "a", 1, 1<<20)
	h.Backup(dir)
	key := h.Objects(layout.KindBlob)[0]
	m := &many{Backend: h.Store, blob: key, size: int64(len(h.Get(key))), keys: map[string]bool{}}
	s := h.VerifySpec(true, false)
	s.Store, s.Parallel, s.Drill = m, 8, &verify.Drill{Files: 5}
	for i := range blobs {
		name := blob.Name(sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(i))))
		m.keys[layout.Blob(h.Host.ID, name)] = true
		s.Snapshots[0].Blobs = append(s.Snapshots[0].Blobs,
			snapshot.BlobSize{Name: name, Size: m.size})
	}
	s.Snapshots[0].Count += blobs
	s.Snapshots[0].Bytes += blobs * m.size
	for b.Loop() {
		m.requests.Store(0)
		r, err := verify.Run(b.Context(), h.System, s)
		jobtest.Must(b, err)
		if r.Found != 0 || r.Drilled.Blobs != blobs+1 {
			b.Fatalf("%+v, %+v", r.Drilled, r.Problems)
		}
		b.ReportMetric(float64(m.requests.Load()), "requests")
		b.ReportMetric(float64(r.Read)/1e6, "MB-read")
	}
}
