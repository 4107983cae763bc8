package main

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"vaultik/internal/fault"
	"vaultik/internal/fuzzbound"
)

// FuzzSplitList: a list gives what stands between its ends, as it stands there,
// and none that no path can be; what is given makes the same list again.
func FuzzSplitList(f *testing.F) {
	for _, s := range []string{"", "a", "a\nb\n", "\n\n a \r\n\n", "/a b\x00\xff\n\x00", "\x00",
		"a\x00b\n", "é\u2028/../x\n-\n#x\n"} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, list []byte, nul bool) {
		end := map[bool]string{false: "\n", true: "\x00"}[nul]
		var paths []string
		var err error
		fuzzbound.Check(t, 64<<10+40*int64(len(list)), func() {
			paths, err = splitList("fuzz", list, end)
		})
		if ue := (*fault.UsageError)(nil); err != nil {
			if nul || !bytes.Contains(list, []byte{0}) || !errors.As(err, &ue) || ue.Advice == "" ||
				paths != nil {
				t.Fatalf("%q: %v", list, err)
			}
			return
		}
		var want []string
		for _, part := range bytes.Split(list, []byte(end)) {
			if len(part) > 0 {
				want = append(want, string(part))
			}
		}
		if !slices.Equal(paths, want) || slices.ContainsFunc(paths,
			func(p string) bool { return p == "" || strings.Contains(p, "\x00") }) {
			t.Fatalf("%q gives %q, want %q", list, paths, want)
		}
		if again, err := splitList("fuzz", []byte(strings.Join(paths, end)+end), end); err != nil ||
			!slices.Equal(again, paths) {
			t.Fatalf("%q, then %q, %v", paths, again, err)
		}
	})
}
