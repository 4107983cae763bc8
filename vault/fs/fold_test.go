package fs

import (
	"path/filepath"
	"testing"

	"vaultik/internal/testtree"
)

func TestFoldName(t *testing.T) {
	for _, same := range [][]string{
		{"readme", "README", "ReadMe"},
		{"\u00e4rger", "a\u0308rger", "\u00c4RGER", "A\u0308rger"},
		{"strasse", "stra\u00dfe", "STRASSE"},
		{"k", "K", "\u212a"}, // Kelvin
		{"fi", "\ufb01"},
		{"\u03c3", "\u03c2", "\u03a3"},
		{"ab", "a\u200db", "a\u00adb", "a\ufe0fb"},
		{"\u1e9b\u0323", "\u1e9b\u0323"},
	} {
		for _, name := range same {
			if FoldName(name) != FoldName(same[0]) {
				t.Errorf("%+q folds to %+q, %+q to %+q", name, FoldName(name), same[0], FoldName(same[0]))
			}
		}
	}
	seen := map[string]string{}
	for _, name := range []string{"a", "b", "a.b", "\u00e4", "a\xff", "A\xff", "\xff", "\xc3", "", "1"} {
		if other, ok := seen[FoldName(name)]; ok {
			t.Errorf("%+q and %+q fold to the same", name, other)
		}
		seen[FoldName(name)] = name
	}
}

// Where names are told apart, nothing is one name, and trying leaves nothing behind.
func TestTarget_OneName(t *testing.T) {
	dir := t.TempDir()
	testtree.Make(t, dir, "file d/README text=1\nhardlink d/readme d/README\nfile d/other text=1")
	for _, readOnly := range []bool{false, true} {
		target := openTarget(t, dir, TargetOptions{ReadOnly: readOnly})
		for _, path := range []string{".", "d"} {
			if one, err := target.OneName(path, "a", "A"); one || err != nil {
				t.Errorf("%s: %v %v", path, one, err)
			}
			if one, err := target.OneName(path, "same", "same"); one == readOnly || err != nil {
				t.Errorf("%s, the same: %v %v", path, one, err)
			}
		}
		for _, name := range []string{"d", "d/README", "d/other", "d/none"} {
			if target.Folds(name) {
				t.Errorf("%s goes by another name", name)
			}
		}
	}
	noTemps(t, dir)
	if left, _ := filepath.Glob(filepath.Join(dir, "*", ".*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
