package bench

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vaultik/internal/treecmp"
)

func TestMakeCorpus(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, want := range map[string]int64{
		"tree": treeBytes, "big": 2 * bigFile, "img": imgBytes, "base64": 2 * base64File, "mail": mailBytes,
	} {
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

// What is made of random numbers is the same on each machine: figures can be compared.
func TestMakeCorpus_same(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"big", "base64", "mail"} {
		a, b := filepath.Join(t.TempDir(), name), filepath.Join(t.TempDir(), name)
		for _, dir := range []string{a, b} {
			if _, err := MakeCorpus(name, dir, 0.001); err != nil {
				t.Fatal(err)
			}
		}
		r, err := treecmp.Compare(t.Context(), a, b, treecmp.Options{Ignore: []treecmp.Kind{treecmp.Mtime}})
		if err != nil || len(r.Differences) > 0 || r.Entries < 3 {
			t.Errorf("%s, made twice: %d entries, %q, %v", name, r.Entries, r.Differences, err)
		}
	}
}

func TestMakeCorpus_base64(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "base64")
	if _, err := MakeCorpus("base64", dir, 0.001); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"whole": base64File / 1000, "lines": 76} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if line, _, _ := bytes.Cut(text, []byte("\n")); len(line) != want {
			t.Errorf("%s: a line of %d, want %d", name, len(line), want)
		}
		text = bytes.ReplaceAll(text, []byte("\n"), nil)
		if _, err := base64.StdEncoding.Decode(text, text[:len(text)&^3]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A mail reader must understand the messages, and most of them be attached files.
func TestMakeCorpus_mail(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mail")
	if _, err := MakeCorpus("mail", dir, 0.005); err != nil {
		t.Fatal(err)
	}
	messages, err := filepath.Glob(filepath.Join(dir, ".folder*", "cur", "*:2,S"))
	if err != nil || len(messages) < 20 {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	var total, attached int
	for _, path := range messages {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		total += len(text)
		n, err := readMessage(text)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
		attached += n
	}
	if attached < total/2 || attached > total*3/4 {
		t.Errorf("%d of %d bytes are attached files before base64, want half to three quarters", attached, total)
	}
}

// readMessage returns how many bytes the files attached to a message have.
func readMessage(text []byte) (attached int, err error) {
	m, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	if _, err := m.Header.AddressList("From"); err != nil {
		return 0, err
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return 0, err
	}
	for parts := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return attached, nil
		}
		if err != nil {
			return 0, err
		}
		var r io.Reader = p
		if p.Header.Get("Content-Transfer-Encoding") == "base64" {
			r = base64.NewDecoder(base64.StdEncoding, p)
		}
		n, err := io.Copy(io.Discard, r)
		if err != nil {
			return 0, err
		}
		if r != p {
			attached += int(n)
		}
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
