package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/internal/testtree"
	"vaultik/vault/blob"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// What a host keeps of its backups opens none of them: the secret of the epoch, which it makes
// and seals, is forgotten.
func TestBackup_HostCannotRead(t *testing.T) {
	h := jobtest.New(t)
	var state []byte
	h.Edit = func(s *backup.Spec) {
		save := s.SaveEpoch
		s.SaveEpoch = func(e keys.EpochKey) error {
			b, err := json.Marshal(e)
			jobtest.Must(t, err)
			state = append(state, b...)
			return save(e)
		}
	}
	dir := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "a"), testtree.Bytes(1, 300<<10), 0o600))
	h.Backup(dir)
	h.CloseIndex()
	kept := state
	jobtest.Must(t, filepath.WalkDir(h.IndexDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		kept = append(kept, b...)
		return err
	}))
	sealed := h.Get(h.Objects(layout.KindEpochKey)[0])
	secret, err := keys.Decrypt(sealed, h.Identity.Age(), 1<<10)
	jobtest.Must(t, err)
	text := strings.TrimSpace(string(secret))
	var epoch keys.EpochKey
	jobtest.Must(t, json.Unmarshal(state, &epoch))
	if !bytes.Contains(kept, []byte(epoch.Recipient)) {
		t.Fatal("what the host keeps was not found")
	}
	if !strings.HasPrefix(text, "AGE-SECRET-KEY-") || bytes.Contains(kept, []byte(text)) ||
		bytes.Contains(bytes.ToUpper(kept), []byte("AGE-SECRET-KEY-")) {
		t.Error("the host keeps a key that opens its backups")
	}
	for _, key := range h.Objects(layout.KindBlob) {
		b := h.Get(key)
		hdr, _, err := blob.HeaderSum(b)
		jobtest.Must(t, err)
		name, err := layout.Parse(key)
		jobtest.Must(t, err)
		info := blob.Info{Name: name.Sum, Hdr: hdr, Size: int64(len(b))}
		if _, err := blob.OpenBytes(info, b, nil); err == nil {
			t.Error("a blob opens without a key")
		}
	}
}

// The sizes of blobs are padded, and differ from run to run: the same tree, stored often with the
// same keys, does not look the same.
func TestBackup_SizesTellLittle(t *testing.T) {
	random, text := t.TempDir(), t.TempDir()
	for name, n := range map[string]int64{"known": 5 << 20, "small": 3000, "second": 2 << 20} {
		b := testtree.Bytes(uint64(n), n)
		jobtest.Must(t, os.WriteFile(filepath.Join(random, name), b, 0o600))
		b = bytes.Repeat([]byte(name+" "), int(n)/(len(name)+1))
		jobtest.Must(t, os.WriteFile(filepath.Join(text, name), b, 0o600))
	}
	secret := keys.NewHostSecret()
	for _, dir := range []string{random, text} {
		var first []int64
		differs := false
		for range 6 {
			h := jobtest.New(t)
			h.Host.Secret = secret
			h.Edit = func(s *backup.Spec) { s.BlobSize, s.Parallel, s.Chunkers = 2<<20, 1, 1 }
			h.CloseIndex()
			h.IndexDir = filepath.Join(t.TempDir(), "index")
			h.OpenIndex()
			h.Backup(dir)
			sizes := plainSizes(t, h)
			if first == nil {
				first = sizes
			}
			differs = differs || !reflect.DeepEqual(sizes, first)
		}
		if dir == random && !differs { // the other tree is too small for that
			t.Errorf("six runs gave blobs of the same sizes: %v", first)
		}
	}
}

// plainSizes are how many bytes are encrypted in each blob. They must be padded, and in a small
// run, which makes one blob, no chunk is alone.
func plainSizes(t *testing.T, h *jobtest.Host) (sizes []int64) {
	t.Helper()
	blobs := h.Objects(layout.KindBlob)
	for _, key := range blobs {
		b := h.Get(key)
		hdr, _, err := blob.HeaderSum(b)
		jobtest.Must(t, err)
		name, err := layout.Parse(key)
		jobtest.Must(t, err)
		r, err := blob.OpenBytes(blob.Info{Name: name.Sum, Hdr: hdr, Size: int64(len(b))}, b,
			h.Identity.Age())
		jobtest.Must(t, err)
		if r.Size() != blob.Padme(r.Size()) {
			t.Errorf("%d bytes are encrypted: not padded", r.Size())
		}
		rows, err := r.Table(context.Background())
		jobtest.Must(t, err)
		if len(blobs) == 1 && len(rows) == 1 {
			t.Errorf("a chunk of %d bytes is alone in its blob", rows[0].FrameLen)
		}
		sizes = append(sizes, r.Size())
	}
	return sizes
}
