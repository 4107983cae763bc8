package placecheck

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"vaultik/backends/mem"
)

// A check that has ended is told from one that runs, here or elsewhere.
func TestScratch_Dead(t *testing.T) {
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	b, prefix := mem.New(), "check/0123456789abcdef/"
	sc := scratch{newScratchState(), b, prefix, "", 1}
	of := func(prefix string, pid int) string {
		return claimWord + ` "` + machineOf(prefix) + `" ` + strconv.Itoa(pid) + "\n"
	}
	if claimText(prefix) != of(prefix, os.Getpid()) {
		t.Fatalf("claim %q", claimText(prefix))
	}
	for text, dead := range map[string]bool{
		of(prefix, os.Getpid()): false, of(prefix, gone.Process.Pid): true,
		of("check/x/", gone.Process.Pid): false,
		"":                               false, "x": false, machineOf(prefix) + " x": false,
		strings.TrimPrefix(of(prefix, gone.Process.Pid), claimWord):      false,
		of(prefix, gone.Process.Pid) + strings.Repeat("x", longestClaim): false,
	} {
		if err := sc.put(t.Context(), prefix+ownerName, text); err != nil {
			t.Fatal(err)
		}
		if sc.dead(t.Context(), prefix) != dead {
			t.Errorf("%q: dead is not %v", text, dead)
		}
	}
	if sc.dead(t.Context(), "check/none/") {
		t.Error("what does not exist is not known to be dead")
	}
}
