package filter

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"vaultik/internal/testsize"
	"vaultik/vault/fs"
	"vaultik/vault/page"
)

// TestRules_Oracle: a walk of a random tree by random rules saves what a slow
// program says that is written down from the manual, entry by entry, and shares no
// code with this package; and each entry that is left out has been explained.
func TestRules_Oracle(t *testing.T) {
	t.Parallel()
	kept, left := 0, 0
	for seed := range testsize.Seeds(t, 100) {
		c := newCase(t, seed)
		got, told := c.walk(seed%2 == 0)
		var want []string
		for _, p := range c.order {
			if c.saved(p) {
				want = append(want, p)
			} else if dir, _ := c.sealed(p); c.saved(filepath.Dir(p)) && !told[p] && !told[dir] {
				t.Errorf("%q was left out without a reason", p)
			}
		}
		kept, left = kept+len(want), left+len(c.order)-len(want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%s\nroots %q own %q\n got %q\nwant %q\nof   %q", c.words(), c.roots, c.own, diff(got, want), diff(want, got), c.order)
		}
	}
	if kept < 100 || left < 100 {
		t.Errorf("%d entries kept, %d left out: the test says little", kept, left)
	}
}

func diff(a, b []string) (out []string) {
	for _, s := range a {
		if !slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}

// oracleCase is a tree with rules. Paths are relative to top, "." itself.
type oracleCase struct {
	*rand.Rand
	t     *testing.T
	seed  uint64
	top   string
	order []string // all paths
	isDir map[string]bool
	size  map[string]int
	text  map[string]string // of ignore files and tags
	kept  map[string]bool   // what was judged already

	before, ibefore, after, iafter []string
	tags                           []string // NAME[:HEADER]
	larger                         int      // -1: none
	ignore                         bool
	roots                          []string
	own                            string
}

func newCase(t *testing.T, seed uint64) *oracleCase {
	c := &oracleCase{Rand: rand.New(rand.NewPCG(seed, 0x6f72)), t: t, seed: seed, top: t.TempDir(),
		isDir: map[string]bool{}, size: map[string]int{}, text: map[string]string{}, kept: map[string]bool{}, larger: -1, ignore: true}
	c.dir(".", 3)
	c.before, c.ibefore = c.patterns(c.top), c.patterns(c.top)
	c.after, c.iafter = c.patterns(c.top), c.patterns(c.top)
	for _, tag := range []string{"CACHEDIR.TAG:Signature: 8a477f597d28d172789f06886806bc55", "tag", "tag:xy"} {
		if c.IntN(2) == 0 {
			c.tags = append(c.tags, tag)
		}
	}
	if c.IntN(3) == 0 {
		c.larger = c.IntN(12)
	}
	c.ignore = c.IntN(6) > 0
	c.roots = []string{"."}
	for c.IntN(2) == 0 {
		p := c.order[c.IntN(len(c.order))]
		if !c.isDir[p] && c.IntN(2) == 0 {
			p = filepath.Dir(p)
		}
		c.roots = append(c.roots, p)
	}
	if c.IntN(3) == 0 {
		c.roots = c.roots[1:] // parts only
	}
	if len(c.roots) == 0 {
		c.roots = []string{c.order[c.IntN(len(c.order))]}
	}
	if c.IntN(4) == 0 {
		c.own = c.order[c.IntN(len(c.order))]
	}
	return c
}

func (c *oracleCase) of(list ...string) string { return list[c.IntN(len(list))] }

// dir makes a directory with things in it.
func (c *oracleCase) dir(path string, depth int) {
	c.order, c.isDir[path] = append(c.order, path), true
	c.check(os.MkdirAll(filepath.Join(c.top, path), 0o755))
	names := []string{"a", "b", "ab", "B", "x.o", "é", "a b", "[", "!c", "$d"}
	for _, name := range names {
		child := filepath.Join(path, name)
		switch c.IntN(9) {
		case 0, 1:
			if depth > 0 {
				c.dir(child, depth-1)
			}
		case 2, 3, 4:
			c.file(child, strings.Repeat("z", c.IntN(16)))
		}
	}
	if c.IntN(5) == 0 {
		c.file(filepath.Join(path, "CACHEDIR.TAG"), c.of("", "Signature: 8a477f597d28d172789f06886806bc55\n", "Signature: 8a"))
	}
	switch c.IntN(10) {
	case 0:
		c.file(filepath.Join(path, "tag"), c.of("", "x", "xy", "xyz"))
	case 1:
		if depth > 0 {
			c.dir(filepath.Join(path, "tag"), 0)
		}
	}
	switch c.IntN(6) {
	case 0:
		if depth > 0 {
			c.dir(filepath.Join(path, ".vaultikignore"), 0)
		}
	case 1, 2, 3:
		lines := append([]string{"# words", ""}, c.patterns("")...)
		c.file(filepath.Join(path, ".vaultikignore"), strings.Join(lines, c.of("\n", "\r\n")))
	}
}

func (c *oracleCase) file(path, text string) {
	c.order, c.size[path], c.text[path] = append(c.order, path), len(text), text
	c.check(os.WriteFile(filepath.Join(c.top, path), []byte(text), 0o600))
}

func (c *oracleCase) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// patterns makes some; anchored ones begin with top.
func (c *oracleCase) patterns(top string) (out []string) {
	for range c.IntN(4) {
		var parts []string
		for range 1 + c.IntN(2) {
			parts = append(parts, c.of("a", "b", "A", "ab", "*", "**", "a*", "*b", "?", "[ab]", "[^a-b]", `\a`, "é", "É", "*.o", `\[`, `\!c`, "$d", "tag", ".vaultikignore"))
		}
		p := strings.Join(parts, "/") + c.of("", "", "/")
		if c.IntN(3) == 0 {
			p = top + "/" + p
		}
		out = append(out, c.of("", "", "!")+p)
	}
	return out
}

func (c *oracleCase) words() string {
	return fmt.Sprintf("before %q %q, after %q %q, tags %q, larger %d, ignore %v (%q)", c.before, c.ibefore, c.after, c.iafter, c.tags, c.larger, c.ignore, c.text)
}

// walk is what the package saves, and for which paths it gave a reason.
// Without types the walk does not know what an entry is before it looks.
func (c *oracleCase) walk(types bool) (saved []string, told map[string]bool) {
	r := &Rules{Ignore: c.ignore}
	r.Before = []*List{compile(c.t, Options{}, c.before...), compile(c.t, Options{IgnoreCase: true}, c.ibefore...)}
	r.After = []*List{compile(c.t, Options{}, c.after...), compile(c.t, Options{IgnoreCase: true}, c.iafter...)}
	for _, text := range c.tags {
		tag, err := ParseTag(text, "test")
		c.check(err)
		r.Tags = append(r.Tags, tag)
	}
	if c.larger >= 0 {
		r.Larger = Limit{int64(c.larger), "test"}
	}
	var roots []string
	for _, p := range c.roots {
		roots = append(roots, filepath.Join(c.top, p))
		r.Keep(filepath.Join(c.top, p))
	}
	if c.own != "" {
		r.LeaveOut(filepath.Join(c.top, c.own), "test")
	}
	told = map[string]bool{}
	rel := func(path string) string {
		p, err := filepath.Rel(c.top, "/"+path)
		c.check(err)
		return p
	}
	touched, known := map[string]bool{}, map[string]bool{}
	w := r.Walk(func(path string, d fs.Decision, why Reason) {
		if touched[path] && known[path] && why.By != nil && d == fs.Skip {
			c.t.Errorf("%q was looked at before a pattern left it out", path)
		}
		if why.String() == "" {
			c.t.Errorf("an empty reason for %q", path)
		}
		if d != fs.Keep {
			told[rel(path)] = true
		}
	})
	opt := fs.WalkOptions{Choose: typed{w, types, known}, Touch: func(path string) { touched[path] = true }}
	c.check(fs.Walk(c.t.Context(), roots, opt, func(it fs.WalkItem) error {
		switch {
		case it.Err != nil && strings.HasSuffix(it.Err.Error(), "it is not a regular file"):
		case it.Err != nil:
			return it.Err
		case !it.Implied:
			saved = append(saved, rel(it.Path))
		}
		return nil
	}))
	return saved, told
}

// typed notes of which entries the directory says what they are, or has none say it.
type typed struct {
	*Walk
	types bool
	known map[string]bool
}

func (t typed) Wants(path string, kind page.Type) bool {
	if !t.types {
		kind = ""
	}
	t.known[path] = kind != ""
	return t.Walk.Wants(path, kind)
}

// saved is what the manual says of one entry: all directories on the way to it are
// entered, and it is not left out itself.
func (c *oracleCase) saved(path string) bool {
	inside := false
	for _, p := range append(parents(path), path) {
		inside = inside || slices.Contains(c.roots, p)
		if inside && !c.keeps(p) {
			return false
		}
	}
	return inside
}

// parents are the directories above, outermost first.
func parents(path string) (out []string) {
	for path != "." {
		path = filepath.Dir(path)
		out = append([]string{path}, out...)
	}
	return out
}

// above are the directories above path that have a say: from the innermost root
// among them on.
func (c *oracleCase) above(path string) []string {
	dirs := parents(path)
	for i := len(dirs) - 1; i >= 0; i-- {
		if slices.Contains(c.roots, dirs[i]) {
			return dirs[i:]
		}
	}
	return nil
}

// sealed is the outermost directory with a tag that has a say, and the tag's name.
func (c *oracleCase) sealed(path string) (dir, tag string) {
	for _, dir := range c.above(path) {
		for _, t := range c.tags {
			name, header, _ := strings.Cut(t, ":")
			p := filepath.Join(dir, name)
			text, isFile := c.text[p]
			if (isFile || c.isDir[p]) && header == "" || isFile && strings.HasPrefix(text, header) {
				return dir, name
			}
		}
	}
	return "", ""
}

func (c *oracleCase) keeps(path string) bool {
	kept, known := c.kept[path]
	if !known {
		kept = c.judge(path)
		c.kept[path] = kept
	}
	return kept
}

func (c *oracleCase) judge(path string) bool {
	if path == c.own {
		return false
	}
	for _, r := range c.roots {
		if r == path || slices.Contains(parents(r), path) {
			return true
		}
	}
	if dir, tag := c.sealed(path); dir != "" && path != filepath.Join(dir, tag) {
		return false
	}
	abs := filepath.Join(c.top, path)
	out := false
	ask := func(patterns []string, of string, fold bool) {
		for _, p := range patterns {
			text, negated := strings.CutPrefix(p, "!")
			name := of
			if fold {
				text, name = strings.ToLower(text), strings.ToLower(of)
			}
			if matches(text, strings.Split(strings.TrimPrefix(name, "/"), "/"), c.isDir[path]) {
				out = !negated
			}
		}
	}
	ask(c.before, abs, false)
	ask(c.ibefore, abs, true)
	if c.ignore && (filepath.Base(path) != ".vaultikignore" || c.isDir[path]) {
		for _, dir := range c.above(path) {
			if d, _ := c.sealed(filepath.Join(dir, "x")); d != "" {
				continue // nobody reads it
			}
			var lines []string
			for _, line := range strings.Split(c.text[filepath.Join(dir, ".vaultikignore")], "\n") {
				if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
					lines = append(lines, line)
				}
			}
			rel, err := filepath.Rel(dir, path)
			c.check(err)
			ask(lines, rel, false)
		}
	}
	ask(c.after, abs, false)
	ask(c.iafter, abs, true)
	obeyed := c.ignore && filepath.Base(path) == ".vaultikignore"
	if !c.isDir[path] && !obeyed && c.larger >= 0 && c.size[path] > c.larger {
		out = true
	}
	return !out
}

