package testmount

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Image makes a file of size bytes with a file system in it, by a command such as mkfs.ext4
// -q, to which the name of the file is added.
func Image(t testing.TB, size int64, mkfs ...string) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	Run(t, append(mkfs, image)...)
	return image
}

// Device makes a block device of an image, for as long as the test runs.
func Device(t testing.TB, image string) string {
	t.Helper()
	need(t, "losetup")
	dev := strings.TrimSpace(Run(t, "losetup", "--find", "--show", image))
	t.Cleanup(func() { _, _ = exec.Command("losetup", "--detach", dev).CombinedOutput() })
	return dev
}

// Mount mounts a device at dir, which it makes, until unmount is called or the test ends.
func Mount(t testing.TB, dev, dir string, args ...string) (unmount func()) {
	t.Helper()
	need(t, "mount")
	return By(t, dir, append(append([]string{"mount"}, args...), dev, dir)...)
}

// By mounts something at dir by a command, likewise.
func By(t testing.TB, dir string, command ...string) (unmount func()) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	Run(t, command...)
	mounted := true
	unmount = func() {
		if !mounted {
			return
		}
		mounted = false
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
			_ = unix.Unmount(dir, unix.MNT_DETACH)
		}
	}
	t.Cleanup(unmount)
	return unmount
}

// Run runs a command, without which the test is skipped: the kernel may not have the file
// system, or not let this process mount.
func Run(t testing.TB, command ...string) string {
	t.Helper()
	need(t, command[0])
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		t.Skipf("skipped: %s: %v: %s", strings.Join(command, " "), err, out)
	}
	return string(out)
}

func need(t testing.TB, tool string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped: only root can mount")
	}
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("skipped: %s is missing", tool)
	}
}
