package main

import (
	"fmt"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"vaultik/config"
	"vaultik/vault/keys"
)

// condition adds [machineid]: this machine has an id, and [root]: root runs the tests.
func condition(cond string) (bool, error) {
	switch cond {
	case "machineid":
		return config.MachineHash(keys.HostSecret{}) != "", nil
	case "root":
		return os.Geteuid() == 0, nil
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
