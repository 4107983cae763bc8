package layout

import (
	"errors"
	pathpkg "path"
	"slices"
	"strings"
	"testing"
	"time"

	"vaultik/internal/fuzzbound"
)

var (
	testHost  = HostID{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}
	testSet   = SetID{0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10}
	testEpoch = Epoch{0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88}
	testSum   = [32]byte{0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x00, 0x11, 0x22}
)

func testKeys() map[string]Object {
	const hex = "aabbccddeeff0011220000000000000000000000000000000000000000000000"
	return map[string]Object{
		"store.json":                {Kind: KindStore},
		"trust/0000000007.json.zst": {Kind: KindTrust, Seq: 7},
		"trust/0000000007-aabbccddeeff0011.json.zst": {
			Kind: KindTrust, Seq: 7, Short: "aabbccddeeff0011"},
		"h/0123456789abcdef/b/aa/" + hex:       {Kind: KindBlob, Host: testHost, Sum: testSum},
		"h/0123456789abcdef/r/" + hex + ".age": {Kind: KindRoot, Host: testHost, Sum: testSum},
		"h/0123456789abcdef/l/" + hex + ".zst": {Kind: KindBlobList, Host: testHost, Sum: testSum},
		"h/0123456789abcdef/k/1122334455667788/0.age": {
			Kind: KindEpochKey, Host: testHost, Epoch: testEpoch},
		"h/0123456789abcdef/k/1122334455667788/12.age": {
			Kind: KindEpochKey, Host: testHost, Epoch: testEpoch, N: 12},
		"h/0123456789abcdef/m/fedcba9876543210/0000000001.json.zst": {
			Kind: KindManifest, Host: testHost, Set: testSet, Seq: 1},
		"h/0123456789abcdef/m/fedcba9876543210/9999999999-aabbccddeeff0011.json.zst": {
			Kind: KindManifest, Host: testHost, Set: testSet, Seq: MaxSeq, Short: "aabbccddeeff0011"},
		"h/0123456789abcdef/p/01arz3ndektsv4rrffq69g5fav.json.zst": {
			Kind: KindCheckpoint, Host: testHost, Short: "01arz3ndektsv4rrffq69g5fav"},
		"gc/0123456789abcdef/0000000042.json.zst": {Kind: KindGC, Host: testHost, Seq: 42},
		"gc/0123456789abcdef/0000000042-aabbccddeeff0011.json.zst": {
			Kind: KindGC, Host: testHost, Seq: 42, Short: "aabbccddeeff0011"},
		"gc/0123456789abcdef/" + hex + ".zst": {
			Kind: KindCondemned, Host: testHost, Sum: testSum},
		"h/0123456789abcdef/n/01arz3ndektsv4rrffq69g5fav.json.zst": {
			Kind: KindNote, Host: testHost, Short: "01arz3ndektsv4rrffq69g5fav"},
		"h/0123456789abcdef/x/aa/" + hex: {Kind: KindParity, Host: testHost, Sum: testSum},
	}
}

func TestParse(t *testing.T) {
	for key, want := range testKeys() {
		got, err := Parse(key)
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", key, got, err, want)
		}
		if want.Key() != key {
			t.Errorf("Key() = %q, want %q", want.Key(), key)
		}
	}
	for _, key := range []string{Manifest(testHost, testSet, MaxSeq), GC(testHost, 42), Trust(7)} {
		weak := Weak(key, testSum)
		if want, ok := testKeys()[weak]; !ok || !strings.HasPrefix(weak, Stem(key)) || want.Short == "" {
			t.Errorf("Weak(%q) = %q", key, weak)
		}
	}
}

func TestParse_refuses(t *testing.T) {
	const hex = "aabbccddeeff0011220000000000000000000000000000000000000000000000"
	for _, key := range []string{
		"", "/", "store.json/", "/store.json", "Store.json", "store.lock",
		"trust/0000000000.json.zst", "trust/1.json.zst", "trust/00000000001.json.zst", "trust/+000000001.json.zst",
		"trust/0000000001-aabbccddeeff001.json.zst", "trust/x/0000000001.json.zst",
		"gc/0123456789abcdef/0000000001-.json.zst", "gc/0000000001.json.zst",
		"gc/0123456789abcdef/" + hex, "gc/0123456789abcdef/" + hex + ".json.zst", "gc/" + hex + ".zst",
		"h/0123456789abcdef/n/" + hex + ".json.zst", "h/0123456789abcdef/n/01arz3ndektsv4rrffq69g5fav.zst",
		"h/0123456789abcdef/x/ab/" + hex, "h/0123456789abcdef/x/aa/" + hex + ".zst",
		"h/0123456789abcdef", "h/0123456789abcdef/", "h/0123456789abcdef/b", "h/0123456789abcdef/b/" + hex,
		"h/0123456789abcdef/b/ab/" + hex, "h/0123456789ABCDEF/b/aa/" + hex, "h/0123456789abcde/b/aa/" + hex,
		"h/0123456789abcdef/b/aa/" + strings.ToUpper(hex), "h/0123456789abcdef/b/aa/" + hex + ".tmp",
		"h/0123456789abcdef/b/aa/", "h/0123456789abcdef/b//" + hex,
		"h/0123456789abcdef/r/" + hex, "h/0123456789abcdef/l/" + hex + ".age", "h/0123456789abcdef/x/" + hex,
		"h/0123456789abcdef/k/1122334455667788/00.age", "h/0123456789abcdef/k/1122334455667788/-1.age",
		"h/0123456789abcdef/k/1122334455667788/10000.age", "h/0123456789abcdef/k/1122334455667788/.age",
		"h/0123456789abcdef/m/fedcba9876543210/0000000001-.json.zst",
		"h/0123456789abcdef/m/fedcba9876543210/0000000001-AABBCCDDEEFF0011.json.zst",
		"h/0123456789abcdef/m/../0000000001.json.zst",
		"h/0123456789abcdef/p/01ARZ3NDEKTSV4RRFFQ69G5FAV.json.zst",
		"h/0123456789abcdef/p/81arz3ndektsv4rrffq69g5fav.json.zst",
		"h/0123456789abcdef/p/01arz3ndektsv4rrffq69g5fau.json.zst",
	} {
		if o, err := Parse(key); !errors.Is(err, ErrUnknownName) {
			t.Errorf("Parse(%q) = %+v, %v, want ErrUnknownName", key, o, err)
		}
	}
}

