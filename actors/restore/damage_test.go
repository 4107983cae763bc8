package restore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vaultik/internal/testsize"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
	"vaultik/internal/testtree"
	"vaultik/vault/layout"
	"vaultik/vault/page"
)

// excused compares what was restored of dir with dir: every file is there with
// its content, or named by the result. It returns how many are not there.
func excused(t *testing.T, what, dir, out string, r *restore.Result) (lost int) {
	t.Helper()
	named := map[string]bool{}
	for _, p := range r.Problems {
		named[p.Path] = true
	}
	jobtest.Must(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		path := strings.TrimPrefix(p, "/")
		rel, _ := filepath.Rel(dir, p)
		got, gotErr := os.ReadFile(filepath.Join(out, rel))
		want, err := os.ReadFile(p)
		jobtest.Must(t, err)
		if gotErr == nil {
			if !bytes.Equal(got, want) {
				t.Errorf("%s: %s has other content", what, path)
			}
			return nil
		}
		lost++
		excuse := named[path]
		for _, l := range r.Lost {
			excuse = excuse || l.Last == "" || page.Compare(l.After, path) < 0 && page.Compare(path, l.Last) <= 0 || l.Last == path
		}
		if !excuse {
			t.Errorf("%s: nothing is said about %s: %v", what, path, gotErr)
		}
		return nil
	}))
	jobtest.NoTemps(t, out)
	return lost
}

// Whatever is done to a blob, what is restored is right, and what is not is named.
func TestRestore_Damage(t *testing.T) {
	testsize.Long(t)
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) { s.BlobSize = 1 << 20 }
	dir := t.TempDir()
	jobtest.MakeTree(t, testtree.Random(31, testtree.RandomOptions{Nodes: 300, Plain: true, MaxSize: 64 << 10}), dir)
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "large"), testtree.Bytes(5, 2<<20), 0o600))
	h.Backup(dir)
	files := 0
	jobtest.Must(t, filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if d.Type().IsRegular() {
			files++
		}
		return err
	}))
	blobs := h.Objects(layout.KindBlob)
	flip := func(at float64) func([]byte) []byte {
		return func(b []byte) []byte { b[int(float64(len(b)-1)*at)] ^= 0x80; return b }
	}
	swapped := h.Get(blobs[0])
	damaged, all := 0, 0
	for n, victim := range blobs {
		most := files // that can be lost: those in the blob, as the first action shows
		for i, do := range []func([]byte) []byte{
			func([]byte) []byte { return nil },
			flip(0.3 + 0.05*float64(n%10)), flip(1), flip(0), // header
			func(b []byte) []byte { return b[:len(b)*2/3] },
			func([]byte) []byte { return bytes.Clone(swapped) },
		} {
			if i > 2 && n%4 != 0 {
				continue
			}
			what := fmt.Sprintf("blob %d of %d, action %d", n, len(blobs), i)
			whole := h.Get(victim)
			if b := do(bytes.Clone(whole)); b != nil {
				h.Put(victim, b)
			} else {
				jobtest.Must(t, h.Store.Delete(t.Context(), victim))
			}
			_, _, s := h.Newest()
			s.From, s.Target = strings.TrimPrefix(dir, "/"), filepath.Join(t.TempDir(), "out")
			r, err := restore.Run(t.Context(), h.System, s)
			if err != nil {
				t.Errorf("%s: %v", what, err)
			} else {
				lost := excused(t, what, dir, s.Target, r)
				all += lost
				if r.Damaged != (len(r.Lost) > 0) || (r.Failed > 0) != (len(r.Problems) > 0) {
					t.Errorf("%s: %+v", what, r)
				}
				switch {
				case r.Damaged:
					damaged++
				case lost > most:
					t.Errorf("%s: %d of %d files are lost, %d without the blob", what, lost, files, most)
				case i == 0:
					most = lost
				}
			}
			h.Put(victim, whole)
		}
	}
	if damaged == 0 || all == 0 {
		t.Error("no damage did any harm")
	}
	t.Logf("%d blobs, %d files, %d times pages were lost, %d times a file", len(blobs), files, damaged, all)
}

// A chunk that is another than its reference says fails its files, and no others.
func TestRestore_OneDamagedPart(t *testing.T) {
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) { s.Memory = 1 << 30 } // all files in one blob
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	for i := range 8 {
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), testtree.Bytes(uint64(i), 1<<20), 0o600))
	}
	h.Backup(dir)
	for _, victim := range h.Objects(layout.KindBlob) {
		if b := h.Get(victim); len(b) > 4<<20 {
			b[len(b)/2] ^= 1
			h.Put(victim, b)
		}
	}
	r := h.Restore(h.RestoreSpec(dir, out))
	if r.Failed != 1 || r.Damaged || excused(t, "", dir, out, r) != 1 {
		t.Errorf("%+v", r)
	}
}

// Damage in what no file needs costs no file, and is told.
func TestRestore_DamagedEnd(t *testing.T) {
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) { s.Memory = 1 << 30 } // all files in one blob
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	for i := range 8 {
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), testtree.Bytes(uint64(i), 1<<20), 0o600))
	}
	h.Backup(dir)
	for _, victim := range h.Objects(layout.KindBlob) {
		if b := h.Get(victim); len(b) > 4<<20 { // that of the pages has only one part
			b[len(b)-1] ^= 1
			h.Put(victim, b)
		}
	}
	warned := 0
	s := h.RestoreSpec(dir, out)
	s.Warn = func(string) { warned++ }
	r := h.Restore(s)
	if r.Failed > 1 || r.Damaged || excused(t, "", dir, out, r) != int(r.Failed) || warned == 0 {
		t.Errorf("%d warnings, %+v", warned, r)
	}
	if v := h.Verify(true, false); v.Found == 0 {
		t.Error("verify has found nothing")
	}
}

// A page that this version cannot read is no damage: nothing of it is lost.
func TestRestore_NewerPage(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	jobtest.MakeTree(t, testtree.Random(32, testtree.RandomOptions{Nodes: 50, Plain: true}), dir)
	h.Backup(dir)
	for _, old := range []string{`"required":[]`, `"v":1`} {
		_, _, s := h.Newest()
		s.Target = t.TempDir()
		pages := 0
		s.Faults.OnPage = func(b []byte) []byte {
			pages++
			return bytes.Replace(b, []byte(old), []byte(strings.NewReplacer("[]", `["colour"]`, "1", "2").Replace(old)), 1)
		}
		r, err := restore.Run(t.Context(), h.System, s)
		if !errors.Is(err, page.ErrNewerFormat) || r != nil && (r.Damaged || len(r.Lost) > 0) || pages == 0 {
			t.Errorf("%s: %v %+v", old, err, r)
		}
		if names(t, s.Target) != "" {
			t.Error("something was restored")
		}
		if _, err := restore.ReadBack(t.Context(), h.System, s); !errors.Is(err, page.ErrNewerFormat) {
			t.Errorf("read back: %v", err)
		}
	}
}
