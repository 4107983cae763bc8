package filter

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	vfs "vaultik/vault/fs"
)

// visit walks dir by the rules and returns what is visited, below dir, and the
// problems that were reported.
func visit(t *testing.T, r *Rules, dir string) (paths, problems []string) {
	t.Helper()
	err := vfs.Walk(t.Context(), []string{dir}, vfs.WalkOptions{Choose: r.Walk(nil)}, func(it vfs.WalkItem) error {
		rel := strings.TrimPrefix("/"+it.Path, dir+"/")
		switch {
		case it.Err != nil:
			problems = append(problems, it.Err.Error())
		case !it.Implied && "/"+it.Path != dir:
			paths = append(paths, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths, problems
}

// write makes files with these texts, by path.
func write(t *testing.T, dir string, files ...string) {
	t.Helper()
	for i := 0; i < len(files); i += 2 {
		p := filepath.Join(dir, files[i])
		err := os.MkdirAll(filepath.Dir(p), 0o755)
		if err == nil {
			err = os.WriteFile(p, []byte(files[i+1]), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRules_IgnoreFiles(t *testing.T) {
	for _, c := range []struct {
		name, want string
		files      []string
	}{
		{"anywhere below", ".vaultikignore b b/.vaultikignore b/y", []string{".vaultikignore", "a", "a", "", "b/a", "", "b/.vaultikignore", "z", "b/y", "", "b/z", ""}},
		{"anchored", ".vaultikignore b b/a", []string{".vaultikignore", "/a", "a", "", "b/a", ""}},
		{"everything", ".vaultikignore", []string{".vaultikignore", "/", "a", "", "b/a", ""}},
		{"star", ".vaultikignore", []string{".vaultikignore", "*", "a", "", "b/a", ""}},
		{"directories", ".vaultikignore a b", []string{".vaultikignore", "a/", "a", "", "b/a/x", ""}},
		{"taken back", ".vaultikignore b b/.vaultikignore b/k", []string{".vaultikignore", "k", "k", "", "b/.vaultikignore", "!k", "b/k", ""}},
		{"not what is above", ".vaultikignore a b b/.vaultikignore", []string{".vaultikignore", "", "a", "", "b/.vaultikignore", "a\nb", "b/a", ""}},
		{"no variables", ".vaultikignore a", []string{".vaultikignore", "$HOME", "$HOME", "", "a", ""}},
		{"not each other", ".vaultikignore b b/.vaultikignore", []string{".vaultikignore", ".vaultikignore\nx", "b/.vaultikignore", "", "b/x", ""}},
		{"BOM and CRLF", ".vaultikignore c", []string{".vaultikignore", "\xef\xbb\xbfa\r\nb\r\n", "a", "", "b", "", "c", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, c.files...)
			paths, problems := visit(t, &Rules{Ignore: true}, dir)
			if got := strings.Join(paths, " "); got != c.want || len(problems) > 0 {
				t.Errorf("%q, want %q; %q", got, c.want, problems)
			}
			if all, _ := visit(t, &Rules{}, dir); len(all) <= len(paths) && c.name != "not what is above" {
				t.Errorf("not obeyed, %q is left", all)
			}
		})
	}
}

// An entry of that name that is no file is like any other, and said.
func TestRules_IgnoreFileOfAnotherKind(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, ".vaultikignore", "**/.vaultikignore/", "a/.vaultikignore/x", "", "b/y", "")
	if err := os.Symlink("../.vaultikignore", filepath.Join(dir, "b/.vaultikignore")); err != nil {
		t.Fatal(err)
	}
	paths, problems := visit(t, &Rules{Ignore: true}, dir)
	if got := strings.Join(paths, " "); got != ".vaultikignore a b b/.vaultikignore b/y" {
		t.Errorf("%q", got)
	}
	if len(problems) != 2 || problems[0] != dir+"/a/.vaultikignore is skipped: it is not a regular file" {
		t.Errorf("%q", problems)
	}
}

// Of a broken file what is right counts; the errors name the first few lines.
func TestRules_BrokenIgnoreFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, ".vaultikignore", "a\n[\n!\n../x\nb**\n[z\n]\\\n**c\nd", "a", "", "d", "", "e", "")
	paths, problems := visit(t, &Rules{Ignore: true}, dir)
	if got := strings.Join(paths, " "); got != ".vaultikignore e" {
		t.Errorf("%q", got)
	}
	if len(problems) != 1 || !strings.Contains(problems[0], dir+`/.vaultikignore:2: pattern "[": `) ||
		!strings.Contains(problems[0], `.vaultikignore:6: `) || !strings.HasSuffix(problems[0], "; and 2 more") {
		t.Errorf("%q", problems)
	}
	write(t, dir, ".vaultikignore", strings.Repeat("#", maxIgnoreFile)+"\na")
	if paths, problems = visit(t, &Rules{Ignore: true}, dir); len(paths) != 4 || len(problems) != 1 || !strings.Contains(problems[0], "larger than 1 MiB") {
		t.Errorf("%q %q", paths, problems)
	}
}

// Ignore files that are obeyed at once are bounded together: those of a directory and of the
// directories above it, not those beside it.
func TestRules_LargeIgnoreFiles(t *testing.T) {
	for what, text := range map[string]string{
		"bytes":    "x\n" + strings.Repeat("#", maxIgnoreFile/2),
		"patterns": strings.Repeat("x\n", maxIgnorePatterns/2),
	} {
		dir := t.TempDir()
		write(t, dir, ".vaultikignore", "y", "a/.vaultikignore", text, "a/b/.vaultikignore", text, "c/.vaultikignore", text)
		write(t, dir, "a/x", "", "a/b/x", "", "a/b/y", "", "b/x", "", "c/x", "", "c/y", "")
		paths, problems := visit(t, &Rules{Ignore: true}, dir)
		if got := strings.Join(paths, " "); got != ".vaultikignore a a/.vaultikignore a/b a/b/.vaultikignore b b/x c c/.vaultikignore" {
			t.Errorf("%s: %q", what, got)
		}
		want := dir + "/a/b/.vaultikignore is skipped: together with those above it, it is larger than 1 MiB or has more than 65536 patterns"
		if len(problems) != 1 || problems[0] != want {
			t.Errorf("%s: %q", what, problems)
		}
	}
	dir := t.TempDir()
	write(t, dir, ".vaultikignore", strings.Repeat("x\n", maxIgnorePatterns+1), "x", "")
	paths, problems := visit(t, &Rules{Ignore: true}, dir)
	if len(paths) != 2 || len(problems) != 1 || !strings.HasSuffix(problems[0], "it has more than 65536") {
		t.Errorf("%q %q", paths, problems)
	}
}

// Where everybody may write but not remove what is others', a stranger's file has no say.
func TestRules_StrangersInSharedDirectories(t *testing.T) {
	owners, of := map[int]bool{0: true, 1000: true, 1001: false}, 1000
	if me := os.Geteuid(); me != 0 { // only root can give files away
		owners, of = map[int]bool{me: true}, me
	}
	for owner, obeyed := range owners {
		dir := t.TempDir()
		write(t, dir, ".vaultikignore", "a", "a", "", "b/tag", "", "b/x", "")
		for _, err := range []error{
			os.Chown(filepath.Join(dir, ".vaultikignore"), owner, -1), os.Chown(filepath.Join(dir, "b/tag"), owner, -1),
			os.Chown(dir, of, -1), os.Chown(filepath.Join(dir, "b"), of, -1),
			os.Chmod(dir, 0o777|fs.ModeSticky), os.Chmod(filepath.Join(dir, "b"), 0o777|fs.ModeSticky),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		var warned []string
		r := &Rules{Ignore: true, Tags: []Tag{{"tag", "", "test"}}, Warn: func(text string) { warned = append(warned, text) }}
		paths, problems := visit(t, r, dir)
		want := ".vaultikignore a b b/tag b/x"
		if obeyed {
			want = ".vaultikignore b b/tag"
		}
		if got := strings.Join(paths, " "); got != want || (len(warned) == 0) != obeyed || len(problems) > 0 {
			t.Errorf("owner %d: %q, want %q; warned %q", owner, got, want, warned)
		}
	}
}

func TestRules_Tags(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/tag", "yes!", "a/x", "", "b/tag", "no", "b/x", "", "c/tag/in", "", "c/x/y", "", "d/tag", "ye")
	if err := unix.Mkfifo(filepath.Join(dir, "d/f"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"tag":     "a a/tag b b/tag c c/tag d d/tag",
		"tag:yes": "a a/tag b b/tag b/x c c/tag c/tag/in c/x c/x/y d d/f d/tag",
		"tag:":    "a a/tag b b/tag c c/tag d d/tag",
		"f":       "a a/tag a/x b b/tag b/x c c/tag c/tag/in c/x c/x/y d d/f",
		"f:x":     "a a/tag a/x b b/tag b/x c c/tag c/tag/in c/x c/x/y d d/f d/tag", // a FIFO is never waited for
	} {
		tag, err := ParseTag(text, "test")
		if err != nil {
			t.Fatal(err)
		}
		if paths, _ := visit(t, &Rules{Tags: []Tag{tag}}, dir); strings.Join(paths, " ") != want {
			t.Errorf("%s: %q, want %q", text, paths, want)
		}
	}
	for _, text := range []string{"", ":", ":x", ".", "..:x", "a/b", "a\x00"} {
		if _, err := ParseTag(text, "test"); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	if tag, _ := ParseTag("a:b:c", ""); tag.Name != "a" || tag.Header != "b:c" || tag.String() != "a:b:c" {
		t.Errorf("%+v", tag)
	}
}

// Each walk begins anew, as the rounds of a backup do.
func TestRules_ManyWalks(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, ".vaultikignore", "a", "a", "", "b/.vaultikignore", "!a", "b/a", "", "c/a", "")
	r := &Rules{Ignore: true}
	first, _ := visit(t, r, dir)
	again, _ := visit(t, r, dir)
	if fmt.Sprint(first) != "[.vaultikignore b b/.vaultikignore b/a c]" || !slices.Equal(first, again) {
		t.Errorf("%q then %q", first, again)
	}
}

// A directory is left out under whatever path the walk meets it.
func TestRules_LeaveOutDir(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "own/inside", "", "own/deep/x", "", "other/y", "")
	own, err := vfs.Lstat(filepath.Join(dir, "own"))
	if err != nil {
		t.Fatal(err)
	}
	r := &Rules{}
	var met []string
	r.LeaveOutDir(own, "the store", func(path string) { met = append(met, path) })
	r.LeaveOutDir(vfs.Stat{}, "nothing", nil)
	if paths, _ := visit(t, r, dir); !slices.Equal(paths, []string{"other", "other/y"}) || !slices.Equal(met, []string{filepath.Join(dir, "own")}) {
		t.Errorf("%q, met %q", paths, met)
	}
}

// A file of patterns that is obeyed is saved, however small files must be: without it the
// snapshot says nothing of why others are missing. Patterns leave it out.
func TestRules_LargerKeepsIgnoreFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, ".vaultikignore", "*.o", "d/.vaultikignore", "*.p", "d/.vaultikignore2", "*.p", "a.o", "", "d/a.p", "", "e", "large")
	small := Limit{Bytes: 1, Source: "test"}
	after, err := Compile(From("test", "d/.vaultikignore"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		rules *Rules
		want  string
	}{
		{&Rules{Ignore: true, Larger: small}, ".vaultikignore d d/.vaultikignore"},
		{&Rules{Ignore: true, Larger: small, After: []*List{after}}, ".vaultikignore d"},
		{&Rules{Larger: small}, "a.o d d/a.p"},
	} {
		paths, problems := visit(t, c.rules, dir)
		if got := strings.Join(paths, " "); got != c.want || len(problems) > 0 {
			t.Errorf("%q %q, want %q", got, problems, c.want)
		}
	}
	write(t, dir, ".vaultikignore", strings.Repeat("#", maxIgnoreFile+1))
	if paths, _ := visit(t, &Rules{Ignore: true, Larger: small}, dir); strings.Join(paths, " ") != "a.o d d/.vaultikignore" {
		t.Errorf("too large to be obeyed: %q", paths)
	}
}
