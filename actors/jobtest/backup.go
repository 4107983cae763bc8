package jobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"vaultik/actors/backup"
	"vaultik/backends"
	"vaultik/index"
	"vaultik/messages"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/fs"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

func (h *Host) OpenIndex() {
	h.T.Helper()
	ix, err := index.Open(h.IndexDir, index.Options{Key: h.Host.Secret.IndexPath()})
	Must(h.T, err)
	h.index = ix
	h.T.Cleanup(func() { _ = ix.Close() })
}

func (h *Host) Put(key string, b []byte) {
	h.T.Helper()
	_, err := h.Store.Put(context.Background(), key, backends.Bytes(b, nil), backends.PutOptions{})
	Must(h.T, err)
}

func (h *Host) Spec(paths ...string) *backup.Spec {
	roots, err := fs.Roots(paths)
	Must(h.T, err)
	s := &backup.Spec{
		Store: h.Store, Opened: h.Opened, Index: h.index, Host: h.Host, Recipients: h.Recips,
		Epoch: h.epoch, Set: h.Set, SetName: "test", Head: h.Head, Paths: roots,
		Chunks: chunk.DefaultParams(), BlobSize: 15 << 20, Memory: 150 << 20, Parallel: 4,
		Chunkers: 4, Tool: "vaultik test", Progress: &messages.Progress{}, Now: h.Now,
		Warn:      func(text string) { h.T.Log("warning:", text) },
		SaveEpoch: func(e keys.EpochKey) error { h.epoch = e; return nil },
		SaveNext: func(n backup.Head) error {
			h.Head.Next = append(h.Head.Next, n.Sum)
			return nil
		},
		SaveHead: func(n backup.Head) error { h.Head = n; return nil },
	}
	if h.Edit != nil {
		h.Edit(s)
	}
	return s
}

func (h *Host) Backup(paths ...string) *backup.Result {
	h.T.Helper()
	r, err := backup.Run(h.T.Context(), context.Background(), h.System, h.Spec(paths...))
	Must(h.T, err)
	return r
}

// ReadBack reads the newest snapshot of the set with no code of the restorer.
func (h *Host) ReadBack() map[string]ReadEntry {
	h.T.Helper()
	all, problems, err := h.Opened.Manifests(h.T.Context(), snapshot.Filter{})
	Must(h.T, err)
	if len(problems) > 0 {
		h.T.Fatalf("problems: %v", problems)
	}
	var newest *snapshot.Loaded
	for _, m := range all {
		if m.Set == h.Set && (newest == nil || m.Seq > newest.Seq) {
			newest = m
		}
	}
	return h.ReadSnapshot(newest)
}

// ReadSnapshot reads all of a snapshot, and checks that its manifest names exactly
// the blobs that it uses.
func (h *Host) ReadSnapshot(newest *snapshot.Loaded) map[string]ReadEntry {
	h.T.Helper()
	ctx := h.T.Context()
	ids, problems, err := h.Opened.Identities(ctx, newest.Manifest, h.Identity)
	Must(h.T, err)
	if len(problems) > 0 {
		h.T.Fatalf("problems: %v", problems)
	}
	root, err := h.Opened.Root(ctx, newest.Manifest, ids)
	Must(h.T, err)
	needed, err := h.Opened.Blobs(ctx, newest.Manifest)
	Must(h.T, err)
	listed := map[blob.Name]bool{}
	for _, b := range needed {
		listed[b.Name] = true
	}
	r := &plainReader{
		h: h, ids: ids, hasher: chunk.NewHasher(root.Secret.ChunkID()),
		zstd: blob.NewDecompressor(), listed: listed, used: map[blob.Name]bool{},
		blobs: map[blob.Name]*blob.Reader{},
	}
	tree := &page.Tree{Fetch: r.fetch, Top: root.Top.Ref()}
	out := map[string]ReadEntry{}
	Must(h.T, tree.WalkPages(ctx, func(page.Ref, *page.Page) error { return nil }))
	Must(h.T, tree.Walk(ctx, "", func(e *page.Entry) (err error) {
		out[e.Path], err = r.entry(ctx, tree, e)
		return err
	}))
	for n := range listed {
		if !r.used[n] {
			h.T.Errorf("blob %s is in the manifest, but nothing uses it", n)
		}
	}
	return out
}

