//go:build !portable

package fs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/internal/testmount"
)

// A file system is called the same however often, where and as which device it is mounted.
func TestIdentify(t *testing.T) {
	for _, kind := range []struct {
		name string
		size int64
		mkfs []string
	}{
		{"ext4", 16 << 20, []string{"mkfs.ext4", "-q"}},
		{"xfs", 320 << 20, []string{"mkfs.xfs", "-q"}},
		{"btrfs", 200 << 20, []string{"mkfs.btrfs", "-q"}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			image := testmount.Image(t, kind.size, kind.mkfs...)
			called := map[string]bool{}
			devs := map[uint64]bool{}
			for range 3 {
				dev, dir := testmount.Device(t, image), t.TempDir()
				other := testmount.Device(t, testmount.Image(t, 1<<20, "mkfs.ext4", "-q"))
				_ = other // the next device has another number
				unmount := testmount.Mount(t, dev, dir)
				if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
				for _, path := range []string{dir, filepath.Join(dir, "f")} {
					st, err := Lstat(path)
					if err != nil {
						t.Fatal(err)
					}
					called[identify(st.Dev, path)] = true
					devs[st.Dev] = true
				}
				unmount()
			}
			if len(called) != 1 || len(devs) < 2 && kind.name != "btrfs" {
				t.Errorf("%v, of devices %v", called, devs)
			}
			for name := range called {
				if strings.Contains(name, "dev") || strings.Contains(name, "from") {
					t.Errorf("it is called %q", name)
				}
			}
		})
	}
}

func TestIdentify_gone(t *testing.T) {
	if got := identify(7, "/none"); got != "dev 7" {
		t.Error(got)
	}
	if got := identify(1<<60, "/proc"); got != "dev 1152921504606846976" {
		t.Error(got)
	}
}

// The order of mounts does not matter, and an NFS export or a FUSE file system goes by its source.
func TestMountedFrom(t *testing.T) {
	info := filepath.Join(t.TempDir(), "mountinfo")
	text := strings.Join([]string{
		"20 1 0:50 / /z rw,relatime shared:1 - nfs4 server:/b rw",
		"21 1 0:50 / /a rw,relatime - nfs4 server:/a\\040b rw",
		"22 1 8:1 / / rw - ext4 /dev/sda1 rw",
		"garbage", "23 1 x:y / /q rw - ext4 /dev/sdb rw",
	}, "\n")
	if err := os.WriteFile(info, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for dev, want := range map[uint64]string{
		unix.Mkdev(0, 50): "nfs4 server:/a b", unix.Mkdev(8, 1): "ext4 /dev/sda1", 99: "",
	} {
		if got := mountedFrom(info, dev); got != want {
			t.Errorf("%d: %q, want %q", dev, got, want)
		}
	}
}

func TestUUIDOfDevice(t *testing.T) {
	var st unix.Stat_t
	if err := unix.Stat("/dev/null", &st); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, to := range map[string]string{"1234-ABCD": "/dev/null", "dead": "/none"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if got := uuidOfDevice(dir, st.Rdev); got != "1234-ABCD" {
		t.Errorf("%q", got)
	}
	if got := uuidOfDevice(dir, st.Rdev+1) + uuidOfDevice("/none", st.Rdev); got != "" {
		t.Errorf("%q", got)
	}
}
