package restore_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"vaultik/internal/testsize"

	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
	"vaultik/internal/testtree"
	"vaultik/messages"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
)

// stateOf is everything about a tree that a dry run must not change.
func stateOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	jobtest.Must(t, filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := vfs.Lstat(p)
		st.Nlink, st.Blocks = 0, 0 // how much a file takes is only known when the system has written it to the disk
		all[p] = fmt.Sprintf("%+v", st)
		return err
	}))
	return all
}

// A dry run changes nothing, and says what a restore then does.
func TestRestore_DryRun(t *testing.T) {
	testsize.Long(t)
	for _, c := range []struct {
		name string
		spec func(*restore.Spec)
	}{
		{"if-changed", func(*restore.Spec) {}},
		{"always", func(s *restore.Spec) { s.Overwrite = restore.OverwriteAlways }},
		{"if-newer", func(s *restore.Spec) { s.Overwrite = restore.OverwriteIfNewer }},
		{"never", func(s *restore.Spec) { s.Overwrite = restore.OverwriteNever }},
		{"in-place", func(s *restore.Spec) { s.InPlace = true }},
		{"exclude", func(s *restore.Spec) {
			s.Exclude = func(path string, _ page.Type) bool { return strings.HasSuffix(path, "s001") }
		}},
		{"paths", func(s *restore.Spec) { s.Paths = []string{s.From + "/n", s.From + "/a", s.From + "/s003"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := localHost(t)
			dir := t.TempDir()
			jobtest.MakeOdd(t, dir, 16, 100)
			for _, name := range []string{"a", "b", "m"} {
				jobtest.Must(t, os.WriteFile(filepath.Join(dir, name), testtree.Bytes(uint64(name[0]), 1<<20), 0o600))
			}
			for i := range 30 {
				jobtest.Must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("s%03d", i)), testtree.Bytes(uint64(i), 100<<10), 0o600))
			}
			jobtest.Must(t, os.Mkdir(filepath.Join(dir, "n"), 0o755))
			jobtest.Must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "n", "link of a")))
			h.Backup(dir)
			out := filepath.Join(t.TempDir(), "out")
			for round, edit := range []func(){
				func() {},
				func() {},
				func() { damageFiles(t, out) },
				func() {
					damageFiles(t, out)
					jobtest.Must(t, os.RemoveAll(filepath.Join(out, "n")))
					jobtest.Must(t, os.Chtimes(filepath.Join(out, "a"), time.Time{}, time.Unix(1<<32, 0)))
					_ = os.Remove(filepath.Join(out, "s003"))
					jobtest.Must(t, os.MkdirAll(filepath.Join(out, "s003", "in the way"), 0o700))
					jobtest.Must(t, os.Chmod(filepath.Join(out, "s003"), 0o700))
				},
			} {
				edit()
				restored := func(dry bool) (*restore.Result, map[string]messages.Status) {
					s := h.RestoreSpec(dir, out)
					c.spec(s)
					s.DryRun = dry
					got := map[string]messages.Status{}
					s.OnItem = func(path string, st messages.Status, _ string) { got[path] = st }
					return h.Restore(s), got
				}
				var before map[string]string
				if _, err := os.Lstat(out); err == nil {
					before = stateOf(t, out)
				}
				plan, would := restored(true)
				if before == nil {
					if _, err := os.Lstat(out); !errors.Is(err, os.ErrNotExist) {
						t.Fatal("a dry run made the target")
					}
				} else if after := stateOf(t, out); !maps.Equal(before, after) {
					maps.DeleteFunc(after, func(p, st string) bool { return before[p] == st })
					t.Fatalf("round %d: a dry run changed the target: %v", round, after)
				}
				done, did := restored(false)
				if !reflect.DeepEqual(would, did) {
					for p, st := range did {
						if would[p] != st {
							t.Errorf("round %d: %s would be %s, is %s", round, p, would[p], st)
						}
					}
					t.Errorf("round %d: %d would, %d did", round, len(would), len(did))
				}
				got, want := *plan, *done
				for _, r := range []*restore.Result{&got, &want} {
					r.BytesRead, r.BlobsRead, r.BytesFetch, r.Duration, r.Space, r.Corrected, r.Problems, r.Leftovers = 0, 0, 0, 0, nil, 0, nil, 0
				}
				if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
					t.Errorf("round %d:\nplan %+v\ndone %+v", round, got, want)
				}
				// How much is fetched depends on what comes first, a little.
				if fetched := done.BytesRead - plan.BytesRead; (plan.BytesFetch > 0) != (done.BlobsRead > 0) ||
					plan.BytesFetch > fetched*3/2 || fetched > plan.BytesFetch*3/2+(1<<20) || plan.BlobsRead != 0 {
					t.Errorf("round %d: %d bytes would be fetched, %d were", round, plan.BytesFetch, fetched)
				}
				if round == 1 && (plan.BytesFetch != 0 && c.name != "always" || plan.Corrected != 0) {
					t.Errorf("nothing is missing: %+v", plan)
				}
			}
		})
	}
}

