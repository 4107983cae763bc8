package backup_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"vaultik/actors"
	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/internal/testtree"
	"vaultik/vault/chunk"
	"vaultik/vault/fs"
	"vaultik/vault/layout"
)

// compactHost is a host whose clock and budget a test sets, with a tree of 100 files of up to
// 400 KiB in ten directories, some of two chunks and more.
type compactHost struct {
	*jobtest.Host
	dir    string
	day    int
	budget int64
	ignore fs.Ignore
	fault  func(*actors.Faults)
}

func newCompactHost(t *testing.T) *compactHost {
	h := &compactHost{Host: jobtest.New(t), dir: t.TempDir(), budget: 2 << 20}
	began := time.Now().Add(time.Hour)
	h.Now = func() time.Time { return began.AddDate(0, 0, h.day) }
	h.Edit = func(s *backup.Spec) {
		s.Chunks, s.BlobSize, s.CompactBudget = chunk.ParamsFor(64<<10), 1<<20, h.budget
		s.Ignore = h.ignore
		if h.fault != nil {
			h.fault(&s.Faults)
		}
	}
	for i := range 100 {
		jobtest.Must(t, os.MkdirAll(filepath.Dir(h.file(i)), 0o700))
		h.write(i, 0)
	}
	h.Backup(h.dir)
	return h
}

func (h *compactHost) file(i int) string {
	return filepath.Join(h.dir, fmt.Sprint("d", i%10), fmt.Sprint("f", i))
}

func (h *compactHost) write(i, version int) {
	jobtest.Must(h.T, os.WriteFile(h.file(i), testtree.Bytes(uint64(1000*version+i), int64(4000*i)),
		0o600))
}

// thin leaves the files of some tens, which are spread over the blobs.
func (h *compactHost) thin(tens ...int) {
	for i := range 100 {
		if !slices.Contains(tens, i/10) {
			jobtest.Must(h.T, os.Remove(h.file(i)))
		}
	}
}

// next makes a backup some days later, and checks that the newest snapshot is the tree.
func (h *compactHost) next(days int) *backup.Result {
	h.T.Helper()
	h.day += days
	r := h.Backup(h.dir)
	if r.Errors != 0 || !r.Complete || r.Compacted.Bytes > h.budget || r.BytesRead > h.budget {
		h.T.Fatalf("day %d: %+v", h.day, r)
	}
	return r
}

// used is the share of the newest snapshot's blobs that is in its files.
func (h *compactHost) used() float64 {
	m, root, _ := h.Newest()
	return float64(root.Counts.Bytes) / float64(m.Bytes)
}

// same restores the newest snapshot, and checks that it is the tree and the store is whole.
func (h *compactHost) same(t *testing.T) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	if r := h.Restore(h.RestoreSpec(h.dir, out)); r.Failed != 0 || r.Damaged {
		t.Errorf("restore: %+v", r)
	}
	sameInAll(t, h.dir, out)
	h.VerifyClean()
}

// What is left of blobs of which most has been deleted is stored anew when that is some days
// ago, each time within the budget and read from the files, until the newest snapshot needs
// little else than its contents. Then it rests. With no budget nothing of this happens.
func TestBackup_Compaction(t *testing.T) {
	for _, budget := range []int64{2 << 20, 0} {
		h := newCompactHost(t)
		h.budget = budget
		if r := h.next(1); r.BytesStored > 100_000 {
			t.Errorf("an unchanged tree: %+v", r)
		}
		h.thin(0, 4, 8)
		for range 2 { // the second is within the days of rest
			if r := h.next(4); r.Compacted != (backup.Compacted{}) || r.BytesRead != 0 {
				t.Errorf("day %d: %+v", h.day, r)
			}
		}
		before := h.used()
		if before > 0.45 {
			t.Fatalf("%.0f%% is used: the test tests nothing", 100*before)
		}
		var runs, blobs int
		for ; ; runs++ {
			r := h.next(4)
			if r.Compacted == (backup.Compacted{}) {
				break
			}
			if r.Compacted.Blobs == 0 || r.Compacted.Left == 0 || r.BytesRead != r.Compacted.Bytes {
				t.Errorf("day %d: %+v", h.day, r)
			}
			blobs += r.Compacted.Blobs
		}
		after := h.used()
		t.Logf("budget %d: %.0f%% used, after %d runs that left %d blobs %.0f%%", budget,
			100*before, runs, blobs, 100*after)
		if on := budget > 0; on != (runs >= 2) || on != (after >= 0.5) {
			t.Errorf("budget %d: %.0f%% used after %d runs", budget, 100*after, runs)
		}
		h.same(t)
		h.CloseIndex()
	}
}

