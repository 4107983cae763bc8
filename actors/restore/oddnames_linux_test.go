//go:build !portable

package restore_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"vaultik/actors/jobtest"
	"vaultik/internal/testmount"
	vfs "vaultik/vault/fs"
)

// Entries whose names, or kinds, a file system does not take fail alone, with a reason that says
// so; all others are restored, and nothing that was tried is left.
func TestRestore_NamesOfOtherSystems(t *testing.T) {
	long := strings.Repeat("ü", 127) + "x" // 255 bytes, 128 characters
	names := []string{
		"a:b", "q?", "pi|pe", `back\slash`, "st*", "lt<", "ctl\x01", "bad\xff",
		"dot.", "space ", "CON", long, "plain",
	}
	for name, c := range map[string]struct {
		mkfs    string
		program string
		refuses map[string]error
	}{
		"exfat-fuse": {"mkfs.exfat", "mount.exfat-fuse", map[string]error{
			"a:b": vfs.ErrName, "q?": vfs.ErrName, "pi|pe": vfs.ErrName, `back\slash`: vfs.ErrName,
			"st*": vfs.ErrName, "lt<": vfs.ErrName, "ctl\x01": vfs.ErrName, "a:dir": vfs.ErrName,
			"bad\xff": syscall.EILSEQ, "fifo": syscall.EIO, "link": syscall.ENOSYS,
		}},
		"ntfs-3g": {"mkfs.ntfs -q -f -F", "ntfs-3g", map[string]error{"bad\xff": syscall.EILSEQ}},
	} {
		t.Run(name, func(t *testing.T) {
			h, dir := jobtest.New(t), t.TempDir()
			for _, at := range []string{".", "sub", "a:dir"} {
				jobtest.Must(t, os.MkdirAll(filepath.Join(dir, at), 0o755))
				for _, n := range names {
					jobtest.Must(t, os.WriteFile(filepath.Join(dir, at, n), []byte(at+n), 0o600))
				}
			}
			jobtest.Must(t, os.Symlink("plain", filepath.Join(dir, "link")))
			jobtest.Must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
			h.Backup(dir)

			mount := t.TempDir()
			image := testmount.Image(t, 32<<20, strings.Fields(c.mkfs)...)
			testmount.By(t, mount, c.program, testmount.Device(t, image), mount)
			out := filepath.Join(mount, "out")
			for _, run := range []string{"first", "again"} {
				r := h.Restore(h.RestoreSpec(dir, out))
				failed := map[string]error{}
				for _, p := range r.Problems {
					rel, err := filepath.Rel(dir, "/"+p.Path)
					jobtest.Must(t, err)
					failed[rel] = p.Err
				}
				check := func(rel string, want error) {
					t.Helper()
					if got := failed[rel]; !isError(got, want) {
						t.Errorf("%s: %q: %v, want %v", run, rel, got, want)
					}
					delete(failed, rel)
				}
				for _, n := range append(slices.Clone(names), "link", "fifo", "a:dir") {
					check(n, c.refuses[n])
				}
				for _, n := range names {
					check("sub/"+n, c.refuses[n])
					want := c.refuses["a:dir"]
					if want == nil {
						want = c.refuses[n]
					}
					check("a:dir/"+n, want)
					if c.refuses[n] != nil {
						continue
					}
					b, err := os.ReadFile(filepath.Join(out, "sub", n))
					if err != nil || string(b) != "sub"+n {
						t.Errorf("%s: %q: %q, %v", run, n, b, err)
					}
				}
				for rel, err := range failed {
					t.Errorf("%s: %q failed too: %v", run, rel, err)
				}
				if left, _ := filepath.Glob(filepath.Join(out, ".vaultik-tmp-*")); len(left) > 0 {
					t.Errorf("%s: left %q", run, left)
				}
			}
		})
	}
}

func isError(got, want error) bool {
	if want == nil {
		return got == nil
	}
	return errors.Is(got, want)
}