// Attributes alone are named, not set.
func TestRestore_DryRun_attributes(t *testing.T) {
	h := jobtest.New(t)
	dir, out := t.TempDir(), t.TempDir()
	testtree.Make(t, dir, "file f text=f mode=640\ndir d mode=750")
	h.Backup(dir)
	h.Restore(h.RestoreSpec(dir, out))
	jobtest.Must(t, os.Chmod(filepath.Join(out, "f"), 0o600))
	jobtest.Must(t, os.Chmod(filepath.Join(out, "d"), 0o700))
	s := h.RestoreSpec(dir, out)
	s.DryRun = true
	why := map[string]string{}
	s.OnItem = func(path string, st messages.Status, reason string) {
		why[filepath.Base(path)] = string(st) + ": " + reason
	}
	if r := h.Restore(s); r.Corrected != 2 || why["f"] != "unchanged: would get: mode" || why["d"] != "unchanged: would get: mode" {
		t.Errorf("%q %+v", why, r)
	}
}

// smallFS mounts a file system of so many bytes; nil where that is not allowed.
func smallFS(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, size); err != nil {
		t.Logf("a small file system can only be mounted with privileges: %v", err)
		return ""
	}
	t.Cleanup(func() { jobtest.Must(t, syscall.Unmount(dir, 0)) })
	return dir
}

// A restore that has no room is refused before anything is changed; what is
// there already, what gives way, and holes are counted.
func TestRestore_SpaceCheck(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	for i := range 8 {
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, string(rune('a'+i))), testtree.Bytes(uint64(i), 1<<20), 0o644))
	}
	testtree.Make(t, dir, "file sparse size=500000000 data=0:1000000:1")
	h.Backup(dir)
	out := smallFS(t, "size=8m")
	if out == "" {
		return
	}
	spec := func() *restore.Spec { return h.RestoreSpec(dir, filepath.Join(out, "back")) }
	refused := func(s *restore.Spec) *restore.SpaceError {
		t.Helper()
		r, err := restore.Run(t.Context(), h.System, s)
		var space *restore.SpaceError
		if !errors.As(err, &space) || r != nil {
			t.Fatalf("%v %+v", err, r)
		}
		return space
	}
	if e := refused(spec()); e.Need.Bytes < 9_300_000 || e.Need.Bytes > 9_500_000 || e.Need.Free > 8<<20 || !strings.Contains(e.Error(), "bytes needed") {
		t.Errorf("%v", e)
	}
	if got := names(t, out); got != "" {
		t.Errorf("a refused restore left %s", got)
	}
	dry := spec()
	dry.DryRun = true
	if r := h.Restore(dry); len(r.Space) != 1 || !r.Space[0].Short() || r.Space[0].Inodes != 10 {
		t.Errorf("%+v", r.Space)
	}
	some := spec()
	some.Paths = []string{some.From + "/a", some.From + "/b", some.From + "/sparse"} // with its holes it fits
	if r := h.Restore(some); r.Failed != 0 {
		t.Errorf("%+v", r)
	}
	some = spec()
	some.Exclude = func(path string, _ page.Type) bool { return strings.HasSuffix(path, "/h") }
	if r := h.Restore(some); r.Failed != 0 || r.Unchanged != 3 { // what is there takes nothing
		t.Errorf("%+v", r)
	}
	_ = refused(spec())
	jobtest.Must(t, os.WriteFile(filepath.Join(out, "back", "c"), nil, 0o600)) // its place is free now
	if e := refused(spec()); e.Need.Bytes < 2<<20 {
		t.Errorf("%v", e)
	}
	s := spec()
	s.NoSpaceCheck = true
	if _, err := restore.Run(t.Context(), h.System, s); !errors.As(err, new(*restore.TargetFullError)) {
		t.Errorf("without the check: %v", err)
	}
}

func TestRestore_SpaceCheck_inodes(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	for i := range 100 {
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o644))
	}
	h.Backup(dir)
	out := smallFS(t, "size=8m,nr_inodes=50")
	if out == "" {
		return
	}
	_, err := restore.Run(t.Context(), h.System, h.RestoreSpec(dir, out))
	if err == nil || !strings.Contains(err.Error(), "not enough inodes at ") || names(t, out) != "" {
		t.Errorf("%v", err)
	}
}

// Replaced files are there until their successors are: that much must be free.
func TestRestore_SpaceCheck_replaced(t *testing.T) {
	h := jobtest.New(t)
	dir := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "a"), testtree.Bytes(1, 3<<20), 0o644))
	h.Backup(dir)
	out := smallFS(t, "size=5m")
	if out == "" {
		return
	}
	jobtest.Must(t, os.WriteFile(filepath.Join(out, "a"), testtree.Bytes(2, 3<<20), 0o644))
	if _, err := restore.Run(t.Context(), h.System, h.RestoreSpec(dir, out)); !errors.As(err, new(*restore.SpaceError)) {
		t.Errorf("replaced: %v", err)
	}
	s := h.RestoreSpec(dir, out)
	s.InPlace = true
	if r := h.Restore(s); r.Changed != 1 || r.Failed != 0 {
		t.Errorf("in place: %+v", r)
	}
	jobtest.SameTree(t, filepath.Join(dir, "a"), filepath.Join(out, "a"))
}
