package restore_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
	"vaultik/internal/testtree"
	"vaultik/messages"
	"vaultik/vault/page"
)

func marksIn(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, ".vaultik-restoring-*"))
	jobtest.Must(t, err)
	return found
}

// killed leaves what a restore leaves that is killed before it makes anything.
func killed(t *testing.T, s *restore.Spec) {
	t.Helper()
	keepTime(t, s.Target, func() { jobtest.Must(t, restore.LeaveMark(t.Context(), s)) })
}

func keepTime(t testing.TB, path string, do func()) {
	t.Helper()
	st, err := os.Stat(path)
	jobtest.Must(t, err)
	do()
	jobtest.Must(t, os.Chtimes(path, time.Time{}, st.ModTime()))
}

// spoil has files lose contents that never reached the disk: size and mtime stay.
func spoil(t *testing.T, dir string, files ...string) {
	t.Helper()
	for _, name := range files {
		path := filepath.Join(dir, name)
		keepTime(t, path, func() {
			st, err := os.Stat(path)
			jobtest.Must(t, err)
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			jobtest.Must(t, err)
			_, err = f.WriteAt(make([]byte, min(4096, st.Size())), max(0, st.Size()-4096))
			jobtest.Must(t, err)
			jobtest.Must(t, f.Close())
		})
	}
}

// warned collects what is said.
func warned(s *restore.Spec) *[]string {
	var mu sync.Mutex
	all := &[]string{}
	s.Warn = func(text string) {
		mu.Lock()
		defer mu.Unlock()
		*all = append(*all, text)
	}
	return all
}

const doubtful = `
file small text=contents
file d/large size=3000000 data=0:3000000:1
file d/right size=3000000 data=0:3000000:2
file d/linked size=300000 data=0:300000:3
hardlink d/twin d/linked
file okay text=okay
hardlink z okay
file empty
file hole size=500000
file sparse size=9000000 data=8000000:1000000:4
`

// While the mark of a restore that was killed is there, size and mtime are not
// believed: what is wrong is replaced, what is right stays, and then the mark goes.
func TestRestore_marked(t *testing.T) {
	h := localHost(t)
	dir := t.TempDir()
	testtree.Make(t, dir, doubtful)
	h.Backup(dir)
	wrong := []string{"small", "d/large", "d/linked", "sparse"}
	for _, c := range []struct {
		name string
		edit func(*restore.Spec)
	}{
		{"if-changed", func(*restore.Spec) {}},
		{"if-newer", func(s *restore.Spec) { s.Overwrite = restore.OverwriteIfNewer }},
		{"in place", func(s *restore.Spec) { s.InPlace = true }},
		{"always", func(s *restore.Spec) { s.Overwrite = restore.OverwriteAlways }},
		{"narrow", func(s *restore.Spec) {
			s.Bounds = restore.DefaultBounds()
			s.Bounds.Items, s.Bounds.Pieces, s.Bounds.Batches, s.Bounds.Parts = 2, 3, 2, 1
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			h.Restore(h.RestoreSpec(dir, out))
			right := map[string]uint64{}
			for _, name := range []string{"d/right", "okay", "z", "empty", "hole"} {
				right[name] = inode(t, filepath.Join(out, name))
			}
			killed(t, h.RestoreSpec(dir, out))
			spoil(t, out, wrong...)

			dry := h.RestoreSpec(dir, out)
			c.edit(dry)
			dry.DryRun = true
			would, said := statuses(dry), warned(dry)
			h.Restore(dry)
			const says = "did not finish; contents of existing files are compared"
			if len(*said) != 1 || !strings.HasSuffix((*said)[0], says) {
				t.Errorf("a dry run says %q", *said)
			}
			for name, stays := range map[string]bool{"small": false, "large": false, "right": true} {
				if c.name != "always" && (would[name] == messages.StatusUnchanged) != stays {
					t.Errorf("a dry run finds %s %s", name, would[name])
				}
			}
			if len(marksIn(t, out)) != 1 {
				t.Error("a dry run changes marks")
			}

			s := h.RestoreSpec(dir, out)
			c.edit(s)
			said = warned(s)
			r := h.Restore(s)
			if len(*said) != 1 || !strings.Contains((*said)[0], out) || r.Failed > 0 {
				t.Errorf("%q, %+v", *said, r)
			}
			jobtest.SameTree(t, dir, out) // sees marks as well
			for name, was := range right {
				if c.name != "always" && inode(t, filepath.Join(out, name)) != was {
					t.Errorf("%s was right, and was made anew", name)
				}
			}

			again := h.RestoreSpec(dir, out)
			said = warned(again)
			if r := h.Restore(again); len(*said) > 0 || r.BytesReused+r.BytesWritten > 0 {
				t.Errorf("again: %q, %+v", *said, r)
			}
		})
	}
}

