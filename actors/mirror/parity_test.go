package mirror_test

import (
	"slices"
	"testing"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/actors/mirror"
	"vaultik/actors/survey"
	"vaultik/actors/verify"
	"vaultik/backends"
	"vaultik/backends/mem"
	"vaultik/internal/testtree"
)

// Parity is copied beside its blobs, and never if it is damaged; a check that reads finds that,
// and a copy that reads replaces what the mirror has of it.
func TestCopy_Parity(t *testing.T) {
	h := jobtest.New(t)
	h.Edit = func(s *backup.Spec) { s.BlobSize, s.Parity = 1<<20, 10 }
	dir := t.TempDir()
	jobtest.MakeTree(t, testtree.Random(5, testtree.RandomOptions{Nodes: 200}), dir)
	h.Backup(dir)
	beside := h.Keys("x/")
	if len(beside) < 2 {
		t.Fatalf("%d blobs have parity", len(beside))
	}
	all := keysOf(t, h.Store)
	check := func(where backends.Backend, checked int, bad ...string) {
		t.Helper()
		s := h.CopySpec(where)
		r, err := verify.Run(t.Context(), h.System, &verify.Spec{Store: where,
			Opened: s.Opened, Snapshots: s.Snapshots, ReadData: true})
		jobtest.Must(t, err)
		if r.Parity != int64(len(beside)) || r.ParityChecked != int64(checked) {
			t.Errorf("%d have parity, %d are checked, want %d", r.Parity, r.ParityChecked, checked)
		}
		same(t, r.Problems, bad...)
	}
	copied := func(to backends.Backend, want int, bad ...string) *mirror.Report {
		t.Helper()
		s := h.CopySpec(to)
		s.ReadData = true
		r, err := mirror.Run(t.Context(), h.System, s)
		jobtest.Must(t, err)
		same(t, r.Problems, bad...)
		if r.Replaced != int64(want) {
			t.Errorf("%d replaced, want %d", r.Replaced, want)
		}
		return r
	}
	to := mem.New()
	if r := h.CopyTo(to); r.Sent != int64(len(all)) {
		t.Errorf("%d sent of %d", r.Sent, len(all))
	}
	check(to, len(beside))
	if r := h.CopyTo(to); r.Sent != 0 {
		t.Errorf("%d sent again", r.Sent)
	}
	hurt := func(b backends.Backend, key string, at int64) {
		t.Helper()
		data, err := backends.ReadRange(t.Context(), b, key, 0, all[key], nil)
		jobtest.Must(t, err)
		data = slices.Clone(data)
		data[at] ^= 1
		_, err = b.Put(t.Context(), key, backends.Bytes(data, nil), backends.PutOptions{})
		jobtest.Must(t, err)
	}
	hurt(to, beside[0], all[beside[0]]/2)
	hurt(to, beside[1], 9) // its head
	check(to, len(beside)-2, beside[0], beside[1])
	copied(to, 2)
	check(to, len(beside))

	hurt(h.Store, beside[0], all[beside[0]]-1)
	copied(mem.New(), 0, beside[0])
}

func same(t *testing.T, got []survey.Problem, keys ...string) {
	t.Helper()
	var found []string
	for _, p := range got {
		if p.Kind != survey.ProblemDamaged || len(p.Snapshots) > 0 {
			t.Errorf("%+v", p)
		}
		found = append(found, p.Key)
	}
	if !slices.Equal(found, keys) {
		t.Errorf("problems of %q, want %q", found, keys)
	}
}
