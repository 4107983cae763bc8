package verify_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/actors/survey"
	"vaultik/actors/verify"
	"vaultik/backends"
	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/plan"
)

func drill(t *testing.T, h *jobtest.Host, files int) *verify.Report {
	t.Helper()
	s := h.VerifySpec(true, false)
	s.Drill = &verify.Drill{Files: files}
	r, err := verify.Run(t.Context(), h.System, s)
	jobtest.Must(t, err)
	return r
}

func newRecipients(t *testing.T) (keys.Recipients, *keys.Identity) {
	t.Helper()
	secret, recipient, err := keys.Generate(true)
	jobtest.Must(t, err)
	rs, err := keys.ParseRecipients([]string{recipient})
	jobtest.Must(t, err)
	id, err := keys.ParseIdentity(secret)
	jobtest.Must(t, err)
	return rs, id
}

func writeBytes(t testing.TB, dir, name string, seed uint64, n int) {
	t.Helper()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, name), testtree.Bytes(seed, int64(n)), 0o600))
}

// On a whole store a drill finds nothing, and does what it says.
func TestDrill(t *testing.T) {
	defer goleak.VerifyNone(t, jobtest.LeakOptions...)
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) { s.BlobSize = 1 << 20 }
	dir := t.TempDir()
	jobtest.MakeOdd(t, dir, 31, 100)
	writeBytes(t, dir, "large", 1, 5<<20)
	h.Backup(dir)
	writeBytes(t, dir, "more", 2, 2<<20)
	h.Backup(dir)
	blobs := h.Objects(layout.KindBlob)
	s := h.VerifySpec(true, false)
	var mu sync.Mutex
	seen := map[int]int{}
	s.Drill = &verify.Drill{Files: 20}
	s.OnChecked = func(i int) error {
		mu.Lock()
		defer mu.Unlock()
		seen[i]++
		return nil
	}
	r, err := verify.Run(t.Context(), h.System, s)
	jobtest.Must(t, err)
	d := r.Drilled
	if r.Found != 0 || d.Blobs != int64(len(blobs)) || len(seen) != len(blobs) ||
		d.Keys != 1 || d.Roots != 1 || d.Files < 10 || d.FileBytes == 0 {
		t.Errorf("%+v; %d of %d blobs; %+v", d, len(seen), len(blobs), r.Problems)
	}
	// Only what is chosen is opened, and an error of those who take notes ends it.
	full := errors.New("no space")
	s = h.VerifySpec(true, false)
	s.Drill = &verify.Drill{}
	s.Choose = func(inv *plan.Inventory) (plan.Choice, error) {
		return func(i int) bool { return inv.Key(i) == blobs[0] }, nil
	}
	if r, err = verify.Run(t.Context(), h.System, s); err != nil || r.Drilled.Blobs != 1 {
		t.Errorf("%v, %+v", err, r.Drilled)
	}
	s.OnChecked = func(int) error { return full }
	if _, err = verify.Run(t.Context(), h.System, s); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	h.CloseIndex()
}

// A host encrypts for somebody else from some backup on, within one epoch: whoever has the key
// can still read all of it with the key of the epoch, so that verify finds nothing. A drill does.
func TestDrill_SwappedRecipient(t *testing.T) {
	r := rand.New(rand.NewPCG(testsize.Seed(t), 0))
	h := jobtest.New(t)
	thief, thiefs := newRecipients(t)
	dir := t.TempDir()
	const backups = 4
	from := 1 + r.IntN(backups-1)
	before := map[string]bool{}
	for n := range backups {
		if n == from {
			for _, key := range h.Objects(layout.KindBlob) {
				before[key] = true
			}
			if got := drill(t, h, 3); got.Found != 0 {
				t.Fatalf("before it is swapped: %+v", got.Problems)
			}
			h.SwapRecipients(thief)
		}
		writeBytes(t, dir, fmt.Sprint(n), uint64(n), 100<<10)
		h.Backup(dir)
	}
	if got := h.Verify(true, true); got.Found != 0 {
		t.Fatalf("verify: %+v", got.Problems)
	}
	want := slices.DeleteFunc(h.Objects(layout.KindBlob), func(key string) bool {
		return before[key]
	})
	got := drill(t, h, 3)
	var sealed []string
	for _, p := range got.Problems {
		if p.Kind != survey.ProblemSealed || len(p.Snapshots) == 0 || len(p.Paths) == 0 {
			t.Errorf("%+v", p)
		}
		sealed = append(sealed, p.Key)
	}
	slices.Sort(sealed)
	if !slices.Equal(sealed, want) || got.Drilled.Blobs != int64(len(before)) {
		t.Errorf("swapped at %d: found %q, want %q; %+v", from, sealed, want, got.Drilled)
	}
	// Who has the other key alone opens nothing of what was saved before; with both keys there
	// is nothing to find.
	s := h.VerifySpec(true, false)
	s.Identity, s.Drill = thiefs, &verify.Drill{}
	if got, err := verify.Run(t.Context(), h.System, s); err == nil && got.Found == 0 {
		t.Errorf("with the thief's key: %+v", got.Drilled)
	}
}