// Files that are left alone are in doubt afterwards as before.
func TestRestore_markedNever(t *testing.T) {
	h := localHost(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	testtree.Make(t, dir, doubtful)
	h.Backup(dir)
	h.Restore(h.RestoreSpec(dir, out))
	killed(t, h.RestoreSpec(dir, out))
	spoil(t, out, "small")
	s := h.RestoreSpec(dir, out)
	s.Overwrite = restore.OverwriteNever
	said := warned(s)
	h.Restore(s)
	const says = "existing files are kept, even if they are incomplete"
	if len(*said) != 1 || !strings.Contains((*said)[0], says) || len(marksIn(t, out)) != 1 {
		t.Errorf("%q, %q", *said, marksIn(t, out))
	}
	// A file that became shorter has the snapshot's mtime as well.
	short := filepath.Join(out, "okay")
	keepTime(t, short, func() { jobtest.Must(t, os.Truncate(short, 0)) })
	newer := h.RestoreSpec(dir, out)
	newer.Overwrite = restore.OverwriteIfNewer
	h.Restore(newer)
	jobtest.SameTree(t, dir, out)
}

// A mark goes with the restore that has compared all that the other one may have made,
// and with no other.
func TestRestore_markCovered(t *testing.T) {
	h := localHost(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	testtree.Make(t, dir, doubtful)
	h.Backup(dir)
	first := func() *restore.Spec { return h.RestoreSpec(dir, out) }
	h.Restore(first())
	only := func(name string) func(*restore.Spec) {
		return func(s *restore.Spec) { s.Paths = []string{s.From + "/" + name} }
	}
	without := func(name string) func(*restore.Spec) {
		return func(s *restore.Spec) {
			s.Exclude, s.Chosen = func(p string, _ page.Type) bool { return filepath.Base(p) == name }, name
		}
	}
	all := func(*restore.Spec) {}
	below := func(s *restore.Spec) { s.From, s.Target = s.From+"/d", filepath.Join(out, "d") }
	file := func(s *restore.Spec) { s.From += "/small" }
	for _, c := range []struct {
		name         string
		killed, then func(*restore.Spec)
		goes         bool
	}{
		{"the same", all, all, true},
		{"a part", all, only("d"), false},
		{"the same part", only("d"), only("d"), true},
		{"another part", only("d"), only("small"), false},
		{"all of a part", only("d"), all, true},
		{"some left out", all, without("small"), false},
		{"the same left out", without("small"), without("small"), true},
		{"others left out", without("small"), without("d"), false},
		{"one file", all, file, false},
		{"the same file", file, file, true},
		{"all of a file", file, all, true},
		{"a directory in it", below, all, true},
		{"a directory in it, in part", below, only("small"), false},
		{"a directory above", all, below, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := first()
			c.killed(k)
			killed(t, k)
			if len(marksIn(t, k.Target)) != 1 {
				t.Fatal("there is no mark")
			}
			s := first()
			c.then(s)
			said := warned(s)
			h.Restore(s)
			if left := marksIn(t, k.Target); (len(left) == 0) != c.goes {
				t.Errorf("left: %q", left)
			}
			if c.name != "a directory in it, in part" && len(*said) != 1 {
				t.Errorf("said: %q", *said)
			}
			for _, p := range marksIn(t, k.Target) {
				keepTime(t, k.Target, func() { jobtest.Must(t, os.Remove(p)) })
			}
			jobtest.SameTree(t, dir, out)
		})
	}

	// Another snapshot may lack some of the files.
	killed(t, first())
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "more"), nil, 0o600))
	old := first()
	h.Backup(dir)
	h.Restore(first())
	if len(marksIn(t, out)) != 1 {
		t.Error("the mark went with another snapshot")
	}
	h.Restore(old)
	if len(marksIn(t, out)) != 0 {
		t.Error("the mark stays after its own snapshot")
	}
}

