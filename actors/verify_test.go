package actors

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"vaultik/backends"
	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

func (h *testHost) verifySpec(key, data bool) *VerifySpec {
	h.t.Helper()
	all, problems, err := h.opened.Manifests(h.t.Context(), snapshot.Filter{})
	must(h.t, err)
	if len(problems) > 0 {
		h.t.Fatalf("problems: %v", problems)
	}
	// Caches of the store would hide what is done to it.
	opened, err := snapshot.OpenStore(h.t.Context(), backends.Objects(h.store), snapshot.Pin{})
	must(h.t, err)
	s := &VerifySpec{Store: h.store, Opened: opened, Snapshots: all, ReadData: data}
	if key {
		s.Identity = h.identity
	}
	return s
}

func (h *testHost) verify(key, data bool) *VerifyReport {
	h.t.Helper()
	r, err := h.system.Verify(h.t.Context(), h.verifySpec(key, data))
	must(h.t, err)
	return r
}

// listBlobs replaces the newest manifest by one that names all its blobs in a list,
// unless it has one.
func (h *testHost) listBlobs() {
	h.t.Helper()
	m, _, _ := h.newest()
	if len(m.Lists) > 0 { // by chance of its blobs' names
		return
	}
	list, err := snapshot.EncodeBlobList(m.Blobs)
	must(h.t, err)
	c := *m.Manifest
	sum := snapshot.Sum(sha256.Sum256(list))
	c.Lists, c.Blobs = []snapshot.ListRef{{Name: sum, Size: int64(len(list)), Count: int64(len(m.Blobs))}}, nil
	b, err := snapshot.EncodeManifest(&c, h.host.Signer)
	must(h.t, err)
	h.put(layout.BlobList(m.Host, sum), list)
	h.put(m.Key, b)
}

func (h *testHost) get(key string) []byte {
	h.t.Helper()
	b, err := backends.Objects(h.store).Get(h.t.Context(), key, 0, -1)
	must(h.t, err)
	return b
}

// objects are the keys of a kind, sorted.
func (h *testHost) objects(kind layout.Kind) (out []string) {
	h.t.Helper()
	must(h.t, h.store.ListStream(h.t.Context(), "h/", func(o backends.ObjectInfo) error {
		if name, err := layout.Parse(o.Key); err == nil && name.Kind == kind {
			out = append(out, o.Key)
		}
		return nil
	}))
	slices.Sort(out)
	return out
}

func TestVerify_Clean(t *testing.T) {
	defer goleak.VerifyNone(t, leakOptions...)
	h := newTestHost(t)
	h.edit = func(s *BackupSpec) { s.BlobSize = 2 << 20 }
	dir := t.TempDir()
	makeOdd(t, dir, 21, 400)
	must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(3, 30<<20), 0o600))
	h.backup(dir)
	must(t, os.WriteFile(filepath.Join(dir, "more"), testtree.Bytes(4, 3<<20), 0o600))
	h.backup(dir)
	h.listBlobs()
	objects := int64(len(h.objects(layout.KindBlob)) + len(h.objects(layout.KindEpochKey)) + len(h.objects(layout.KindBlobList)) + 2)
	for _, key := range []bool{false, true} {
		for _, data := range []bool{false, true} {
			r := h.verify(key, data)
			if r.Found != 0 || r.Objects != objects || r.Snapshots != 2 {
				t.Errorf("key %v, data %v: %+v; %d objects", key, data, r, objects)
			}
			if data && (r.Checked != objects || r.Read < r.Bytes) {
				t.Errorf("key %v: %d of %d objects checked, %d of %d bytes", key, r.Checked, r.Objects, r.Read, r.Bytes)
			}
			if (r.Pages > 0) != key || (r.Entries > 0) != key || (r.Chunks > 0) != (key && data) {
				t.Errorf("key %v, data %v: %+v", key, data, r)
			}
		}
	}
	h.closeIndex()
}

