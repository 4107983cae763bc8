package page

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"vaultik/internal/fuzzbound"
)

// seeds are pages and near misses that every run of the fuzz targets starts from.
func seeds(t testing.TB, name string) []string {
	files, err := filepath.Glob(filepath.Join("testdata", "fuzz", name, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no seeds for %s: %v", name, err)
	}
	return files
}

func TestFuzz_HasSeeds(t *testing.T) {
	for _, name := range []string{"FuzzDecode", "FuzzXattrs", "FuzzTime"} {
		for _, file := range seeds(t, name) {
			b, err := os.ReadFile(file)
			if err != nil || !strings.HasPrefix(string(b), "go test fuzz v1\n") {
				t.Errorf("seed %s: %v", file, err)
			}
		}
	}
}

// Whatever decodes can be encoded, and what that gives decodes to the same and
// encodes to the same bytes. All else is an error of this package.
func FuzzDecode(f *testing.F) {
	for _, name := range []string{"leaf", "branch", "list"} {
		b, err := os.ReadFile(filepath.Join("testdata", name+".ndjson"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p *Page
		var err error
		// Room for as many items as there are lines, at most 1,024, and each text once or twice.
		fuzzbound.Check(t, 64<<10+int64(bytes.Count(b, []byte{'\n'}))*int64(unsafe.Sizeof(Entry{}))+100*int64(len(b)), func() { p, err = Decode(b, nil) })
		if err != nil {
			if p != nil || !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewerFormat) && !errors.Is(err, ErrTooLarge) {
				t.Fatalf("page %v, error %v", p, err)
			}
			return
		}
		once := encode(t, &Encoder{}, p)
		q, err := Decode(once, nil)
		if err != nil {
			t.Fatalf("decode what was encoded: %v\n%s", err, once)
		}
		if !reflect.DeepEqual(p.Entries, q.Entries) || !reflect.DeepEqual(p.Items, q.Items) || !reflect.DeepEqual(p.Refs, q.Refs) {
			t.Fatalf("decoded\n%+v\nthen\n%+v", p, q)
		}
		if twice := encode(t, &Encoder{}, q); !bytes.Equal(once, twice) {
			t.Fatalf("encoded\n%s\nthen\n%s", once, twice)
		}
	})
}

func FuzzXattrs(f *testing.F) {
	f.Add([]byte(`[["user.a","AAAA"],["","","dXNlci7/"]]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var list []Xattr
		var err error
		fuzzbound.Check(t, 64<<10+40*int64(len(b)), func() { list, err = DecodeXattrs(b) })
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		again, err := DecodeXattrs(EncodeXattrs(nil, list))
		if err != nil || !reflect.DeepEqual(again, list) {
			t.Fatalf("decoded %v, then %v, %v", list, again, err)
		}
	})
}

func FuzzTime(f *testing.F) {
	f.Add("-9223372036854775808.000000000")
	f.Fuzz(func(t *testing.T, s string) {
		if m, err := ParseTime(s); err == nil && m.String() != s {
			t.Fatalf("parsed %q, printed %q", s, m)
		}
	})
}
