package filter

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"
	"testing/iotest"

	"vaultik/internal/fuzzbound"
)

var vars = map[string]string{"HOME": "/home/u", "EMPTY": "", "STAR": "*"}

func lookup(name string) (string, bool) {
	v, ok := vars[name]
	return v, ok
}

func TestRead(t *testing.T) {
	text := "\xef\xbb\xbf# comment\r\n\n  *.go  \n\t# another\n\\#odd\n$HOME/a b \n!${HOME}/x\n$$REC.BIN\n~$$*\n$EMPTY/y$\na$.b\n\\ x\n$STAR.o"
	got, err := Read("f", strings.NewReader(text), lookup)
	if err != nil {
		t.Fatal(err)
	}
	want := []Pattern{{"*.go", "f:3"}, {`\#odd`, "f:5"}, {"/home/u/a b", "f:6"}, {"!/home/u/x", "f:7"}, {"$REC.BIN", "f:8"},
		{"~$*", "f:9"}, {"/y$", "f:10"}, {"a$.b", "f:11"}, {`\ x`, "f:12"}, {"*.o", "f:13"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, p := range []string{"", "\n", "#", "\xef\xbb\xbf"} {
		if got, err := Read("f", strings.NewReader(p), lookup); err != nil || len(got) != 0 {
			t.Errorf("%q: %v %v", p, got, err)
		}
	}
}

func TestRead_UTF16(t *testing.T) {
	for _, text := range []string{"\xff\xfea\x00\n\x00\xe9\x00", "\xfe\xff\x00a\x00\n\x00\xe9"} {
		got, err := Read("f", strings.NewReader(text), lookup)
		if err != nil || len(got) != 2 || got[0].Text != "a" || got[1] != (Pattern{"é", "f:2"}) {
			t.Errorf("%q %v", got, err)
		}
	}
}

func TestRead_Errors(t *testing.T) {
	for line, want := range map[string]string{
		"$DATA/x": "variable DATA is not set", "${}": "a $ must begin", "${a": "a $ must begin", "$*": "a $ must begin", "$1": "a $ must begin",
		"${a b}": "a $ must begin", "$RECYCLE.BIN": "variable RECYCLE is not set; write $$",
	} {
		_, err := Read("f", strings.NewReader("ok\n"+line+"\n"), lookup)
		if !errors.Is(err, ErrPattern) || !strings.HasPrefix(err.Error(), fmt.Sprintf("f:2: pattern %q: ", line)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", line, err)
		}
	}
	_, err := Read("f", iotest.ErrReader(errors.New("broken")), lookup)
	if err == nil || errors.Is(err, ErrPattern) || !strings.Contains(err.Error(), "read patterns from f: broken") {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{"*.o\n# x\n$HOME/a", "\xff\xfea\x00", "${HOME", "\xef\xbb\xbf!x\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var patterns []Pattern
		var err error
		fuzzbound.Check(t, 1<<20+200*int64(len(data)), func() { patterns, err = Read("f", strings.NewReader(string(data)), lookup) })
		if err != nil {
			return
		}
		if l, err := Compile(patterns, Options{}); err == nil {
			l.Match("/a/b", false)
		}
	})
}

// An ignore file costs no more than its size allows, and those of its lines that are
// patterns decide as the oracle says.
func FuzzParseIgnore(f *testing.F) {
	for _, s := range [][2]string{
		{"*.o\n# x\n!a.o\r\n/b/", "a.o"}, {"\xef\xbb\xbf[\n**\n!../x\n$HOME", "$HOME/a"}, {"\xff\xfea\x00\n\x00b\x00", "a"}, {"a/**/b\n!b/\n", "a/x/b/c"},
		{"\\#a\n a \n!\n", "#a"}, {strings.Repeat("a/", 300), "a/a"}, {strings.Repeat("?\n", 300), "\xff"},
	} {
		f.Add([]byte(s[0]), s[1])
	}
	f.Fuzz(func(t *testing.T, data []byte, p string) {
		var l *List
		var size int
		var err error
		fuzzbound.Check(t, 64<<10+500*int64(len(data)), func() { l, size, err = parseIgnore("fuzz", bytes.NewReader(data)) })
		if size != len(data) || err != nil && !errors.Is(err, ErrPattern) {
			t.Fatalf("%d bytes, not %d: %v", size, len(data), err)
		}
		p = strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(p, "\x00", "")), "/")
		if p == "" || len(data) > 1000 || bytes.Count(data, []byte("**")) > 6 || bytes.Contains(data, []byte("\xff\xfe")) || bytes.Contains(data, []byte("\xfe\xff")) {
			return // the oracle is slow, and reads UTF-8 only
		}
		var valid []string
		for line := range strings.SplitSeq(strings.TrimPrefix(string(data), "\xef\xbb\xbf"), "\n") {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' && Check(line) == "" {
				valid = append(valid, line)
			}
		}
		for _, isDir := range []bool{false, true} {
			ok, by := l.MatchEntry(p, isDir)
			if want, wantBy := naiveLast(valid, p, isDir); ok != want || text(by) != wantBy {
				t.Fatalf("%q on %q: %v %v, want %v %q", valid, p, ok, by, want, wantBy)
			}
		}
	})
}

// A tag that is accepted is the name of one file, and comes back.
func FuzzParseTag(f *testing.F) {
	for _, s := range []string{".nobackup", "CACHEDIR.TAG:Signature: 8a477f597d28d172789f06886806bc55", "", "..", "a/b", ":x", "a:", "a\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var tag Tag
		var err error
		fuzzbound.Check(t, 64<<10+20*int64(len(text)), func() { tag, err = ParseTag(text, "fuzz") })
		if err != nil {
			return
		}
		if strings.ContainsAny(tag.Name, "/\x00") || tag.Name == "" {
			t.Fatalf("%q gives the name %q", text, tag.Name)
		}
		if again, err := ParseTag(tag.String(), "fuzz"); err != nil || again != tag {
			t.Fatalf("%q: %+v, then %+v, %v", text, tag, again, err)
		}
	})
}
