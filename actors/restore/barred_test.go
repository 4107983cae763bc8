//go:build linux && !portable

package restore_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vaultik/actors/jobtest"
	"vaultik/actors/restore"
	"vaultik/internal/testtree"
	"vaultik/internal/testuser"
)

// What a user may not read, because it has the mode that it should have, is read back all the
// same, and keeps that mode. What he cannot read in any way is not said to be different. A dry
// run and a search for extras do not call it an error that they cannot look at it.
func TestRestore_Barred(t *testing.T) {
	if !testuser.AsNobody(t, func(dir string) {
		jobtest.Must(t, os.Mkdir(filepath.Join(dir, "shared"), 0o777))
		jobtest.Must(t, os.Chmod(filepath.Join(dir, "shared"), 0o777))
		jobtest.Must(t, os.WriteFile(filepath.Join(dir, "shared", "roots"), []byte("roots\n"), 0o600))
	}) {
		return
	}
	h := jobtest.New(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	testtree.Make(t, dir, `
dir closed
file closed/f text="f\n"
dir closed/deep
file closed/deep/g text="g\n"
dir blind
file blind/h text="h\n"
file none text="none\n"
file large size=3000000 data=0:3000000:7
file roots text="roots\n"
`)
	h.Backup(dir)
	h.Restore(h.RestoreSpec(dir, out))
	modes := map[string]os.FileMode{
		"closed/f": 0, "closed/deep": 0, "closed": 0, "blind": 0o300, "none": 0o200, "large": 0,
	}
	for _, name := range []string{"closed/f", "closed/deep", "closed", "blind", "none", "large"} {
		jobtest.Must(t, os.Chmod(filepath.Join(out, name), modes[name]))
	}
	t.Cleanup(func() {
		for _, name := range []string{"blind", "closed", "closed/deep"} {
			_ = os.Chmod(filepath.Join(out, name), 0o700)
		}
	})
	s := h.RestoreSpec(dir, out)
	r, err := restore.ReadBack(t.Context(), h.System, s)
	jobtest.Must(t, err)
	if r.Files != 6 || r.Differ != 0 || r.Unread != 0 {
		t.Errorf("%+v", r)
	}
	for _, name := range []string{"closed", "blind", "none", "large"} {
		if st, err := os.Lstat(filepath.Join(out, name)); err != nil || st.Mode().Perm() != modes[name] {
			t.Errorf("%s: %v, %v, want %o", name, st.Mode(), err, modes[name])
		}
	}

	s = h.RestoreSpec(dir, out)
	s.DryRun = true
	if r := h.Restore(s); r.Failed != 0 {
		t.Errorf("%+v", r)
	}
	s = h.RestoreSpec(dir, out)
	var said []string
	s.Warn = func(text string) { said = append(said, text) }
	x, err := restore.Extras(t.Context(), h.System, &restore.ExtrasSpec{Restore: s})
	jobtest.Must(t, err)
	if x.Failed != 0 || x.Files+x.Dirs != 0 || len(said) != 1 ||
		!strings.HasPrefix(said[0], "2 directories were not looked into") {
		t.Errorf("%+v, %q", x, said)
	}

	shared := filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(out))), "shared", "roots")
	if _, err := os.Lstat(shared); err != nil {
		t.Skip("the rest needs a file of root's")
	}
	jobtest.Must(t, os.Rename(shared, filepath.Join(out, "roots")))
	r, err = restore.ReadBack(t.Context(), h.System, h.RestoreSpec(dir, out))
	jobtest.Must(t, err)
	if r.Files != 5 || r.Differ != 0 || r.Unread != 1 || !strings.HasSuffix(r.UnreadAt, "/roots") {
		t.Errorf("%+v", r)
	}
}
