package layout

import (
	"encoding/binary"
	"errors"
	"testing"

	"vaultik/internal/fuzzbound"
)

// What prune may condemn has a name, and nothing else: the name and the host are the key.
func TestObject_Name(t *testing.T) {
	const hex = "aabbccddeeff0011220000000000000000000000000000000000000000000000"
	want := map[Kind]string{KindBlob: "b/" + hex, KindRoot: "r/" + hex, KindBlobList: "l/" + hex,
		KindParity: "x/" + hex, KindCheckpoint: "p/01arz3ndektsv4rrffq69g5fav",
		KindNote: "n/01arz3ndektsv4rrffq69g5fav"}
	marks := map[Mark]string{}
	for key, o := range testKeys() {
		name := o.Name()
		if o.Kind == KindEpochKey {
			want[o.Kind] = "k/1122334455667788/12"
			if o.N == 0 {
				want[o.Kind] = "k/1122334455667788/0"
			}
		}
		if name != want[o.Kind] {
			t.Errorf("%s: name %q, want %q", key, name, want[o.Kind])
		}
		if name == "" {
			continue
		}
		if got, err := ParseName(testHost, name); err != nil || got != o {
			t.Errorf("ParseName(%q) = %+v, %v, want %+v", name, got, err, o)
		}
		if other := marks[o.Mark()]; other != "" {
			t.Errorf("%s and %s have one mark", other, key)
		}
		marks[o.Mark()] = key
	}
	for _, name := range []string{"", "b", "b/", "b/aa/" + hex, "b/" + hex + "/", "m/" + hex,
		"k/1122334455667788", "k/1122334455667788/", "k/1122334455667788/01", "k/" + hex + "/0",
		"k/1122334455667788/0.age", "p/" + hex, "l/" + hex + ".zst", "n/x", "B/" + hex, "/" + hex} {
		if o, err := ParseName(testHost, name); !errors.Is(err, ErrUnknownName) {
			t.Errorf("ParseName(%q) = %+v, %v, want ErrUnknownName", name, o, err)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, o := range testKeys() {
		f.Add(o.Name())
	}
	f.Fuzz(func(t *testing.T, name string) {
		fuzzbound.Check(t, 16<<10, func() {
			o, err := ParseName(testHost, name)
			if err != nil {
				return
			}
			if o.Name() != name {
				t.Errorf("ParseName(%q).Name() = %q", name, o.Name())
			}
			if again, err := Parse(o.Key()); err != nil || again != o {
				t.Errorf("%q names %q, which is %+v, %v", name, o.Key(), again, err)
			}
		})
	})
}

func TestMarks(t *testing.T) {
	var marks []Mark
	in := map[string]bool{}
	for i := range 2000 {
		var sum [32]byte
		binary.BigEndian.PutUint32(sum[:], uint32(i))
		o := Object{Kind: KindBlob, Host: testHost, Sum: sum}
		in[o.Key()] = i%3 == 0
		if i%3 == 0 {
			marks = append(marks, o.Mark(), o.Mark())
		}
	}
	set := NewMarks(marks)
	if set.Len() != 667 {
		t.Errorf("%d marks, want 667", set.Len())
	}
	for key, want := range in {
		if set.Has(key) != want {
			t.Errorf("Has(%s) = %v", key, !want)
		}
	}
	for _, key := range []string{"", "README", StoreJSON, Parity(testHost, [32]byte{}), Trust(1),
		Manifest(testHost, testSet, 1)} {
		if set.Has(key) {
			t.Errorf("Has(%q)", key)
		}
	}
	if (Marks{}).Has(Blob(testHost, [32]byte{})) {
		t.Error("an empty set has something")
	}
}
