package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"vaultik/config"
	"vaultik/vault/keys"
)

// condition adds [machineid]: this machine has an id, [root]: root runs the tests,
// and [rclone]: the program has it.
func condition(cond string) (bool, error) {
	switch cond {
	case "machineid":
		return config.MachineHash(keys.HostSecret{}) != "", nil
	case "root":
		return os.Geteuid() == 0, nil
	case "rclone":
		return withRclone, nil
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

// held is the file that hold has locked.
type held struct{ *os.File }

func hold(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR|os.O_CREATE, 0o600)
	ts.Check(err)
	ts.Check(unix.Flock(int(f.Fd()), unix.LOCK_EX))
	ts.Defer(func() { _ = f.Close() })
	ts.Value(held{}).(*held).File = f
}

func unhold(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(ts.Value(held{}).(*held).Close())
}

func await(ts *testscript.TestScript, _ bool, args []string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	for {
		if st, err := os.Stat(ts.MkAbs(args[0])); err == nil && st.Size() > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			ts.Fatalf("nobody has written %s", args[0])
		}
	}
}

// tmpfs mounts a file system of so many MiB at a new directory, until the script ends.
func tmpfs(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.Mkdir(dir, 0o700))
	ts.Check(unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+args[1]+"m"))
	ts.Defer(func() { ts.Check(unix.Unmount(dir, unix.MNT_DETACH)) })
}

// mountAt mounts as mount(8) does, until the script ends: mount [OPTION...] WHAT DIR
func mountAt(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("mount", args...))
	dir := ts.MkAbs(args[len(args)-1])
	ts.Defer(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // the script may have done it
}

// fill writes a file until there is no more space.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		_, err = f.Write(block)
		if err != nil {
			block = block[:len(block)/2]
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		ts.Fatalf("fill %s: %v", args[0], err)
	}
}
