package bench

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMakeCorpus(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, want := range map[string]int64{"tree": treeBytes, "big": 2 * bigFile, "img": imgBytes} {
		const scale = 0.001
		corpus := filepath.Join(dir, name)
		what, err := MakeCorpus(name, corpus, scale)
		if err != nil {
			t.Fatal(err)
		}
		size, err := warm(corpus)
		if err != nil {
			t.Fatal(err)
		}
		// The last file may be a large one.
		if least := int64(float64(want) * scale * 0.9); size < least || size > 20*least {
			t.Errorf("%s has %d bytes, want about %d", name, size, least)
		}
		again, err := MakeCorpus(name, corpus, scale)
		if err != nil || again != what {
			t.Errorf("%s, made again: %q, %v; want %q", name, again, err, what)
		}
	}
	if _, err := MakeCorpus("nothing", filepath.Join(dir, "nothing"), 1); err == nil {
		t.Error("an unknown corpus is no error")
	}
}

func TestMeasure_tar(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	corpus := filepath.Join(dir, "corpus")
	if _, err := MakeCorpus("big", corpus, 0.001); err != nil {
		t.Fatal(err)
	}
	tools, missing, err := Tools(t.Context(), "vaultik", []string{"tar"})
	if err != nil || len(missing) > 0 {
		t.Fatal(missing, err)
	}
	r, err := Measure(t.Context(), tools, "big", corpus, dir, 2, func(string, int) {})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(r.Samples["tar"]); n != 2 {
		t.Fatalf("%d samples, want 2", n)
	}
	for _, s := range r.Samples["tar"] {
		if s.First == nil || s.Restore == nil || s.Again != nil || s.Store < 2<<20 || s.First.Peak < 1<<20 || s.First.Wall <= 0 {
			t.Errorf("odd sample: %+v", s)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "tar-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestPipeline_failure(t *testing.T) {
	t.Parallel()
	for _, p := range []pipeline{
		{commands: [][]string{{"false"}}},
		{commands: [][]string{{"false"}, {"cat"}}},
		{commands: [][]string{{"true"}, {"no such program"}}},
		{commands: [][]string{{"no such program"}, {"cat"}}},
	} {
		if _, err := p.run(t.Context(), nil); err == nil {
			t.Errorf("%q: no error", p.commands)
		}
	}
}

func TestWriteTable(t *testing.T) {
	t.Parallel()
	sample := func(seconds int) Sample {
		u := &Usage{Wall: time.Duration(seconds) * time.Second, CPU: time.Second, Peak: 3 << 20}
		return Sample{First: u, Restore: u, Store: int64(seconds) << 20}
	}
	var b strings.Builder
	err := WriteTable(&b, []*Tool{{Name: "a"}, {Name: "b"}}, []Results{{
		Corpus:  "tree",
		Samples: map[string][]Sample{"a": {sample(9), sample(1), sample(5)}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := `| corpus | step | a | b |
| --- | --- | ---: | ---: |
| tree | first: s (CPU s, MiB) | 5.00 (1.0, 3) | - |
| tree | store: MiB | 5 | 0 |
| tree | unchanged | - | - |
| tree | restore | 5.00 (1.0, 3) | - |
`
	if b.String() != want {
		t.Errorf("table:\n%s\nwant:\n%s", b.String(), want)
	}
}