// A mark is there from the first change to the end, also where the end is early; none is made
// for nothing.
func TestRestore_markHeld(t *testing.T) {
	h := localHost(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	testtree.Make(t, dir, doubtful)
	h.Backup(dir)
	seen := map[string]bool{}
	watched := func() *restore.Spec {
		clear(seen)
		s := h.RestoreSpec(dir, out)
		s.OnItem = func(string, messages.Status, string) {
			for _, m := range marksIn(t, out) {
				seen[m] = true
			}
		}
		return s
	}
	h.Restore(watched())
	if len(seen) != 1 || len(marksIn(t, out)) > 0 {
		t.Errorf("%v while it ran, %q after it", seen, marksIn(t, out))
	}
	h.Restore(watched())
	if len(seen) > 0 {
		t.Errorf("%v for nothing", seen)
	}
	jobtest.Must(t, os.RemoveAll(out))
	h.Interrupted(h.RestoreSpec(dir, out), 3)
	if left := marksIn(t, out); len(left) > 0 {
		t.Errorf("what was restored until then is on the disk, and %q is left", left)
	}
	rest := h.RestoreSpec(dir, out)
	said := warned(rest)
	h.Restore(rest)
	if len(*said) > 0 {
		t.Errorf("%q", *said)
	}
	jobtest.SameTree(t, dir, out)

	// One that was in doubt, and was interrupted, leaves it so.
	killed(t, h.RestoreSpec(dir, out))
	spoil(t, out, "small", "d/large")
	h.Interrupted(h.RestoreSpec(dir, out), 2)
	if left := marksIn(t, out); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
	h.Restore(h.RestoreSpec(dir, out))
	jobtest.SameTree(t, dir, out)
}

// A file of the snapshot that has the name of a mark is restored like any other.
func TestRestore_markInSnapshot(t *testing.T) {
	h := localHost(t)
	dir := t.TempDir()
	name := ".vaultik-restoring-" + strings.Repeat("A", 26)
	testtree.Make(t, dir, "file "+name+"\nfile a text=a\nfile d/"+name+" text=x\n"+
		"file d/e/"+name+"\nsymlink f/"+name+" target=a")
	h.Backup(dir)
	out := filepath.Join(t.TempDir(), "out")
	for range 3 {
		s := h.RestoreSpec(dir, out)
		said := warned(s)
		h.Restore(s)
		for _, d := range []string{"", "d", "d/e", "f"} {
			if got := marksIn(t, filepath.Join(out, d)); len(got) != 1 {
				t.Errorf("%q has %q", d, got)
			}
		}
		if len(*said) > 1 { // that contents are compared
			t.Errorf("%q", *said)
		}
	}
	one := filepath.Join(t.TempDir(), "one")
	for range 2 {
		h.Restore(h.RestoreSpec(filepath.Join(dir, "d/e", name), one))
		if got := marksIn(t, one); len(got) != 1 {
			t.Errorf("one file: %q", got)
		}
	}
}
