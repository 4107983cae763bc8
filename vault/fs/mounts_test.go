//go:build !portable

package fs

import (
	"os"
	"strconv"
	"testing"
)

func TestFstat(t *testing.T) {
	f, err := os.Open("/proc/self")
	if err != nil {
		t.Fatal(err)
	}
	want, err := Lstat("/proc/" + strconv.Itoa(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Fstat(f); err != nil || !got.SameFile(&want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	f.Close()
	if _, err := Fstat(f); err == nil {
		t.Error("a closed file was described")
	}
}

func TestMountPoints(t *testing.T) {
	if all := MountPoints(); !all["/"] || !all["/proc"] || all["/proc/none"] {
		t.Errorf("%v", all)
	}
	for in, want := range map[string]string{`/a`: "/a", `/a\040b`: "/a b", `/\134\011`: "/\\\t", `/x\04`: `/x\04`, `/\999`: `/\999`} {
		if got := unescapeMount(in); got != want {
			t.Errorf("%q is %q, not %q", in, got, want)
		}
	}
}