func TestPrefixes(t *testing.T) {
	for key, o := range testKeys() {
		var prefixes []string
		switch o.Kind {
		case KindBlob:
			prefixes = []string{HostsPrefix, HostPrefix(o.Host), BlobPrefix(o.Host)}
		case KindEpochKey:
			prefixes = []string{EpochsPrefix(o.Host), EpochPrefix(o.Host, o.Epoch)}
		case KindRoot:
			prefixes = []string{RootPrefix(o.Host)}
		case KindBlobList:
			prefixes = []string{BlobListPrefix(o.Host)}
		case KindManifest:
			prefixes = []string{ManifestPrefix(o.Host), ManifestSetPrefix(o.Host, o.Set)}
		case KindCheckpoint:
			prefixes = []string{CheckpointPrefix(o.Host)}
		case KindGC:
			prefixes = []string{GCsPrefix, GCPrefix(o.Host)}
		case KindCondemned:
			prefixes = []string{GCPrefix(o.Host)}
		case KindNote:
			prefixes = []string{HostPrefix(o.Host), NotePrefix(o.Host)}
		case KindParity:
			prefixes = []string{HostPrefix(o.Host), ParityPrefix(o.Host)}
		case KindTrust:
			prefixes = []string{TrustPrefix}
		}
		for _, p := range prefixes {
			if !strings.HasPrefix(key, p) || !strings.HasSuffix(p, "/") {
				t.Errorf("%q is not under prefix %q", key, p)
			}
		}
	}
}

func TestNewULID(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var ids []string
	for i := range 200 {
		id := NewULID(at.Add(time.Duration(i) * time.Millisecond))
		if !ValidULID(id) {
			t.Fatalf("NewULID = %q, not valid", id)
		}
		ids = append(ids, id)
	}
	if !slices.IsSorted(ids) {
		t.Error("ULIDs do not sort by time")
	}
	// The example of the specification: 1469918176385 ms is 01ARYZ6S41.
	if id := NewULID(time.UnixMilli(1469918176385)); id[:10] != "01aryz6s41" {
		t.Errorf("time part = %q, want 01aryz6s41", id[:10])
	}
}

func TestIDs_text(t *testing.T) {
	if id, err := ParseHostID(testHost.String()); err != nil || id != testHost {
		t.Errorf("ParseHostID = %v, %v", id, err)
	}
	for _, s := range []string{"", "0123456789ABCDEF", "0123456789abcde", "0123456789abcdeg", "0123456789abcdef0"} {
		if _, err := ParseHostID(s); err == nil {
			t.Errorf("ParseHostID(%q) succeeded", s)
		}
		var set SetID
		if err := set.UnmarshalText([]byte(s)); err == nil {
			t.Errorf("UnmarshalText(%q) succeeded", s)
		}
	}
	if a, b := NewStoreID(), NewStoreID(); a == b || a.IsZero() {
		t.Errorf("NewStoreID twice: %v, %v", a, b)
	}
}

func FuzzParse(f *testing.F) {
	for key := range testKeys() {
		f.Add(key)
	}
	f.Add("h/0123456789abcdef/m/fedcba9876543210/0000000001-.json.zst")
	f.Fuzz(func(t *testing.T, key string) {
		fuzzbound.Check(t, 16<<10, func() {
			if o, err := Parse(key); err == nil && o.Key() != key {
				t.Errorf("Parse(%q).Key() = %q", key, o.Key())
			}
		})
	})
}

// What holds a key is each directory above it, and nothing beside it, nor the key itself.
func TestHolds(t *testing.T) {
	for key := range testKeys() {
		if Holds(key) || Holds(key+"/-") {
			t.Errorf("%s, an object, may hold objects", key)
		}
		for path := pathpkg.Dir(key); path != "."; path = pathpkg.Dir(path) {
			if !Holds(path) {
				t.Errorf("%s may hold objects: it is on the way to %s", path, key)
			}
			if Holds(path + ".tmp") {
				t.Errorf("%s.tmp may hold objects", path)
			}
			if Holds(path + "/-") {
				t.Errorf("%s/- may hold objects", path)
			}
		}
	}
	for _, path := range []string{"", "README", "h/README", "b", "h/0123456789abcdef/z", "gc/x",
		"trust/x", "check", "lost+found", "h/0123456789abcdef/b/aa/dir", "h/0123456789abcdef/r/dir"} {
		if Holds(path) {
			t.Errorf("%q may hold objects", path)
		}
	}
}