// Recipients that were changed for good: what only older snapshots need is no finding, since
// these say that they are for others.
func TestDrill_OtherRecipientsBefore(t *testing.T) {
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) { s.Opened.Trust.Sign(h.Host.ID, s.Recipients.Sum()) }
	dir := t.TempDir()
	writeBytes(t, dir, "old", 1, 300<<10)
	h.Backup(dir)
	old := h.Objects(layout.KindBlob)
	jobtest.Must(t, os.Remove(filepath.Join(dir, "old")))
	writeBytes(t, dir, "new", 2, 300<<10)
	h.Recips, h.Identity = newRecipients(t)
	h.Backup(dir)
	r := drill(t, h, 3)
	if r.Found != 0 || r.Drilled.Older != int64(len(old)) || r.Drilled.Files == 0 {
		t.Errorf("%+v, %+v", r.Drilled, r.Problems)
	}
	// The same, and the newest needs what was saved before.
	writeBytes(t, dir, "old", 1, 300<<10)
	h.Backup(dir)
	if r = drill(t, h, 0); r.Found == 0 {
		t.Errorf("%+v", r.Drilled)
	}
}

// An identity that was added later, by wrapping the keys of epochs anew, opens older blobs with
// these.
func TestDrill_AddedRecipient(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	writeBytes(t, dir, "a", 1, 300<<10)
	h.Backup(dir)
	key := h.Objects(layout.KindEpochKey)[0]
	name, err := layout.Parse(key)
	jobtest.Must(t, err)
	secret, err := keys.Decrypt(h.Get(key), h.Identity.Age(), 1<<10)
	jobtest.Must(t, err)
	added, id := newRecipients(t)
	wrapped, err := keys.SealEpoch(added, string(bytes.TrimSpace(secret)))
	jobtest.Must(t, err)
	h.Put(layout.EpochKey(h.Host.ID, name.Epoch, 1), wrapped)
	first := h.Identity
	h.Identity = id
	r := drill(t, h, 1)
	if r.Found != 0 || r.Drilled.ByEpoch == 0 || r.Drilled.Blobs != 0 || r.Drilled.Keys != 2 ||
		r.Drilled.Files != 1 {
		t.Errorf("%+v, %+v", r.Drilled, r.Problems)
	}
	h.Identity = first
	if r := drill(t, h, 1); r.Found != 0 || r.Drilled.ByEpoch != 0 {
		t.Errorf("%+v, %+v", r.Drilled, r.Problems)
	}
}

// What is done to an object, and whether a drill finds it: with no file restored, so that it is
// not found by chance.
func TestDrill_Damage(t *testing.T) {
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) { s.BlobSize = 1 << 20 }
	dir := t.TempDir()
	writeBytes(t, dir, "large", 5, 3<<20)
	h.Backup(dir)
	var blob string
	for _, key := range h.Objects(layout.KindBlob) {
		if len(h.Get(key)) > 512<<10 {
			blob = key
		}
	}
	epoch, root := h.Objects(layout.KindEpochKey)[0], h.Objects(layout.KindRoot)[0]
	name, err := layout.Parse(epoch)
	jobtest.Must(t, err)
	second := layout.EpochKey(h.Host.ID, name.Epoch, 1)
	large := []string{strings.TrimPrefix(filepath.Join(dir, "large"), "/")}
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[(at+len(b))%len(b)] ^= 1; return b }
	}
	for _, c := range []struct {
		name, key string
		do        func([]byte) []byte
		kind      survey.Kind
	}{
		{"a header", blob, flip(60), survey.ProblemDamaged},
		{"the last record", blob, flip(-1), survey.ProblemDamaged},
		{"every record", blob, func(b []byte) []byte {
			for i := 1 << 10; i < len(b)-64<<10; i += 32 << 10 {
				b[i] ^= 1
			}
			return b
		}, survey.ProblemDamaged},
		{"a blob that is gone", blob, nil, survey.ProblemMissing},
		{"a shorter blob", blob, func(b []byte) []byte { return b[:100] }, survey.ProblemSize},
		{"the root", root, flip(-1), survey.ProblemDamaged},
		{"a wrapping that is gone", epoch, nil, survey.ProblemMissing},
		{"a wrapping", epoch, flip(-1), survey.ProblemDamaged},
		{"a later wrapping", second, func([]byte) []byte { return []byte("x") },
			survey.ProblemDamaged},
	} {
		var whole []byte
		if c.key != second {
			whole = h.Get(c.key)
		}
		if c.do != nil {
			h.Put(c.key, c.do(bytes.Clone(whole)))
		} else {
			jobtest.Must(t, h.Store.Delete(t.Context(), c.key))
		}
		r := drill(t, h, 0)
		if len(r.Problems) != 1 || r.Problems[0].Key != c.key || r.Problems[0].Kind != c.kind ||
			len(r.Problems[0].Snapshots) == 0 && c.key != second ||
			c.key == blob && !slices.Equal(r.Problems[0].Paths, large) {
			t.Errorf("%s: %+v", c.name, r.Problems)
		}
		if whole != nil {
			h.Put(c.key, whole)
		} else {
			jobtest.Must(t, h.Store.Delete(t.Context(), c.key))
		}
	}
	// A byte that no drill of the blob reads is found where the file is restored.
	whole := h.Get(blob)
	for i := 1 << 10; i < len(whole)-128<<10; i += 256 << 10 {
		whole[i] ^= 1
	}
	h.Put(blob, whole)
	r := drill(t, h, 1)
	if len(r.Problems) != 1 || r.Problems[0].Key != blob || len(r.Problems[0].Paths) != 1 {
		t.Errorf("%+v", r.Problems)
	}
}

