package snapshot

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"vaultik/vault/layout"
)

// testName names a blob.
func testName(n uint32) string {
	var sum [32]byte
	binary.BigEndian.PutUint32(sum[:], n)
	return layout.Object{Kind: layout.KindBlob, Sum: sum}.Name()
}

func testNames(n int) (out []string) {
	for i := range n {
		out = append(out, testName(uint32(i)))
	}
	return out
}

func testLists(n int) (out []ListRef) {
	for i := range n {
		out = append(out, ListRef{Sum{byte(i), byte(i >> 8), 1}, 9, MaxCondemnedNames})
	}
	return out
}

// condemned stores a condemned list.
func (w *world) condemned(names []string) ListRef {
	w.t.Helper()
	b, err := EncodeCondemned(names)
	w.must(err)
	sum := sumOf(b)
	w.m.objects[layout.CondemnedList(w.host, sum)] = b
	return ListRef{sum, int64(len(b)), int64(len(names))}
}

func TestCondemned_refuses(t *testing.T) {
	b, err := EncodeCondemned(testNames(2))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := decompress(b, MaxCondemnedList)
	if err != nil {
		t.Fatal(err)
	}
	none := func(layout.Object) error { return nil }
	l := strings.SplitAfter(string(plain), "\n")
	for name, text := range map[string]string{
		"empty": "", "header only": l[0], "no header": l[1] + l[2], "open end": strings.TrimSuffix(string(plain), "\n"),
		"twice": string(plain) + l[2], "unsorted": l[0] + l[2] + l[1], "blank line": string(plain) + "\n",
		"spaces": l[0] + " " + l[1], "no quotes": l[0] + strings.Trim(l[1], "\"\n") + "\n",
		"upper case": l[0] + strings.ToUpper(l[1]), "a key": l[0] + "\"" + layout.Blob(layout.HostID{1}, [32]byte{}) + "\"\n",
		"a manifest": l[0] + "\"m/0102030405060708/1\"\n", "one quote": l[0] + "\"\n",
	} {
		if err := DecodeCondemned(compress([]byte(text)), layout.HostID{1}, none); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
	newer := strings.Replace(string(plain), `"required":[]`, `"required":["x"]`, 1)
	if err := DecodeCondemned(compress([]byte(newer)), layout.HostID{1}, none); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("required: %v", err)
	}
	broken := errors.New("broken")
	if err := DecodeCondemned(b, layout.HostID{1}, func(layout.Object) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("an error of the caller: %v", err)
	}
	for name, names := range map[string][]string{"none": nil, "twice": {testName(1), testName(1)},
		"unsorted": {testName(2), testName(1)}, "unknown": {"x"}, "too many": testNames(MaxCondemnedNames + 1)} {
		if _, err := EncodeCondemned(names); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

// The largest gc object and the largest list can be read again, and MaxCondemnedNames names of
// the longest kind fit.
func TestCondemned_largest(t *testing.T) {
	b, err := EncodeCondemned(testNames(MaxCondemnedNames))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := DecodeCondemned(b, layout.HostID{1}, func(layout.Object) error { n++; return nil }); err != nil || n != MaxCondemnedNames {
		t.Errorf("%d names, %v", n, err)
	}
}

// What a gc object condemns, itself and in lists, is heeded whole or not at all.
func TestStore_Condemned(t *testing.T) {
	w := newWorld(t)
	names := testNames(9000)
	ref := w.condemned(names[3000:])
	key := layout.CondemnedList(w.host, ref.Name)
	w.gc(GC{Seq: 1})
	w.gc(GC{Seq: 2, Prev: Sum{1}, Condemned: []Condemned{
		{First: 1, Names: names[:1000], Lists: []ListRef{ref}},
		{First: 1, Deleted: 2, Names: names[1000:3000]},
	}})
	read := func() (layout.Marks, error) {
		s := w.open()
		g, err := s.GC(t.Context(), w.host)
		w.must(err)
		return s.Condemned(t.Context(), g)
	}
	marks, err := read()
	if err != nil || marks.Len() != len(names) {
		t.Fatalf("%d of %d, %v", marks.Len(), len(names), err)
	}
	for i, name := range append(slices.Clone(names), testName(9001)) {
		o, err := layout.ParseName(w.host, name)
		w.must(err)
		if marks.Has(o.Key()) != (i < len(names)) {
			t.Errorf("%s: condemned %v", name, marks.Has(o.Key()))
		}
	}
	var deleted []string
	s := w.open()
	g, err := s.GC(t.Context(), w.host)
	w.must(err)
	w.must(s.EachCondemned(t.Context(), g, func(c *Condemned, o layout.Object) error {
		if c.Deleted == 2 && o.Host == w.host {
			deleted = append(deleted, o.Name())
		}
		return nil
	}))
	if !slices.Equal(deleted, names[1000:3000]) {
		t.Errorf("%d deleted, want 2000", len(deleted))
	}
	chain, err := s.GCChain(t.Context(), w.host)
	if want := []string{layout.GC(w.host, 2), key}; err != nil || !slices.Equal(chain, want) {
		t.Errorf("GCChain = %v, %v, want %v", chain, err, want)
	}
	if m, err := s.Condemned(t.Context(), nil); err != nil || m.Len() != 0 {
		t.Errorf("without a gc object: %d, %v", m.Len(), err)
	}
	good := w.m.objects[key]
	other, err := EncodeCondemned(names[:6000])
	w.must(err)
	for name, b := range map[string][]byte{"cut": good[:len(good)-1], "another": other, "gone": nil} {
		want := ErrDamaged
		if w.m.objects[key] = b; b == nil {
			want = fs.ErrNotExist
			delete(w.m.objects, key)
		}
		if _, err := read(); !errors.Is(err, want) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if _, err := w.open().GCChain(t.Context(), w.host); !errors.Is(err, want) {
			t.Errorf("%s: GCChain: %v, want %v", name, err, want)
		}
	}
	// One of another host is none of this.
	delete(w.m.objects, key)
	w.m.objects[layout.CondemnedList(w.trust.Hosts[1].Host, ref.Name)] = good
	if _, err := read(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of another host: %v", err)
	}
	// All that is wrong is told, each by itself.
	second := w.condemned(testNames(3))
	delete(w.m.objects, layout.CondemnedList(w.host, second.Name))
	w.gc(GC{Seq: 2, Prev: Sum{1}, Condemned: []Condemned{{First: 1, Deleted: 2, Names: []string{testName(5)},
		Lists: []ListRef{ref, second, w.condemned(testNames(4))}}}})
	n := 0
	if bad := w.open().CheckCondemned(t.Context(), w.host, func(layout.Object) { n++ }); len(bad) != 2 || n != 5 ||
		bad[0].Key != key || bad[1].Key != layout.CondemnedList(w.host, second.Name) {
		t.Errorf("CheckCondemned: %d objects, %v", n, bad)
	}
	w.m.objects[layout.GC(w.host, 2)][70] ^= 1
	s = w.open()
	if bad := s.CheckCondemned(t.Context(), w.host, nil); len(bad) != 1 || bad[0].Key != layout.GC(w.host, 2) {
		t.Errorf("CheckCondemned of a damaged gc object: %v", bad)
	}
	s.RequireGC(w.host, GCSeen{2, Sum{7}})
	if bad := s.CheckCondemned(t.Context(), w.host, nil); len(bad) != 0 {
		t.Errorf("CheckCondemned tells what Manifests has told: %v", bad)
	}
	// One that a signed gc object names, and that says another number of names.
	w.m.objects[key] = good
	ref.Count--
	w.gc(GC{Seq: 3, Prev: Sum{1}, Condemned: []Condemned{{First: 1, Lists: []ListRef{ref}}}})
	if _, err := read(); !errors.Is(err, ErrDamaged) {
		t.Errorf("another count: %v", err)
	}
}
