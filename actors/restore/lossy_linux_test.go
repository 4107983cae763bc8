//go:build !portable

package restore_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vaultik/actors/jobtest"
	"vaultik/internal/testmount"
	"vaultik/internal/testtree"
	"vaultik/messages"
)

// lossy are file systems that do not keep all that they are given, most of them without
// saying so.
var lossy = map[string]struct {
	mount func(t *testing.T, dir string)
	kinds string // of attributes that are lost
	links bool   // it has hard links
	times func(at time.Time) time.Time
}{
	"ext4 with inodes of 128 bytes": {
		mount: func(t *testing.T, dir string) {
			image := testmount.Image(t, 32<<20, "mkfs.ext4", "-q", "-I", "128")
			testmount.Mount(t, testmount.Device(t, image), dir)
		},
		kinds: "times", links: true,
		times: func(at time.Time) time.Time {
			if last := time.Unix(1<<31-1, 0); at.After(last) {
				return last
			}
			return at.Truncate(time.Second)
		},
	},
	"exfat by libfuse 2": {
		mount: func(t *testing.T, dir string) {
			dev := testmount.Device(t, testmount.Image(t, 32<<20, "mkfs.exfat"))
			testmount.By(t, dir, "mount.exfat-fuse", dev, dir)
		},
		kinds: "mode owner times",
		times: func(at time.Time) time.Time { return at.Truncate(time.Second) },
	},
}

// A restore to a file system that does not keep everything says which kinds it does not keep,
// counted, and the next one takes for up to date what the first has made.
func TestRestore_LossyTargets(t *testing.T) {
	for name, c := range lossy {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			c.mount(t, out)
			h := jobtest.New(t)
			dir := t.TempDir()
			testtree.Make(t, dir, `
dir d
file d/fine mtime=1000000001.123456789 text="fine\n"
file d/odd mtime=1000000003.999999999 mode=600 text="odd\n"
file d/far mtime=2524608000.500000000 text="of 2050\n"
file d/large size=3000000 data=0:3000000:7
file owned uid=54322 gid=54323 text="owned\n"
file two text="two\n"
hardlink names two
hardlink d/three two
`)
			h.Backup(dir)
			r := h.Restore(h.RestoreSpec(dir, filepath.Join(out, "x")))
			if r.Failed != 0 || r.Counts.Files != 8 {
				t.Errorf("%+v", r)
			}
			lost := ""
			for _, kind := range []string{"mode", "owner", "times"} {
				if l := r.Meta[kind]; l != nil {
					lost += kind + " "
					t.Logf("%s of %d: %s: %v", kind, l.Entries, l.Path, l.Err)
				}
			}
			if strings.TrimSpace(lost) != c.kinds {
				t.Errorf("lost: %q, want %q: %v", lost, c.kinds, r.Meta)
			}
			for _, name := range []string{"d/fine", "d/odd", "d/far", "owned", "d"} {
				was, err := os.Lstat(filepath.Join(dir, name))
				jobtest.Must(t, err)
				st, err := os.Lstat(filepath.Join(out, "x", name))
				if err != nil || !st.ModTime().Equal(c.times(was.ModTime())) {
					t.Errorf("%s: %v, %v; want %v", name, st.ModTime(), err, c.times(was.ModTime()))
				}
			}
			linked := inode(t, filepath.Join(out, "x", "two")) == inode(t, filepath.Join(out, "x", "names"))
			if linked != c.links {
				t.Errorf("linked: %v", linked)
			}

			before := map[string]uint64{}
			for _, name := range []string{"d/fine", "d/odd", "d/far", "d/large", "owned", "two", "names", "d/three"} {
				before[name] = inode(t, filepath.Join(out, "x", name))
			}
			s := h.RestoreSpec(dir, filepath.Join(out, "x"))
			why := map[string]string{}
			s.OnItem = func(path string, _ messages.Status, reason string) { why[filepath.Base(path)] = reason }
			r = h.Restore(s)
			if r.Unchanged != 8 || r.BytesWritten != 0 || r.BytesReused != 0 || r.Failed != 0 {
				t.Errorf("again: %+v, %v", r, why)
			}
			for name, ino := range before {
				if c.links && inode(t, filepath.Join(out, "x", name)) != ino {
					t.Errorf("%s was made anew: %s", name, why[filepath.Base(name)])
				}
			}
			s = h.RestoreSpec(dir, filepath.Join(out, "x"))
			s.DryRun = true
			if r := h.Restore(s); r.Unchanged != 8 {
				t.Errorf("dry: %+v", r)
			}
		})
	}
}
