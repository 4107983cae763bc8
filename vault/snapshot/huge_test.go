package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"vaultik/internal/fuzzbound"
	"vaultik/internal/testsize"
	"vaultik/vault/keys"
)

// Documents that are well signed, small in the store and large in memory: each is
// refused before it takes more than a few MiB.
func TestDecode_hugeFromLittle(t *testing.T) {
	signer := keys.NewSigner()
	many := func(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s, n), ",") }
	with := func(old, huge string) string { return strings.Replace(seedMan, old, huge, 1) }
	for name, line := range map[string]string{
		"tags":        with(`"tags":["0102030405060708"]`, `"tags":[`+many(`"0102030405060708",`, 1<<16)+`]`),
		"empty keys":  with(`"keys":[`, `"keys":[`+many(`{},`, 1<<19)+`,`),
		"one blob":    with(`"blobs":[`, `"blobs":[`+many(`["00000000000000000000000000000000000000000000000000000000000000fd",7],`, 1<<15)+`,`),
		"unknown":     with(`{"type"`, `{"what":[`+many(`{"a":[]},`, 1<<18)+`],"type"`),
		"a long text": with(`{"type"`, `{"what":"`+strings.Repeat("x", 3<<20)+`","type"`),
	} {
		object := forge(t, signer, manifestNamespace, line)
		fuzzbound.Check(t, 4<<20, func() {
			if m, err := DecodeManifest(object, signer.Public()); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v, %v", name, m, err)
			}
		})
		if len(object) > 64<<10 {
			t.Errorf("%s: the object has %d bytes, and shows nothing", name, len(object))
		}
		// Where the store does send as much, tiny values are still refused.
		large := skippable(object, len(line)/maxRatio)
		fuzzbound.Check(t, int64(16*len(line))+8<<20, func() {
			if m, err := DecodeManifest(large, signer.Public()); name != "a long text" && !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v, %v", name, m, err)
			}
		})
	}
}

// What can be written can be read, however well it shrinks.
func TestCompressNames(t *testing.T) {
	for _, n := range []int{0, 1, 64 << 10, 64<<10 + 17, 1 << 20, 9 << 20} {
		for _, b := range [][]byte{make([]byte, n), []byte(strings.Repeat("ab", n/2))} {
			if out, err := decompressNames(compressNames(b), MaxManifest); err != nil || string(out) != string(b) {
				t.Errorf("%d bytes: %d, %v", len(b), len(out), err)
			}
		}
	}
}

func TestManifest_limits(t *testing.T) {
	w := newWorld(t)
	m := w.manifest(w.set, testBlobs(MaxListed, 3))
	m.Lists, m.Blobs = nil, testBlobs(MaxListed, 3)
	m.Tags = make([]TagID, MaxTags)
	if _, err := DecodeManifest(w.encoded(m), w.signer.Public()); err != nil {
		t.Errorf("as much as is allowed: %v", err)
	}
	for name, change := range map[string]func(m *Manifest){
		"tags": func(m *Manifest) { m.Tags = make([]TagID, MaxTags+1) },
		"blobs": func(m *Manifest) {
			m.Blobs = testBlobs(MaxListed+1, 3)
			m.Count, m.Bytes = MaxListed+1, TotalSize(m.Blobs)
		},
	} {
		more := *m
		change(&more)
		if _, err := EncodeManifest(&more, w.signer); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		more.Header = newHeader(manifestType)
		line, err := json.Marshal(&more)
		w.must(err)
		if _, err := parseManifest(line); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func (w *world) encoded(m *Manifest) []byte {
	w.t.Helper()
	b, err := EncodeManifest(m, w.signer)
	w.must(err)
	return b
}

// A store full of bombs is one problem, with the name of the first; together they
// take little, and those beside them are read.
func TestStore_Manifests_bombs(t *testing.T) {
	w := newWorld(t)
	good := w.snapshot(w.set)
	bomb := compress(make([]byte, MaxManifest))
	for i := range 200 {
		w.m.objects[fmt.Sprintf("%s%010d.json.zst", strings.TrimSuffix(good.Key, "0000000001.json.zst"), i+2)] = bomb
	}
	s := w.open()
	fuzzbound.Check(t, 200*4<<20, func() { // never the 64 MiB that are inside each
		loaded, problems, err := s.Manifests(t.Context(), Filter{})
		if err != nil || len(loaded) != 1 || len(problems) != 1 || !errors.Is(problems[0].Err, ErrDamaged) ||
			problems[0].Seq != 2 || !strings.HasSuffix(problems[0].Err.Error(), "; 199 more of this kind") {
			t.Errorf("%d manifests, %v, %v", len(loaded), problems, err)
		}
	})
}

// However much there is to tell, a root is made, and can be read.
func TestRoot_neverTooLong(t *testing.T) {
	testsize.Long(t)
	t.Parallel()
	w := newWorld(t)
	r := w.root(1)
	for i := range 200 {
		r.Errors = append(r.Errors, RootError{Path: Text(fmt.Sprint(i, strings.Repeat("/error", 10<<10))), Reason: "no"})
		r.Paths = append(r.Paths, Text(fmt.Sprint("/", i, strings.Repeat("/path", 12<<10))))
		r.Excludes = append(r.Excludes, Text(fmt.Sprint(i, strings.Repeat("*", 1<<10))))
	}
	sealed, _, err := SealRoot(r, w.recipients, w.epoch)
	w.must(err)
	got, err := OpenRoot(sealed, w.ids())
	w.must(err)
	if len(got.Paths) == 0 || len(got.Paths) == len(r.Paths) || len(got.Excludes) != len(r.Excludes) || len(r.Errors) != 201 {
		t.Errorf("%d errors, %d paths, %d excludes", len(got.Errors), len(got.Paths), len(got.Excludes))
	}
}

// TestRoot_cut: patterns that do not fit are left out, and the root says so.
func TestRoot_cut(t *testing.T) {
	testsize.Long(t)
	t.Parallel()
	w := newWorld(t)
	r := w.root(1)
	r.Filters = &Filters{ExcludesLast: 3, IExcludesLast: 1, IExcludes: []Text{"*.ISO"}, IgnoreFile: "x"}
	for i := range 9000 {
		r.Excludes = append(r.Excludes, Text(fmt.Sprint(i, strings.Repeat("*", 1<<10))))
	}
	b, err := encodeRoot(r)
	if err != nil {
		t.Fatal(err)
	}
	line, err := decompressNames(b, MaxRoot)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseRoot(line)
	if err != nil {
		t.Fatal(err)
	}
	if f := got.Filters; len(got.Excludes) == len(r.Excludes) || !f.Cut || f.ExcludesLast != 0 || len(f.IExcludes) != 1 || f.IgnoreFile != "x" || r.Filters.Cut {
		t.Errorf("%d excludes, %+v", len(got.Excludes), f)
	}
	r.Filters.ExcludesLast = len(r.Excludes) + 1
	if err := r.check(); err == nil {
		t.Error("more patterns than there are")
	}
}
