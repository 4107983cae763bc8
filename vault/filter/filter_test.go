package filter

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"vaultik/internal/fuzzbound"
	"vaultik/internal/testsize"
)

func compile(t testing.TB, o Options, patterns ...string) *List {
	t.Helper()
	l, err := Compile(From("--exclude", patterns...), o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestMatch_Manual has the statements of restic's manual, "Excluding files".
func TestMatch_Manual(t *testing.T) {
	home := []string{"/home/u/*", "!/home/u/Documents", "!/home/u/code", "!/home/u/.emacs.d", "node_modules", "*~", "*.o"}
	for _, c := range []struct {
		patterns []string
		yes, no  string
	}{
		{[]string{"*.c"}, "/work/a.c /a.c/b", "/work/a.cc /work/c"},
		{[]string{"foo/**/bar"}, "/dir1/foo/dir2/bar/file /foo/bar/file /tmp/foo/bar /foo/x/y/z/bar", "/foo/x/barn /bar/foo /foo/x"},
		{[]string{"foo"}, "/dir1/foo/dir2/file /dir/foo", "/dir/foobar /barfoo"},
		{[]string{"foo/"}, "/dir1/foo/dir2/file /dir/foo/x", "/dir/foobar /dir/foo"}, // not as there: directories only
		{[]string{"/bin"}, "/bin/bash /bin", "/usr/bin/restic"},
		{[]string{"b*ash"}, "/bin/bash /x/bbash", "/bin/ash"},
		{[]string{"/home/user/repos/**/target"}, "/home/user/repos/repo1/target /home/user/repos/repo2/project1/target /home/user/repos/target",
			"/home/user/repos/repo1/src /home/user/target /home/user/repos"},
		{[]string{"foo bar star.txt"}, "/x/foo bar star.txt", "/x/foo"},
		{home, "/home/u/Music /home/u/.cache/x /home/u/code/node_modules/a /home/u/code/x.o /home/u/Documents/a~",
			"/home/u /home/u/Documents /home/u/Documents/a/b /home/u/code/x.c /home/v/x"},
	} {
		l := compile(t, Options{}, c.patterns...)
		for _, p := range split(c.yes) {
			if ok, _ := l.Match(p, false); !ok {
				t.Errorf("%q does not match %q", c.patterns, p)
			}
		}
		for _, p := range split(c.no) {
			if ok, _ := l.Match(p, false); ok {
				t.Errorf("%q matches %q", c.patterns, p)
			}
		}
	}
}

// split cuts a list of absolute paths, which may have spaces.
func split(s string) (out []string) {
	for p := range strings.SplitSeq(s, " /") {
		out = append(out, "/"+strings.TrimPrefix(p, "/"))
	}
	return out
}

func TestMatch_Table(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/", "/a", true}, {"/", "/", true}, {"/**", "/", true}, {"**", "/", false}, {"*", "/", false}, {"**", "/a", true}, {"*", "/a/b", true},
		{"/a", "/a", true}, {"/a", "/b/a", false}, {"/a/b", "/a/b/c", true}, {"/a/b", "/a", false}, {"a/b", "/x/a/b", true}, {"a/b", "/a/x/b", false},
		{"./a", "/a", true}, {"x/../a", "/a", true}, {"a//b/.", "/a/b", true},
		{"a/**", "/a", true}, {"a/**", "/x/a/b/c", true}, {"**/a", "/a", true}, {"**/a", "/x/y/a", true}, {"/**/a", "/x/a", true},
		{"/a/**/b/**/c", "/a/b/c", true}, {"/a/**/b/**/c", "/a/x/b/y/z/c", true}, {"/a/**/b/**/c", "/a/c/b", false}, {"a/**/**/b", "/a/b", true},
		{"a/*/b", "/a/b", false}, {"a/*/b", "/a/x/b", true}, {"/*/b", "/a/b", true}, {"/*/b", "/a/c/b", false},
		{"a?c", "/abc", true}, {"a?c", "/aéc", true}, {"a?c", "/a\xffc", true}, {"a?c", "/ac", false}, {"a?c", "/abbc", false},
		{"[a-c]", "/b", true}, {"[^a-c]", "/b", false}, {"[^a-c]", "/d", true}, {"[é]", "/é", true}, {"[!a]", "/!", true},
		{`\*`, "/*", true}, {`\*`, "/a", false}, {`\!a`, "/!a", true}, {`\#a`, "/#a", true}, {`a\?`, "/a?", true}, {`\\`, `/\`, true}, {"a]", "/a]", true},
		{"!!a", "/a", false}, {"*a*", "/bab", true}, {"a*a", "/a", false}, {"a*a", "/aa", true}, {"*", "/.hidden", true}, {"*a[b]", "/xxab", true},
		{"\xff*", "/\xffx", true}, {"a b", "/a b", true}, {"A", "/a", false}, {"foo*bar*", "/foo", false}, {"foo*bar*", "/fooxbary", true},
		{"..a", "/..a", true}, {"...", "/...", true}, {"-", "/-", true}, {"~", "/~", true}, {`[\]]x`, "/]x", true}, {"[*][*]", "/**", true},
	} {
		if got, _ := compile(t, Options{}, c.pattern).Match(c.path, true); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.path, got)
		}
	}
}

func TestMatch_WhichPattern(t *testing.T) {
	l := compile(t, Options{}, "*.o", "a", "!keep.o", "b/keep.o")
	for p, want := range map[string]string{
		"/x.o": "true *.o", "/a/x.o": "true a", "/a/keep.o": "false !keep.o", "/b/keep.o": "true b/keep.o", "/c": "false ",
	} {
		ok, by := l.Match(p, false)
		if got := fmt.Sprint(ok, " ", text(by)); got != want {
			t.Errorf("%s: %s, want %s", p, got, want)
		}
	}
	if l.Len() != 4 || !slices.Equal(l.Strings(), []string{"*.o", "a", "!keep.o", "b/keep.o"}) {
		t.Error(l.Strings())
	}
}

func TestMatch_Options(t *testing.T) {
	fold := compile(t, Options{IgnoreCase: true}, "Foo*", "É", `\A[B-D]`, "\xffX")
	for _, p := range []string{"/fOO1", "/x/FOO", "/é", "/É", "/ab", "/AC", "/\xffx"} {
		if ok, _ := fold.Match(p, false); !ok {
			t.Errorf("ignoring case: %q", p)
		}
	}
	if ok, _ := fold.Match("/\xfex", false); ok {
		t.Error("bytes that are no letters count as the same")
	}
	dirs := compile(t, Options{}, "a/", "/b/**/c/", "d")
	for p, want := range map[string][2]bool{ // as a file, as a directory
		"/a": {false, true}, "/a/x": {true, true}, "/b/c": {false, true}, "/b/c/c": {true, true}, "/d": {true, true}, "/x": {false, false},
	} {
		f, _ := dirs.Match(p, false)
		d, _ := dirs.Match(p, true)
		if got := [2]bool{f, d}; got != want {
			t.Errorf("%s: %v, want %v", p, got, want)
		}
	}
}

func TestList_Empty(t *testing.T) {
	for _, l := range []*List{nil, {}, compile(t, Options{})} {
		if ok, by := l.Match("/a", true); ok || by != nil || l.MayMatchBelow("/") || l.Len() != 0 || len(l.Strings()) != 0 {
			t.Error("a list without patterns matches")
		}
	}
}

func TestMayMatchBelow(t *testing.T) {
	for _, c := range []struct {
		patterns string
		path     string
		want     bool
	}{
		{"a", "/x/y", true}, {"/a/b", "/", true}, {"/a/b", "/a", true}, {"/a/b", "/a/b", true}, {"/a/b", "/a/b/c", true}, {"/a/b", "/a/c", false},
		{"/a/b", "/b", false}, {"/a/**/b", "/a/x/y", true}, {"/a/**/b", "/b", false}, {"/*/b", "/x", true}, {"/*/b", "/x/c", false},
		{"/a !/a/b", "/a/b", false}, {"/a !/a/b", "/a", true}, {"/a !/a/b /a/b/c", "/a/b", true}, {"!/a", "/a", false},
	} {
		if got := compile(t, Options{}, strings.Fields(c.patterns)...).MayMatchBelow(c.path); got != c.want {
			t.Errorf("%q below %q: %v", c.patterns, c.path, got)
		}
	}
}

func TestCompile_Invalid(t *testing.T) {
	for text, want := range map[string]string{
		"": "empty", "!": "nothing follows", "a\x00": "NUL", "a[": "between [ and ]", "[]": "between", "[a-]": "between", "[z": "between",
		`a\`: `at its end`, `a\/b`: `at its end`, "foo**": "component of its own", "foo/**bar": "component of its own", "!a/***": "component",
		"..": "no ..", "../a": "no ..", ".": "names no file", "x/..": "names no file", "a/[\xff]": "between", "[a/b]": "between",
	} {
		_, err := Compile(append(From("--exclude", "ok"), From("f:3", text, "*.c")...), Options{})
		var all Errors
		if !errors.Is(err, ErrPattern) || !errors.As(err, &all) || len(all) != 1 || all[0].Text != text ||
			!strings.HasPrefix(err.Error(), fmt.Sprintf("f:3: pattern %q: ", text)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	_, err := Compile(From("--exclude", "[", "a", "]["), Options{})
	if all := (Errors)(nil); !errors.As(err, &all) || len(all) != 2 || strings.Count(err.Error(), "; ") < 1 {
		t.Errorf("all of them: %v", err)
	}
	for _, fine := range []string{`\**`, "[**]", "*[*]*", `[\]*]*`, "[[]*"} {
		if reason := Check(fine); reason != "" {
			t.Errorf("%q: %s", fine, reason)
		}
	}
	if _, err := Compile(make([]Pattern, maxPatterns+1), Options{}); !errors.Is(err, ErrPattern) {
		t.Errorf("too many: %v", err)
	}
}

// text is the pattern that decided, "" for none.
func text(by *Pattern) string {
	if by == nil {
		return ""
	}
	return by.Text
}

// TestMatch_Restic: a walk keeps what restic kept, to which a slash at the end of
// a pattern means nothing; see resticcompare.
func TestMatch_Restic(t *testing.T) {
	f, err := os.Open("testdata/restic.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var patterns []string
	var l *List
	var dir, left string // left: the excluded directory that the walk would be in
	cases, excluded := 0, 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		s := lines.Text()
		if s == "" {
			patterns, left = nil, ""
			cases++
			continue
		}
		switch kind, rest := s[0], s[1:]; kind {
		case 'p':
			patterns = append(patterns, strings.TrimRight(rest, "/"))
		case 'd':
			dir, l = rest, compile(t, Options{}, patterns...)
		default:
			p := dir + rest
			name, isDir := strings.CutSuffix(p, "/")
			out := left != "" && strings.HasPrefix(p, left)
			if !out {
				if out, _ = l.Match(name, isDir); out && isDir {
					left = p
				}
			}
			if out {
				excluded++
			}
			if out != (kind == '-') {
				t.Errorf("%q on %q: %v", patterns, p, out)
			}
		}
	}
	if cases < 100 || excluded < 1000 {
		t.Errorf("only %d cases, %d exclusions", cases, excluded)
	}
}

// naive is what the manual says, word by word.
func naive(pattern string, parts []string, isDir bool) bool {
	p := path.Clean(pattern)
	anchored := strings.HasPrefix(p, "/")
	var want []string
	for _, w := range strings.Split(p, "/") {
		if w != "" {
			want = append(want, w)
		}
	}
	if !anchored {
		want = append([]string{"**"}, want...)
		for len(want) > 1 && want[1] == "**" {
			want = want[1:] // a ** in front is what it has anyhow
		}
	}
	least := 0
	if !anchored && len(want) == 1 {
		least = 1
	}
	var try func(want []string, pos int) bool
	try = func(want []string, pos int) bool {
		if len(want) == 0 {
			return pos >= least && (pos < len(parts) || isDir || !strings.HasSuffix(pattern, "/"))
		}
		if want[0] == "**" {
			for i := pos; i <= len(parts); i++ {
				if try(want[1:], i) {
					return true
				}
			}
			return false
		}
		if pos == len(parts) {
			return false
		}
		ok, _ := path.Match(want[0], parts[pos])
		return ok && try(want[1:], pos+1)
	}
	return try(want, 0)
}

// last is which of the patterns decides.
func naiveLast(patterns []string, p string, isDir bool) (bool, string) {
	parts := strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
	for i := len(patterns) - 1; i >= 0; i-- {
		text, negated := strings.CutPrefix(patterns[i], "!")
		if naive(text, parts, isDir) {
			return !negated, patterns[i]
		}
	}
	return false, ""
}

// TestMatch_Law: the tables find what trying each pattern finds.
func TestMatch_Law(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(testsize.Seed(t), 0))
	of := func(list ...string) string { return list[r.IntN(len(list))] }
	for range 3000 {
		var patterns []string
		for range 1 + r.IntN(6) {
			var parts []string
			for range 1 + r.IntN(4) {
				parts = append(parts, of("a", "b", "ab", "*", "**", "a*", "*b", "*a*", "?", "[ab]", `\a`, "c?", "*.o"))
			}
			patterns = append(patterns, of("", "", "!")+of("", "/")+strings.Join(parts, "/")+of("", "", "/"))
		}
		l := compile(t, Options{}, patterns...)
		for range 20 {
			p := ""
			for range 1 + r.IntN(5) {
				p += "/" + of("a", "b", "c", "ab", "ba", "x.o", "cc")
			}
			isDir := r.IntN(2) == 0
			gotOK, gotBy := l.Match(p, isDir)
			wantOK, wantBy := naiveLast(patterns, p, isDir)
			if gotOK != wantOK || text(gotBy) != wantBy {
				t.Fatalf("%q on %q: %v %v, want %v %q", patterns, p, gotOK, gotBy, wantOK, wantBy)
			}
			if gotOK {
				for dir := path.Dir(p); dir != "/"; dir = path.Dir(dir) {
					if !l.MayMatchBelow(dir) {
						t.Fatalf("%q: matches %q, but nothing below %q", patterns, p, dir)
					}
				}
			}
		}
	}
}

func FuzzMatch(f *testing.F) {
	for _, s := range [][2]string{
		{"*.o", "/a/b.o"}, {"!/a/**/b/", "/a/x/b"}, {`\[a]*[^b-c]`, "/[a]xd"}, {"**", "/"}, {"a[", "/a"}, {"é?\xff", "/éa\xff"}, {"/", "/x"}, {"//./**/..", "/a"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, p string) {
		for _, o := range []Options{{}, {IgnoreCase: true}} {
			var l *List
			var err error
			fuzzbound.Check(t, 1<<20+200*int64(len(pattern)), func() { l, err = Compile(From("fuzz", pattern), o) })
			if err != nil {
				if !errors.Is(err, ErrPattern) {
					t.Fatal(err)
				}
				return
			}
			p = path.Clean("/" + strings.ReplaceAll(p, "\x00", ""))
			if p == "/" {
				l.Match(p, true)
				continue
			}
			ok, by := l.Match(p, true)
			if !o.IgnoreCase {
				if want, wantBy := naiveLast([]string{pattern}, p, true); ok != want || text(by) != wantBy {
					t.Fatalf("%q on %q: %v %v, want %v", pattern, p, ok, by, want)
				}
			}
			if ok && !l.MayMatchBelow(path.Dir(p)) {
				t.Fatalf("%q matches %q, but nothing below its directory", pattern, p)
			}
		}
	})
}

// TestMatch_Documentation: the table of patterns in docs/operations.md is true.
func TestMatch_Documentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n| pattern | matches | does not match |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	cell := func(s string) (out []string) {
		for i, part := range strings.Split(s, "`") {
			if i%2 == 1 {
				out = append(out, part)
			}
		}
		return out
	}
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || strings.HasPrefix(line, "| ---") {
			continue
		}
		rows++
		l := compile(t, Options{}, cell(cells[1])...)
		for i, want := range []bool{true, false} {
			for _, p := range cell(cells[2+i]) {
				name, isDir := strings.CutSuffix(p, "/")
				if got, _ := l.Match(name, isDir); got != want {
					t.Errorf("%q on %q: %v", l.Strings(), p, got)
				}
			}
		}
	}
	if rows < 12 {
		t.Errorf("%d rows", rows)
	}
}
