package keys

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"vaultik/internal/fuzzbound"
)

func fuzzFile(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// FuzzOpenEpoch opens any bytes as a sealed epoch key. One that is accepted is the
// one that was meant.
func FuzzOpenEpoch(f *testing.F) {
	id := mustIdentity(f, fuzzFile(f, "fuzz-identity.txt"))
	want := EpochID(fuzzFile(f, "fuzz-epoch.txt"))
	f.Add([]byte("age-encryption.org/v1\n-> X25519 x\n\n--- x\n0123456789abcdef"))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		fuzzbound.Check(t, 1<<20+8*int64(len(sealed)), func() {
			_, err := OpenEpoch(sealed, id, want)
			if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrWrongIdentity) {
				t.Fatal(err)
			}
		})
	})
}

// The seed is on the good side, or the fuzzer finds nothing behind the header.
func TestFuzz_SeedOpens(t *testing.T) {
	text := fuzzFile(t, "fuzz/FuzzOpenEpoch/good")
	sealed, err := strconv.Unquote(strings.TrimSuffix(strings.TrimPrefix(text, "go test fuzz v1\n[]byte("), ")"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenEpoch([]byte(sealed), mustIdentity(t, fuzzFile(t, "fuzz-identity.txt")), EpochID(fuzzFile(t, "fuzz-epoch.txt"))); err != nil {
		t.Error(err)
	}
}

// FuzzParseIdentity: what a user puts into the environment is never repeated in an error.
func FuzzParseIdentity(f *testing.F) {
	secret := fuzzFile(f, "fuzz-identity.txt")
	for _, s := range []string{secret, secret[:len(secret)-1], strings.ToLower(secret), "AGE-PLUGIN-X-1Q", "AGE-SECRET-KEY-PQ-1", "age1", "#"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fuzzbound.Check(t, 1<<20+400*int64(len(s)), func() {
			_, err := ParseIdentity(s)
			if err == nil {
				return
			}
			if !errors.Is(err, ErrBadIdentity) {
				t.Fatal(err)
			}
			for _, word := range strings.Fields(s) {
				if len(word) > 20 && strings.Contains(err.Error(), word) {
					t.Fatalf("the error repeats the input: %v", err)
				}
			}
		})
	})
}

// FuzzParseRecipients: what is accepted is what comes back, and can be sealed to.
func FuzzParseRecipients(f *testing.F) {
	r := fuzzFile(f, "fuzz-epoch.txt")
	for _, s := range []string{r, r + "\n" + r, strings.ToUpper(r), r[:len(r)-1], "age1", "age1pq1q", "age1tag1q", "ssh-ed25519 AAAA", fuzzFile(f, "fuzz-identity.txt")} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list := strings.Split(text, "\n")
		fuzzbound.Check(t, 4<<20+400*int64(len(text)), func() {
			rs, err := ParseRecipients(list)
			if err != nil {
				return
			}
			again, err := ParseRecipients(rs.Strings())
			if err != nil || again.Sum() != rs.Sum() {
				t.Fatalf("%q does not come back: %v", rs.Strings(), err)
			}
		})
	})
}
