//go:build !portable

package fs

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/internal/testfuse"
	"vaultik/internal/testtree"
	"vaultik/internal/testuser"
	"vaultik/vault/page"
)

// refuser refuses names, and learns which types the walk knows.
type refuser struct {
	names map[string]bool
	kinds map[string]page.Type
}

func (r *refuser) Wants(path string, kind page.Type) bool {
	r.kinds[filepath.Base(path)] = kind
	return !r.names[filepath.Base(path)]
}

func (r *refuser) Decide(string, *Stat) Decision             { return Keep }
func (r *refuser) Enter(Dir) (func(name string) bool, error) { return nil, nil }
func refuse(names ...string) *refuser {
	r := &refuser{map[string]bool{}, map[string]page.Type{}}
	for _, name := range names {
		r.names[name] = true
	}
	return r
}

// What is refused by its name is not touched, whatever is the matter with it: a dead mount,
// one that hangs, one of another user, a file in a directory that may only be listed. With
// OneFS that holds for all such mounts, of which the mount point is kept.
func TestWalk_untouched(t *testing.T) {
	for _, bad := range []string{"dead", "hanging", "private"} {
		for _, how := range []string{"refused", "one file system"} {
			t.Run(bad+" "+how, func(t *testing.T) {
				dir := t.TempDir()
				for _, d := range []string{filepath.Dir(dir), dir} {
					if err := os.Chmod(d, 0o755); err != nil { //nolint:gosec // another user looks into it
						t.Fatal(err)
					}
				}
				testtree.Make(t, dir, "file a text=1\nfile z text=1")
				m := testfuse.New(t, filepath.Join(dir, "m"), map[string]testfuse.File{"x": testfuse.Bytes(nil)})
				c, opt := refuse(), WalkOptions{OneFS: how == "one file system"}
				if !opt.OneFS {
					c = refuse("m")
				}
				opt.Choose = c
				opt.Touch = func(path string) {
					if page.Within(m.Dir[1:], path) {
						t.Errorf("%s was touched", path)
						m.Die() // it would hang
					}
				}
				switch bad {
				case "dead":
					m.Die()
				case "hanging":
					m.Stall()
				}
				var got []string
				item := func(it WalkItem) error {
					if it.Err != nil {
						t.Error(it.Err)
					}
					if it.Mount != it.Unseen || it.Unseen && (it.Stat.Type != page.Dir || it.Stat.Mode != 0o700) {
						t.Errorf("%+v", it)
					}
					if !it.Implied {
						got = append(got, filepath.Base(it.Path))
					}
					return nil
				}
				walked := make(chan error)
				go func() {
					if bad == "private" {
						becomeNobody(t)
					}
					walked <- Walk(t.Context(), []string{dir}, opt, item)
				}()
				err := <-walked
				want := []string{filepath.Base(dir), "a", "m", "z"}
				if !opt.OneFS {
					want = slices.Delete(want, 2, 3)
				}
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("walked %q, %v; want %q", got, err, want)
				}
				if c.kinds["m"] != page.Dir || c.kinds["a"] != page.File {
					t.Errorf("the walk knew %v", c.kinds)
				}
			})
		}
	}
}

// becomeNobody takes all rights from a goroutine, for good.
func becomeNobody(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // the thread ends with the goroutine
	if _, _, err := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); err != 0 {
		t.Error(err)
	}
}

// A directory that may be listed but not searched: each entry is an error, unless refused.
func TestWalk_listedOnly(t *testing.T) {
	if !testuser.AsNobody(t, nil) {
		return
	}
	dir := t.TempDir()
	testtree.Make(t, dir, "file d/a text=1\nfile d/b text=1\ndir d/c")
	if err := os.Chmod(filepath.Join(dir, "d"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(filepath.Join(dir, "d"), 0o700) //nolint:errcheck,gosec // so that it can be removed
	if got := strings.Join(walkAll(t, dir, WalkOptions{Choose: refuse("b", "c")}), " "); got != "d !d/a" {
		t.Errorf("walked %q", got)
	}
}

// A mount point that is a root, or above one, was asked for: it is looked at.
func TestWalk_mountThatIsNamed(t *testing.T) {
	dir := t.TempDir()
	m := testfuse.New(t, filepath.Join(dir, "m"), map[string]testfuse.File{"x": testfuse.Bytes(nil), "y": testfuse.Bytes(nil)})
	for _, c := range []struct{ root, want string }{{"", "x y"}, {"/x", "x"}} {
		var got []string
		err := Walk(t.Context(), []string{dir, m.Dir + c.root}, WalkOptions{OneFS: true}, func(it WalkItem) error {
			if it.Unseen || it.Err != nil {
				t.Errorf("%+v", it)
			}
			if page.Within(m.Dir[1:], it.Path) && it.Path != m.Dir[1:] {
				got = append(got, filepath.Base(it.Path))
			}
			return nil
		})
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%q: %q, %v", c.root, got, err)
		}
	}
}