// What is done to an object, and what verify says of it.
func TestVerify_Damage(t *testing.T) {
	testsize.Long(t)
	h := newTestHost(t)
	h.edit = func(s *BackupSpec) { s.BlobSize = 1 << 20 }
	dir := t.TempDir()
	makeOdd(t, dir, 22, 200)
	must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(5, 5<<20), 0o600))
	h.backup(dir)
	h.listBlobs()
	flip := func(at float64) func([]byte) []byte {
		return func(b []byte) []byte { b[int(float64(len(b)-1)*at)] ^= 1; return b }
	}
	actions := []struct {
		name string
		do   func([]byte) []byte
		kind ProblemKind
		seen bool // by the listing alone
	}{
		{"flip the first byte", flip(0), ProblemDamaged, false},
		{"flip in the middle", flip(0.5), ProblemDamaged, false},
		{"flip the last byte", flip(1), ProblemDamaged, false},
		{"truncate", func(b []byte) []byte { return b[:len(b)/2] }, ProblemSize, true},
		{"append", func(b []byte) []byte { return append(b, 0) }, ProblemSize, true},
		{"delete", func([]byte) []byte { return nil }, ProblemMissing, true},
	}
	for _, kind := range []layout.Kind{layout.KindBlob, layout.KindEpochKey, layout.KindRoot, layout.KindBlobList} {
		victims := h.objects(kind)
		for _, a := range actions {
			for n, victim := range victims {
				if kind == layout.KindBlob && n%3 != 0 {
					continue
				}
				whole := h.get(victim)
				if b := a.do(bytes.Clone(whole)); b != nil {
					h.put(victim, b)
				} else {
					must(t, h.store.Delete(t.Context(), victim))
				}
				for _, key := range []bool{false, true} {
					for _, data := range []bool{false, true} {
						name := fmt.Sprintf("%s %s, %s, key %v, data %v", kind, victim[len(victim)-8:], a.name, key, data)
						must1 := a.seen || data || kind == layout.KindBlobList || key && kind != layout.KindBlob
						spec := h.verifySpec(key, data)
						told := 0
						spec.OnProblem = func(VerifyProblem) { told++ }
						r, err := h.system.Verify(t.Context(), spec)
						if err != nil {
							t.Errorf("%s: %v", name, err)
							continue
						}
						found := slices.ContainsFunc(r.Problems, func(p VerifyProblem) bool {
							return p.Key == victim && (p.Kind == a.kind || p.Kind == ProblemDamaged) && len(p.Snapshots) == 1
						})
						if must1 && !found || found && told == 0 {
							t.Errorf("%s: %+v", name, r.Problems)
						}
						for _, p := range r.Problems {
							if p.Key != victim {
								t.Errorf("%s: also %+v", name, p)
							}
							if key && kind == layout.KindBlob && a.name != "append" && len(p.Paths)+len(p.Lost) == 0 {
								t.Errorf("%s: no path: %+v", name, p)
							}
						}
					}
				}
				h.put(victim, whole)
			}
		}
	}
	if r := h.verify(true, true); r.Found != 0 {
		t.Errorf("after all is put back: %+v", r.Problems)
	}
}

// A blob that the manifest leaves out, and one that it names with another size.
func TestVerify_ManifestAndPagesDisagree(t *testing.T) {
	h := newTestHost(t)
	h.edit = func(s *BackupSpec) { s.BlobSize = 1 << 20 }
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(5, 5<<20), 0o600))
	h.backup(dir)
	m, _, _ := h.newest()
	c := *m.Manifest
	left := c.Blobs[1]
	c.Blobs = slices.Delete(slices.Clone(c.Blobs), 1, 2)
	c.Count, c.Bytes = c.Count-1, c.Bytes-left.Size
	b, err := snapshot.EncodeManifest(&c, h.host.Signer)
	must(t, err)
	h.put(m.Key, b)
	if r := h.verify(false, true); r.Found != 0 {
		t.Errorf("without the key: %+v", r.Problems)
	}
	r := h.verify(true, false)
	if r.Found != 1 || r.Problems[0].Kind != ProblemReference || r.Problems[0].Key != layout.Blob(h.host.ID, left.Name) || len(r.Problems[0].Paths) == 0 {
		t.Errorf("%+v", r.Problems)
	}
}

func TestVerify_WrongIdentity(t *testing.T) {
	h := newTestHost(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o600))
	h.backup(dir)
	secret, _, err := keys.Generate(true)
	must(t, err)
	s := h.verifySpec(true, true)
	s.Identity, err = keys.ParseIdentity(secret)
	must(t, err)
	if _, err := h.system.Verify(t.Context(), s); !errors.Is(err, keys.ErrWrongIdentity) {
		t.Errorf("error %v", err)
	}
}

func TestVerify_CancelAndCrash(t *testing.T) {
	defer goleak.VerifyNone(t, leakOptions...)
	h := newTestHost(t)
	h.edit = func(s *BackupSpec) { s.BlobSize = 1 << 20 }
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(5, 9<<20), 0o600))
	h.backup(dir)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	s := h.verifySpec(true, true)
	n := 0
	s.Parallel = 1
	s.faults.onDownload = func() {
		if n++; n == 4 {
			cancel(why)
		}
	}
	if _, err := h.system.Verify(ctx, s); !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
	s, n = h.verifySpec(true, true), 0
	s.Parallel = 1
	s.faults.onDownload = func() {
		if n++; n%3 == 0 {
			panic("injected in checker")
		}
	}
	if r, err := h.system.Verify(t.Context(), s); err != nil || r.Found != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	s, n = h.verifySpec(true, true), 0
	s.faults.onScan = func() {
		if n++; n == 2 {
			panic("injected in inspector")
		}
	}
	if _, err := h.system.Verify(t.Context(), s); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("%v", err)
	}
	h.closeIndex()
}