// ServerSums holds what the store has against the names, and reads nothing.
func TestVerify_ServerSums(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	writeBytes(t, dir, "a", 1, 300<<10)
	h.Backup(dir)
	check := func() *verify.Report {
		s := h.VerifySpec(false, false)
		s.ServerSums = true
		r, err := verify.Run(t.Context(), h.System, s)
		jobtest.Must(t, err)
		return r
	}
	r := check()
	if r.Found != 0 || r.Vouched != r.Objects || r.Unvouched != 0 || r.Read != 0 {
		t.Errorf("%+v", r)
	}
	blob := h.Objects(layout.KindBlob)[0]
	other := h.Get(blob)
	other[len(other)-1] ^= 1
	put := func(sum *[32]byte) {
		_, err := h.Store.Put(t.Context(), blob, backends.Bytes(other, sum),
			backends.PutOptions{})
		jobtest.Must(t, err)
	}
	put(nil) // as if by one who tells the server no sum
	if r := check(); r.Found != 0 || r.Unvouched != 1 || r.Vouched != r.Objects-1 {
		t.Errorf("%+v", r)
	}
	sum := sha256.Sum256(other)
	put(&sum)
	if r := check(); r.Found != 1 || r.Problems[0].Key != blob ||
		r.Problems[0].Kind != survey.ProblemDamaged || len(r.Problems[0].Snapshots) != 1 {
		t.Errorf("%+v", r.Problems)
	}
}

// Every file that needs a bad blob is told of, however many there are.
func TestVerify_AllAffected(t *testing.T) {
	h := jobtest.New(t)
	h.Now = func() time.Time { return time.Now().Add(time.Hour) }
	dir := t.TempDir()
	for i := range 40 {
		writeBytes(t, dir, fmt.Sprintf("f%02d", i), uint64(i), 1000)
	}
	h.Edit = func(s *backup.Spec) { s.BlobSize = 1 << 20 }
	writeBytes(t, dir, "large", 99, 3<<20)
	h.Backup(dir)
	bad := ""
	for path, e := range h.ReadBack() {
		if filepath.Base(path) == "f07" {
			bad = layout.Blob(h.Host.ID, e.Entry.Refs[0].Blob.Name)
		}
	}
	b := h.Get(bad)
	b[len(b)-1] ^= 1
	h.Put(bad, b)
	s := h.VerifySpec(true, true)
	told := map[string]int{}
	s.OnAffected = func(path, key string) {
		if key != bad {
			t.Errorf("%s needs %s", path, key)
		}
		told[filepath.Base(path)]++
	}
	r, err := verify.Run(t.Context(), h.System, s)
	jobtest.Must(t, err)
	if len(r.Problems) != 1 || !r.Problems[0].MorePaths || len(r.Problems[0].Paths) == 0 {
		t.Errorf("%+v", r.Problems)
	}
	for i := range 40 {
		if n := told[fmt.Sprintf("f%02d", i)]; n != 1 {
			t.Errorf("f%02d was told of %d times", i, n)
		}
	}
}
