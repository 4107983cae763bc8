package verify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vaultik/internal/testsize"

	"go.uber.org/goleak"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/actors/survey"
	"vaultik/actors/verify"
	"vaultik/internal/testtree"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

func TestVerify_Clean(t *testing.T) {
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) { s.BlobSize = 2 << 20 }
	dir := t.TempDir()
	jobtest.MakeOdd(t, dir, 21, 400)
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(3, 30<<20), 0o600))
	h.Backup(dir)
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "more"), testtree.Bytes(4, 3<<20), 0o600))
	h.Backup(dir)
	h.ListBlobs()
	objects := int64(len(h.Objects(layout.KindBlob)) + len(h.Objects(layout.KindEpochKey)) + len(h.Objects(layout.KindBlobList)) + 2)
	for _, key := range []bool{false, true} {
		for _, data := range []bool{false, true} {
			r := h.Verify(key, data)
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
	h.CloseIndex()
}

// What is done to an object, and what verify says of it.
func TestVerify_Damage(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) { s.BlobSize = 1 << 20 }
	dir := t.TempDir()
	jobtest.MakeOdd(t, dir, 22, 200)
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(5, 5<<20), 0o600))
	h.Backup(dir)
	h.ListBlobs()
	flip := func(at float64) func([]byte) []byte {
		return func(b []byte) []byte { b[int(float64(len(b)-1)*at)] ^= 1; return b }
	}
	actions := []struct {
		name string
		do   func([]byte) []byte
		kind survey.Kind
		seen bool // by the listing alone
	}{
		{"flip the first byte", flip(0), survey.ProblemDamaged, false},
		{"flip in the middle", flip(0.5), survey.ProblemDamaged, false},
		{"flip the last byte", flip(1), survey.ProblemDamaged, false},
		{"truncate", func(b []byte) []byte { return b[:len(b)/2] }, survey.ProblemSize, true},
		{"append", func(b []byte) []byte { return append(b, 0) }, survey.ProblemSize, true},
		{"delete", func([]byte) []byte { return nil }, survey.ProblemMissing, true},
	}
	for _, kind := range []layout.Kind{layout.KindBlob, layout.KindEpochKey, layout.KindRoot, layout.KindBlobList} {
		victims := h.Objects(kind)
		for _, a := range actions {
			for n, victim := range victims {
				if kind == layout.KindBlob && n%3 != 0 {
					continue
				}
				whole := h.Get(victim)
				if b := a.do(bytes.Clone(whole)); b != nil {
					h.Put(victim, b)
				} else {
					jobtest.Must(t, h.Store.Delete(t.Context(), victim))
				}
				for _, key := range []bool{false, true} {
					for _, data := range []bool{false, true} {
						name := fmt.Sprintf("%s %s, %s, key %v, data %v", kind, victim[len(victim)-8:], a.name, key, data)
						must1 := a.seen || data || kind == layout.KindBlobList || key && kind != layout.KindBlob
						spec := h.VerifySpec(key, data)
						told := 0
						spec.OnProblem = func(survey.Problem) { told++ }
						r, err := verify.Run(t.Context(), h.System, spec)
						if err != nil {
							t.Errorf("%s: %v", name, err)
							continue
						}
						found := slices.ContainsFunc(r.Problems, func(p survey.Problem) bool {
							return p.Key == victim && (p.Kind == a.kind || p.Kind == survey.ProblemDamaged) && len(p.Snapshots) == 1
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
				h.Put(victim, whole)
			}
		}
	}
	if r := h.Verify(true, true); r.Found != 0 {
		t.Errorf("after all is put back: %+v", r.Problems)
	}
}

// A blob that the manifest leaves out, and one that it names with another size.
func TestVerify_ManifestAndPagesDisagree(t *testing.T) {
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) { s.BlobSize = 1 << 20 }
	dir := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(5, 5<<20), 0o600))
	h.Backup(dir)
	m, _, _ := h.Newest()
	c := *m.Manifest
	blobs, err := h.Opened.Blobs(t.Context(), &c)
	jobtest.Must(t, err)
	left := blobs[1]
	c.Lists, c.Blobs = nil, slices.Delete(blobs, 1, 2)
	c.Count, c.Bytes = c.Count-1, c.Bytes-left.Size
	b, err := snapshot.EncodeManifest(&c, h.Host.Signer)
	jobtest.Must(t, err)
	h.Put(m.Key, b)
	if r := h.Verify(false, true); r.Found != 0 {
		t.Errorf("without the key: %+v", r.Problems)
	}
	r := h.Verify(true, false)
	if r.Found != 1 || r.Problems[0].Kind != survey.ProblemReference || r.Problems[0].Key != layout.Blob(h.Host.ID, left.Name) || len(r.Problems[0].Paths) == 0 {
		t.Errorf("%+v", r.Problems)
	}
}

func TestVerify_WrongIdentity(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o600))
	h.Backup(dir)
	secret, _, err := keys.Generate(true)
	jobtest.Must(t, err)
	s := h.VerifySpec(true, true)
	s.Identity, err = keys.ParseIdentity(secret)
	jobtest.Must(t, err)
	if _, err := verify.Run(t.Context(), h.System, s); !errors.Is(err, keys.ErrWrongIdentity) {
		t.Errorf("error %v", err)
	}
}

func TestVerify_CancelAndCrash(t *testing.T) {
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) { s.BlobSize = 1 << 20 }
	dir := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(5, 9<<20), 0o600))
	h.Backup(dir)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	s := h.VerifySpec(true, true)
	n := 0
	s.Parallel = 1
	s.Faults.OnDownload = func() {
		if n++; n == 4 {
			cancel(why)
		}
	}
	if _, err := verify.Run(ctx, h.System, s); !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
	s, n = h.VerifySpec(true, true), 0
	s.Parallel = 1
	s.Faults.OnDownload = func() {
		if n++; n%3 == 0 {
			panic("injected in checker")
		}
	}
	if r, err := verify.Run(t.Context(), h.System, s); err != nil || r.Found != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	s, n = h.VerifySpec(true, true), 0
	s.Faults.OnScan = func() {
		if n++; n == 2 {
			panic("injected in inspector")
		}
	}
	if _, err := verify.Run(t.Context(), h.System, s); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("%v", err)
	}
	h.CloseIndex()
}
