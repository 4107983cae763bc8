package fs

import (
	iofs "io/fs"
	"strings"
	"testing"

	"vaultik/vault/page"
)

// What the kernel makes up is left out where it is met, and saved where it is named.
func TestWalk_kernel(t *testing.T) {
	proc := chooseFunc(func(path string, _ *Stat) Decision {
		if path == "." || page.Within("proc", path) {
			return Keep
		}
		return Skip
	})
	for _, test := range []struct {
		name, roots string
		oneFS       bool
		kernel      string // what /proc is left out as
		within      string // where entries below /proc are saved; "": nowhere
	}{
		{name: "met", roots: "/", kernel: "proc"},
		{name: "named", roots: "/proc", within: "proc"},
		{name: "named as well", roots: "/ /proc", within: "proc"},
		{name: "a part is named", roots: "/ /proc/sys/kernel/random", kernel: "proc", within: "proc/sys/kernel/random"},
		{name: "one file system", roots: "/", oneFS: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			saved, seen := 0, false
			err := Walk(t.Context(), strings.Fields(test.roots), WalkOptions{OneFS: test.oneFS, Choose: proc}, func(it WalkItem) error {
				switch {
				case it.Path == "proc":
					if seen = true; it.Kernel != test.kernel || it.Mount != (test.within != "proc") {
						t.Errorf("%+v", it)
					}
				case it.Implied || !page.Within("proc", it.Path):
				case test.within == "" || !page.Within(test.within, it.Path):
					t.Errorf("%s is saved", it.Path)
				default:
					saved++
					if it.Path != test.within {
						return iofs.SkipDir
					}
				}
				return nil
			})
			if err != nil || !seen || (saved > 1) != (test.within != "") {
				t.Errorf("%v; /proc was met: %v; %d entries in it are saved", err, seen, saved)
			}
		})
	}
}
