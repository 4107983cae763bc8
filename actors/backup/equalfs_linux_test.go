//go:build !portable

package backup_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"vaultik/actors/jobtest"
	"vaultik/internal/testmount"
	"vaultik/internal/testtree"
)

// equalFS are file systems that have the same files by all that tells files apart in one of
// them: inode numbers, and mostly the UUID.
var equalFS = map[string]func(t *testing.T) (mount func(t *testing.T, which, dir string) func()){
	"btrfs subvolumes": func(t *testing.T) func(*testing.T, string, string) func() {
		dev := testmount.Device(t, testmount.Image(t, 200<<20, "mkfs.btrfs", "-q"))
		top := filepath.Join(t.TempDir(), "top")
		unmount := testmount.Mount(t, dev, top)
		for _, which := range []string{"a", "b"} {
			testmount.Run(t, "btrfs", "-q", "subvolume", "create", filepath.Join(top, which))
		}
		unmount()
		return func(t *testing.T, which, dir string) func() {
			return testmount.Mount(t, dev, dir, "-o", "subvol="+which)
		}
	},
	"ext4, a volume and its copy": func(t *testing.T) func(*testing.T, string, string) func() {
		return copies(t, testmount.Image(t, 16<<20, "mkfs.ext4", "-q"))
	},
	"xfs, a volume and its copy": func(t *testing.T) func(*testing.T, string, string) func() {
		return copies(t, testmount.Image(t, 320<<20, "mkfs.xfs", "-q"), "-o", "nouuid")
	},
}

// copies mounts an image and a copy of it.
func copies(t *testing.T, image string, args ...string) func(*testing.T, string, string) func() {
	other := filepath.Join(t.TempDir(), "copy")
	b, err := os.ReadFile(image)
	jobtest.Must(t, err)
	jobtest.Must(t, os.WriteFile(other, b, 0o600))
	devs := map[string]string{"a": testmount.Device(t, image), "b": testmount.Device(t, other)}
	return func(t *testing.T, which, dir string) func() {
		return testmount.Mount(t, devs[which], dir, args...)
	}
}

// Two file systems with equal inode numbers are backed up, twice, so that pages are carried
// over. Then they are mounted in the other order, which swaps device numbers, and later once
// more at a place that comes first; each time a file changes in one of them, whose page is
// made anew. Every file comes back with its own contents, as a name of its own file.
func TestBackup_EqualFileSystems(t *testing.T) {
	for name, setUp := range equalFS {
		t.Run(name, func(t *testing.T) {
			mount := setUp(t)
			h := jobtest.New(t)
			dir, early := t.TempDir(), filepath.Join(t.TempDir(), "0 early")
			at := map[string]string{"a": filepath.Join(dir, "a"), "b": filepath.Join(dir, "b")}
			unmount := map[string]func(){}
			for _, which := range []string{"a", "b"} {
				unmount[which] = mount(t, which, at[which])
				// Equal times and sizes too: only the contents differ.
				testtree.Make(t, at[which], `
file one mtime=1000000000.000000001 text="this is `+which+`\n"
hardlink two one
file z/three mtime=1000000000.000000001 text="`+which+` is three\n"
hardlink z/four z/three
dir m
`)
				for i := range 1500 { // so that there are several pages
					p := filepath.Join(at[which], "m", fmt.Sprint(i))
					jobtest.Must(t, os.WriteFile(p, nil, 0o600))
				}
			}
			again := func(first, second string) {
				unmount["a"]()
				unmount["b"]()
				unmount[first] = mount(t, first, at[first])
				unmount[second] = mount(t, second, at[second])
			}
			again("a", "b") // with the numbers that are free now, which the next mounts get too
			before := linksOf(t, h, dir)
			check := func(when, change string) {
				t.Helper()
				if change != "" {
					jobtest.Must(t, os.WriteFile(filepath.Join(dir, change), []byte("new"), 0o600))
				}
				now := linksOf(t, h, dir)
				if !maps.Equal(now, before) {
					t.Errorf("%s: ids changed: %v, %v", when, before, now)
				}
				for _, name := range []string{"one", "z/three"} {
					if now["a/"+name] == now["b/"+name] {
						t.Errorf("%s: %s of both has one id, %s", when, name, now["a/"+name])
					}
				}
				out := filepath.Join(t.TempDir(), "out")
				s := h.RestoreSpec(dir, out)
				s.Warn = func(text string) { t.Errorf("%s: %s", when, text) }
				if r := h.Restore(s); r.Failed != 0 {
					t.Errorf("%s: %+v", when, r)
				}
				jobtest.SameTree(t, at["a"], filepath.Join(out, "a"))
				jobtest.SameTree(t, at["b"], filepath.Join(out, "b"))
			}
			check("again", "")
			again("b", "a")
			check("in the other order", "b/z/zz")
			unmount["a"]()
			unmount["b"]()
			mount(t, "b", early)
			again("a", "b")
			check("with one more mount", "a/other")
		})
	}
}

// linksOf backs dir up and returns its hard-link ids by path below it.
func linksOf(t *testing.T, h *jobtest.Host, dir string) map[string]string {
	t.Helper()
	h.Backup(dir)
	ids := map[string]string{}
	for path, e := range h.ReadBack() {
		rel, err := filepath.Rel(dir, "/"+path)
		if err == nil && e.HL != "" {
			ids[rel] = e.HL
		}
	}
	if len(ids) != 8 {
		t.Fatalf("hard links: %v", ids)
	}
	return ids
}