// A run that is killed while it stores anew leaves a store and an index with which the next one
// goes on.
func TestBackup_CompactionKilled(t *testing.T) {
	h := newCompactHost(t)
	h.budget = 1 << 30
	h.thin(0, 4, 8)
	h.next(1)
	h.day += 8
	kills := 0
	for ; ; kills++ { // after a put, then after two, until it is through
		ctx, cancel := context.WithCancel(t.Context())
		puts := 0
		spec := h.Spec(h.dir)
		spec.Parallel = 1
		spec.Faults.OnUpload = func(after bool) {
			if puts++; after && puts > 2*kills {
				cancel()
			}
		}
		_, err := backup.Run(ctx, context.Background(), h.System, spec)
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("killed after %d: %v", kills, err)
		}
		h.CloseIndex()
		h.OpenIndex()
		h.VerifyClean()
	}
	if kills < 2 {
		t.Errorf("it was killed %d times only", kills)
	}
	for h.next(1).Compacted != (backup.Compacted{}) {
	}
	if used := h.used(); used < 0.5 {
		t.Errorf("%.0f%% used", 100*used)
	}
	h.same(t)
	h.CloseIndex()
}

// A file whose bytes are not those that were stored, though nothing else says so, or that
// cannot be read, stays where it is, as it would without compaction. One that has changed is
// saved as it is now.
func TestBackup_CompactionOfChangedFiles(t *testing.T) {
	h := newCompactHost(t)
	h.budget, h.ignore = 1<<30, fs.IgnoreCtime
	h.next(1)
	h.thin(0, 4, 8)
	h.next(1)
	secret, other := h.file(41), h.file(42)
	was, err := os.ReadFile(other)
	jobtest.Must(t, err)
	saved := h.ReadBack()[other[1:]].Sum
	st, err := os.Stat(other)
	jobtest.Must(t, err)
	now := append([]byte{was[0] ^ 1}, was[1:]...)
	jobtest.Must(t, os.WriteFile(other, now, 0o600))
	jobtest.Must(t, os.Chtimes(other, st.ModTime(), st.ModTime()))
	moving := h.file(43)
	h.fault = func(f *actors.Faults) {
		f.OnChunk = func(path string) {
			if "/"+path == moving { // after the walk has seen it
				jobtest.Must(t, os.Truncate(moving, 100))
			}
			if "/"+path == secret {
				jobtest.Must(t, os.Rename(secret, secret+".away"))
				jobtest.Must(t, os.Mkdir(secret, 0o700))
			}
		}
	}
	h.day += 8
	r := h.Backup(h.dir)
	if r.Compacted.Bytes == 0 {
		t.Fatalf("nothing was compacted: %+v", r)
	}
	h.fault = nil
	if h.ReadBack()[other[1:]].Sum != saved {
		t.Error("a file that silently changed has not the contents that were saved")
	}
	jobtest.Must(t, os.Remove(secret))
	jobtest.Must(t, os.WriteFile(other, was, 0o600))
	jobtest.Must(t, os.Chtimes(other, st.ModTime(), st.ModTime()))
	h.Backup(h.dir)
	h.same(t)
	h.CloseIndex()
}

// What another set of the host still uses of a blob counts, and neither set stores anew what
// the other has stored.
func TestBackup_CompactionOfTwoSets(t *testing.T) {
	h := newCompactHost(t)
	first, head := h.Set, h.Head
	second, copied := layout.NewSetID(), t.TempDir()
	other := backup.Head{}
	swap := func(run func()) {
		h.Set, h.Head = second, other
		run()
		other = h.Head
		h.Set, h.Head = first, head
	}
	both := func() (all [2]*backup.Result) {
		all[0] = h.Backup(h.dir)
		head = h.Head
		swap(func() { all[1] = h.Backup(copied) })
		return all
	}
	h.budget = 1 << 30
	jobtest.Must(t, os.CopyFS(copied, os.DirFS(h.dir)))
	both()
	h.thin(2) // the second set still has all
	for range 3 {
		h.day += 8
		if r := both(); r[0].Compacted.Bytes+r[1].Compacted.Bytes > 0 {
			t.Fatalf("blobs that another set uses were left: %+v", r)
		}
	}
	dir := h.dir
	h.dir = copied
	h.thin(2)
	h.dir = dir
	var bytes int64
	for range 6 {
		h.day += 8
		r := both()
		bytes += r[0].Compacted.Bytes + r[1].Compacted.Bytes
	}
	_, root, _ := h.Newest()
	if bytes < root.Counts.Bytes/2 || bytes > root.Counts.Bytes {
		t.Errorf("%d bytes were stored anew of %d that both sets share", bytes, root.Counts.Bytes)
	}
	// What both use counts for both, so they leave blobs of which each uses less than a quarter.
	if used := h.used(); used < 0.25 {
		t.Errorf("%.0f%% used", 100*used)
	}
	swap(func() {
		if used := h.used(); used < 0.25 {
			t.Errorf("%.0f%% used by the second set", 100*used)
		}
	})
	h.VerifyClean()
	h.CloseIndex()
}
