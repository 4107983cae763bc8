package page

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vaultik/vault/blob"
)

var holder = &blob.Info{Name: blob.Name{1, 2, 3}, Size: 1 << 40}

// same checks both laws for one encoded page: what it decodes to is want, and
// that encodes to the same bytes, with self resolved and without.
func same(t interface{ Fatalf(string, ...any) }, b []byte, want Page) {
	got, err := Decode(b, nil)
	if err != nil {
		t.Fatalf("decode: %v\n%s", err, b)
	}
	if got.Kind != want.Kind || got.Level != want.Level || !reflect.DeepEqual(got.Entries, want.Entries) ||
		!reflect.DeepEqual(got.Items, want.Items) || !reflect.DeepEqual(got.Refs, want.Refs) {
		t.Fatalf("decoded\n%+v\nwant\n%+v\nfrom %s", got, want, b)
	}
	if again := encode(t, &Encoder{}, got); !bytes.Equal(again, b) {
		t.Fatalf("encoded again\n%s\nwant\n%s", again, b)
	}
	held, err := Decode(b, holder)
	if err != nil {
		t.Fatalf("decode with a holder: %v", err)
	}
	if again := encode(t, &Encoder{Self: holder}, held); !bytes.Equal(again, b) {
		t.Fatalf("encoded again with a holder\n%s\nwant\n%s", again, b)
	}
}

func encode(t interface{ Fatalf(string, ...any) }, enc *Encoder, p *Page) (b []byte) {
	var err error
	switch p.Kind {
	case Leaf:
		b, err = enc.Leaf(nil, p.Entries)
	case Branch:
		b, err = enc.Branch(nil, p.Level, p.Items)
	case List:
		b, err = enc.List(nil, p.Level, p.Refs)
	}
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	return b
}

// plainJSON: each line is one JSON value to others too, and no line holds a control character.
func plainJSON(t *rapid.T, b []byte) {
	for line := range bytes.Lines(b) {
		var v any
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("line is not JSON: %v\n%s", err, line)
		}
		if again, _ := json.Marshal(v); bytes.Contains(again, []byte(`\u00`)) || bytes.Contains(again, []byte(`\ufffd`)) {
			t.Fatalf("line has a control character or lost bytes: %s", line)
		}
	}
}

func TestLaw_Leaf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := genEntries().Draw(t, "entries")
		b, err := EncodeLeaf([]byte("before"), entries)
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		b = bytes.TrimPrefix(b, []byte("before"))
		plainJSON(t, b)
		same(t, b, Page{Kind: Leaf, Entries: entries})
	})
}

func TestLaw_Branch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items, level := genItems().Draw(t, "items"), rapid.IntRange(1, MaxLevel).Draw(t, "level")
		b, err := EncodeBranch(nil, level, items)
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		plainJSON(t, b)
		same(t, b, Page{Kind: Branch, Level: level, Items: items})
	})
}

func TestLaw_List(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		level := rapid.IntRange(0, MaxListLevel).Draw(t, "level")
		infos := genInfos().Draw(t, "infos")
		refs := rapid.SliceOfN(genRef(infos, level == 0), 1, 30).Draw(t, "refs")
		b, err := EncodeList(nil, level, refs)
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		plainJSON(t, b)
		same(t, b, Page{Kind: List, Level: level, Refs: refs})
	})
}

func TestLaw_Xattrs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := genXattrs().Draw(t, "xattrs")
		got, err := DecodeXattrs(EncodeXattrs(nil, list))
		if err != nil || !reflect.DeepEqual(got, list) {
			t.Fatalf("got %v, %v, want %v", got, err, list)
		}
	})
}

func TestLaw_Time(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genTime().Draw(t, "time")
		got, err := ParseTime(want.String())
		if err != nil || got != want {
			t.Fatalf("%q: got %v, %v, want %v", want.String(), got, err, want)
		}
	})
}

// The order is that of a walk: the top, then by components, each by bytes.
func TestLaw_Compare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genPath().Draw(t, "a"), genPath().Draw(t, "b")
		want := slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
		if got := Compare(a, b); got != want {
			t.Fatalf("Compare(%q, %q) = %d, want %d", a, b, got, want)
		}
		if Compare(".", a) != -1 || Compare(a, ".") != 1 || Compare("", a) != -1 || Compare(a, a) != 0 {
			t.Fatalf("the top is not before %q", a)
		}
	})
}

// An encoder that is used again writes what a fresh one writes.
func TestLaw_EncoderKeepsNothing(t *testing.T) {
	var enc Encoder
	rapid.Check(t, func(t *rapid.T) {
		entries := genEntries().Draw(t, "entries")
		got, err := enc.Leaf(nil, entries)
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		if want, _ := EncodeLeaf(nil, entries); !bytes.Equal(got, want) {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}
