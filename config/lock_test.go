package config

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestState_LockHost(t *testing.T) {
	s := NewState(filepath.Join(t.TempDir(), "new"))
	lock, err := s.LockHost()
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.LockHost()
	var busy *BusyError
	if !errors.As(err, &busy) || !errors.Is(err, ErrBusy) || busy.PID != os.Getpid() || time.Since(busy.Since) > time.Minute ||
		!strings.Contains(err.Error(), busy.Since.Format(time.DateTime)) {
		t.Fatalf("got %v", err)
	}
	if err := s.UpdateSets(func(*Sets) error { return nil }); err != nil {
		t.Errorf("state files must not wait for a backup: %v", err)
	}
	lock.Release()
	again, err := s.LockHost()
	if err != nil {
		t.Fatal(err)
	}
	defer again.Release()
	// What the file says is a courtesy; nonsense in it must not matter.
	if err := os.WriteFile(s.Path(lockFile), []byte("12 x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = s.LockHost(); !errors.As(err, &busy) || busy.PID != 0 || err.Error() != ErrBusy.Error() {
		t.Errorf("got %v", err)
	}
}

// TestState_LockHostAfterKill: the kernel releases what a killed process held.
func TestState_LockHostAfterKill(t *testing.T) {
	if dir := os.Getenv("VAULTIK_TEST_LOCK"); dir != "" {
		if _, err := NewState(dir).LockHost(); err != nil {
			t.Fatal(err)
		}
		_, _ = os.Stdout.WriteString("locked\n")
		select {} // until it is killed
	}
	s := NewState(t.TempDir())
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestState_LockHostAfterKill$")
	child.Env = append(os.Environ(), "VAULTIK_TEST_LOCK="+s.Path("."))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	var busy *BusyError
	if _, err := s.LockHost(); !errors.As(err, &busy) || busy.PID != child.Process.Pid {
		t.Errorf("got %v, want process %d", err, child.Process.Pid)
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	lock, err := s.LockHost()
	if err != nil {
		t.Fatal(err)
	}
	lock.Release()
}

func TestHost_Moved(t *testing.T) {
	dir := t.TempDir()
	id := filepath.Join(dir, "machine-id")
	defer func(old []string) { machineFiles = old }(machineFiles)
	machineFiles = []string{filepath.Join(dir, "none"), id}
	write := func(text string) {
		if err := os.WriteFile(id, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := newHost()
	const one, other = "3d1219c7c4c5404aaa1f6d2a48adfda4\n", "00000000c4c5404aaa1f6d2a48adfda4\n"
	write(one)
	h.Machine = MachineHash(h.Secret)
	if h.Machine == "" || strings.Contains(h.Machine, one[:8]) || h.Moved() {
		t.Errorf("the machine itself: %q, moved %v", h.Machine, h.Moved())
	}
	write(other)
	if !h.Moved() {
		t.Error("another machine was taken for the same")
	}
	for _, none := range []string{"", "uninitialized\n"} {
		if write(none); h.Moved() || MachineHash(h.Secret) != "" {
			t.Errorf("%q is no machine id", none)
		}
	}
	write(one)
	if h.Machine = ""; h.Moved() {
		t.Error("a host that was made without an id has moved")
	}
}

// Where the file system has no locks, or is read-only, there is a way on.
func TestState_Unwritable(t *testing.T) {
	s := NewState("/a b")
	for err, want := range map[error]string{
		syscall.ENOLCK: "no locks", syscall.EROFS: "make '/a b' writable", syscall.EACCES: "make '/a b' writable",
	} {
		got := (*Error)(nil)
		if !errors.As(s.unwritable(&os.PathError{Op: "open", Path: "/a b/host.lock", Err: err}), &got) ||
			!errors.Is(got, err) || !strings.Contains(got.Hint, want) || !strings.Contains(got.Hint, EnvStateDir) {
			t.Errorf("%v: %+v", err, got)
		}
	}
	if err := s.unwritable(syscall.EIO); !errors.Is(err, syscall.EIO) || errors.As(err, new(*Error)) || s.unwritable(nil) != nil {
		t.Errorf("%v", err)
	}
}