// matches: the pattern fits the path or a directory above it, from its beginning
// with a leading slash, else from anywhere.
func matches(pattern string, parts []string, isDir bool) bool {
	anchored, dirOnly := strings.HasPrefix(pattern, "/"), strings.HasSuffix(pattern, "/")
	words := strings.Split(strings.Trim(pattern, "/"), "/")
	for start := 0; start < len(parts); start++ {
		for end := start; end <= len(parts); end++ {
			switch {
			case end == 0 && !anchored, end == len(parts) && dirOnly && !isDir:
			case fitsAll(words, parts[start:end]):
				return true
			}
		}
		if anchored {
			break
		}
	}
	return false
}

func fitsAll(words, parts []string) bool {
	switch {
	case len(words) == 0:
		return len(parts) == 0
	case words[0] == "**":
		return fitsAll(words[1:], parts) || len(parts) > 0 && fitsAll(words, parts[1:])
	}
	return len(parts) > 0 && fitsOne(words[0], parts[0]) && fitsAll(words[1:], parts[1:])
}

// fitsOne compares one name, character by character.
func fitsOne(word, name string) bool {
	if word == "" {
		return name == ""
	}
	char, n := utf8.DecodeRuneInString(name)
	switch word[0] {
	case '*':
		return fitsOne(word[1:], name) || name != "" && fitsOne(word, name[n:])
	case '?':
		return name != "" && fitsOne(word[1:], name[n:])
	case '[':
		class, rest, _ := strings.Cut(word[1:], "]")
		class, not := strings.CutPrefix(class, "^")
		in := strings.ContainsRune(class, char)
		if from, to, ok := strings.Cut(class, "-"); ok {
			in = char >= rune(from[0]) && char <= rune(to[0])
		}
		return name != "" && in != not && fitsOne(rest, name[n:])
	case '\\':
		word = word[1:]
	}
	want, m := utf8.DecodeRuneInString(word)
	return name != "" && char == want && fitsOne(word[m:], name[n:])
}