// plainReader reads one snapshot with no code of the restorer.
type plainReader struct {
	h            *Host
	ids          []age.Identity
	hasher       *chunk.Hasher
	zstd         *blob.Decompressor
	listed, used map[blob.Name]bool // by the manifest, by the pages
	blobs        map[blob.Name]*blob.Reader
	last         struct { // the newest frame: neighbours share it
		blob blob.Name
		off  uint32
		raw  []byte
	}
}

func (r *plainReader) fetch(ctx context.Context, ref page.Ref) ([]byte, error) {
	r.used[ref.Blob.Name] = true
	if !r.listed[ref.Blob.Name] {
		r.h.T.Errorf("blob %s is used, but not in the manifest", ref.Blob.Name)
	}
	br, err := r.blob(ctx, ref.Blob)
	if err != nil {
		return nil, err
	}
	if l := &r.last; l.raw == nil || l.blob != ref.Blob.Name || l.off != ref.Span.FrameOff {
		raw, err := br.Frame(ctx, r.zstd, nil, ref.Span.FrameOff, ref.Span.FrameLen, -1)
		if err != nil {
			return nil, err
		}
		l.blob, l.off, l.raw = ref.Blob.Name, ref.Span.FrameOff, raw
	}
	b := r.last.raw[ref.Span.Off : ref.Span.Off+ref.Span.Len]
	if r.hasher.ID(b) != ref.ID {
		return nil, fmt.Errorf("chunk %s has another id", ref.ID)
	}
	return b, nil
}

// blob opens a whole blob, once.
func (r *plainReader) blob(ctx context.Context, info *blob.Info) (*blob.Reader, error) {
	if br := r.blobs[info.Name]; br != nil {
		return br, nil
	}
	key := layout.Blob(r.h.Host.ID, info.Name)
	whole, err := backends.Objects(r.h.Store).Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(whole) != info.Name {
		return nil, fmt.Errorf("blob %s has another hash", info.Name)
	}
	br, err := blob.OpenBytes(*info, bytes.Clone(whole), r.ids)
	if err == nil {
		r.blobs[info.Name] = br
	}
	return br, err
}

// entry reads the content of an entry.
func (r *plainReader) entry(
	ctx context.Context, tree *page.Tree, e *page.Entry,
) (ReadEntry, error) {
	re := ReadEntry{Entry: *e}
	if e.Type != page.File {
		return re, nil
	}
	sum := sha256.New()
	err := tree.Refs(ctx, e, func(ref page.Ref) error {
		if ref.Hole > 0 {
			re.holes += ref.Hole
			_, err := sum.Write(make([]byte, ref.Hole))
			return err
		}
		b, err := r.fetch(ctx, ref)
		_, _ = sum.Write(b)
		return err
	})
	if err != nil {
		return re, fmt.Errorf("%s: %w", e.Path, err)
	}
	re.Sum = hex.EncodeToString(sum.Sum(nil))
	return re, nil
}

// CheckTree compares a snapshot with the directory that it was made of.
func (h *Host) CheckTree(dir string) {
	h.T.Helper()
	got := h.ReadBack()
	n := 0
	Must(h.T, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		Must(h.T, err)
		rel := strings.TrimPrefix(p, "/")
		e, ok := got[rel]
		if !ok {
			h.T.Errorf("%q is not in the snapshot", rel)
			return nil
		}
		n++
		fi, err := d.Info()
		Must(h.T, err)
		if mt := page.TimeOf(fi.ModTime()); mt != e.Mtime {
			h.T.Errorf("%q: mtime %v, want %v", rel, e.Mtime, mt)
		}
		if fi.Mode().IsRegular() {
			b, err := os.ReadFile(p)
			Must(h.T, err)
			if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != e.Sum {
				h.T.Errorf("%q: other content", rel)
			}
		}
		return nil
	}))
	for p := range got {
		if p == "." || strings.HasPrefix(strings.TrimPrefix(dir, "/"), p) {
			continue
		}
		n--
		if _, err := os.Lstat("/" + p); err != nil {
			h.T.Errorf("%q is in the snapshot: %v", p, err)
		}
	}
}

func (h *Host) CloseIndex() { Must(h.T, h.index.Close()) }
