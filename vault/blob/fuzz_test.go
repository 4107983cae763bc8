package blob

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"

	"vaultik/internal/fuzzbound"
	"vaultik/vault/keys"
)

// fuzzIdentity opens the seeds of FuzzOpen.
func fuzzIdentity(t testing.TB) []age.Identity {
	text, err := os.ReadFile("testdata/fuzz-identity.txt")
	if err != nil {
		t.Fatal(err)
	}
	id, err := keys.ParseIdentity(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return id.Age()
}

// FuzzOpen opens any bytes as a blob whose header is the one that is expected, as
// one can make it who knows the recipients. Salvage gets as much as OpenBytes.
func FuzzOpen(f *testing.F) {
	ids := fuzzIdentity(f)
	f.Add([]byte("age-encryption.org/v1\n-> X25519 x\n\n--- x\n0123456789abcdef"))
	f.Fuzz(func(t *testing.T, b []byte) {
		info := Info{Size: int64(len(b))}
		info.Hdr, _, _ = HeaderSum(b)
		fuzzbound.Check(t, 1<<20+8*int64(len(b)), func() {
			r, err := OpenBytes(info, bytes.Clone(b), ids)
			part, salvageErr := Salvage(info, b, ids)
			switch {
			case err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNoIdentity):
				t.Fatal(err)
			case err == nil && salvageErr != nil:
				t.Fatalf("opened, but not to be salvaged: %v", salvageErr)
			case err == nil:
				all, err := part.Plain(context.Background(), 0, part.Size())
				if err != nil || !bytes.Equal(all, r.plain) {
					t.Fatalf("salvaged %d bytes of %d, %v", len(all), r.Size(), err)
				}
			}
		})
	})
}

// FuzzPlaintext reads any bytes as what is inside a blob: table and frames.
func FuzzPlaintext(f *testing.F) {
	f.Add(appendTable(nil, nil))
	d := NewDecompressor()
	f.Fuzz(func(t *testing.T, plain []byte) {
		r := &Reader{whole: true, plain: plain, plainSize: int64(len(plain))}
		const frames = 8
		fuzzbound.Check(t, 1<<20+8*int64(len(plain))+frames*(MaxFrameRaw+4<<20), func() {
			rows, err := r.Table(context.Background())
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			for _, row := range rows[:min(len(rows), frames)] {
				raw, err := r.Frame(context.Background(), d, nil, row.FrameOff, row.FrameLen, -1)
				if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrTooLarge) || len(raw) > MaxFrameRaw {
					t.Fatalf("%d bytes, %v", len(raw), err)
				}
			}
		})
	})
}

// The seeds are on the good side, or the fuzzer finds nothing behind the header.
func TestFuzz_SeedsOpen(t *testing.T) {
	for _, name := range []string{"empty", "one", "frames"} {
		b := seed(t, "FuzzOpen/"+name)
		hdr, _, err := HeaderSum(b)
		if err != nil {
			t.Fatal(err)
		}
		r, err := OpenBytes(Info{Size: int64(len(b)), Hdr: hdr}, bytes.Clone(b), fuzzIdentity(t))
		if err != nil || !bytes.Equal(r.plain, seed(t, "FuzzPlaintext/"+name)) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := r.Table(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// seed reads a committed seed of one slice of bytes.
func seed(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/fuzz/" + name)
	if err != nil {
		t.Fatal(err)
	}
	quoted, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "go test fuzz v1\n[]byte(")
	b, err := strconv.Unquote(strings.TrimSuffix(quoted, ")"))
	if !ok || err != nil {
		t.Fatalf("seed %s is malformed: %v", name, err)
	}
	return []byte(b)
}
