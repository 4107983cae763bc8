package snapshot

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"vaultik/internal/agetest"
	"vaultik/vault/blob"
)

func TestCutBlobLists(t *testing.T) {
	for _, n := range []int{0, 1, 100, 5000, 30000} {
		blobs := testBlobs(n, 1)
		lists, tail := CutBlobLists(blobs)
		if got := append(slices.Concat(lists...), tail...); !slices.Equal(got, blobs) {
			t.Fatalf("%d blobs: lists and tail are not the blobs", n)
		}
		for i, l := range append(slices.Clone(lists), tail) {
			for j, b := range l {
				low := int(b.Name[30])<<8 | int(b.Name[31])
				last := i < len(lists) && j == len(l)-1
				if cut := low&1023 == 0 || j == MaxListed-1; cut != last {
					t.Fatalf("%d blobs: list %d, blob %d: cut %v, last %v", n, i, j, cut, last)
				}
			}
		}
	}
}

// Dropping blobs and appending new ones leaves most lists as they are: that is
// what they are for.
func TestCutBlobLists_stays(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 0))
	blobs := testBlobs(40000, 2)
	before, _ := CutBlobLists(blobs)
	known := make(map[string]bool)
	for _, l := range before {
		known[fmt.Sprint(l)] = true
	}
	changed := slices.Clone(blobs)
	for range 5 {
		i := rng.IntN(len(changed))
		changed = slices.Delete(changed, i, i+1)
	}
	after, _ := CutBlobLists(append(changed, testBlobs(1000, 3)...))
	fresh := 0
	for _, l := range after {
		if !known[fmt.Sprint(l)] {
			fresh++
		}
	}
	if fresh > 5+3+5 || len(after) < 20 {
		t.Errorf("%d of %d lists are new after 5 deletions and 1000 new blobs", fresh, len(after))
	}
}

func TestCutBlobLists_long(t *testing.T) {
	blobs := make([]BlobSize, MaxListed+1)
	for i := range blobs {
		blobs[i] = BlobSize{blob.Name{byte(i), byte(i >> 8), 31: 1}, 1}
	}
	lists, tail := CutBlobLists(blobs)
	if len(lists) != 1 || len(lists[0]) != MaxListed || len(tail) != 1 {
		t.Errorf("%d lists, tail of %d", len(lists), len(tail))
	}
}

func TestBlobList(t *testing.T) {
	for _, n := range []int{1, MaxListed} {
		blobs := testBlobs(n, 4)
		b, err := EncodeBlobList(blobs, 0)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := EncodeBlobList(blobs, 0); !reflect.DeepEqual(b, again) {
			t.Error("the same blobs give other bytes")
		}
		got, err := DecodeBlobList(b)
		if err != nil || !slices.Equal(got, blobs) {
			t.Errorf("%d blobs: %v", n, err)
		}
		out := agetest.Run(t, agetest.Run(t, b, "zstd", "-dc"), "jq", "-r", "select(type==\"array\")|.[0]")
		if lines := strings.Fields(string(out)); len(lines) != n || lines[0] != blobs[0].Name.String() {
			t.Errorf("jq prints %d names, want %d", len(lines), n)
		}
	}
}

// A name is written in hex, so a few alone shrink.
func TestBlobList_short(t *testing.T) {
	for _, n := range []int{2, 3} {
		blobs := testBlobs(n, 6)
		b, err := EncodeBlobList(blobs, 0)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := decompress(b, MaxBlobList); err != nil || len(b) >= len(text) {
			t.Errorf("%d names: %d bytes for a text of %d, %v", n, len(b), len(text), err)
		}
	}
}

// A salt changes the name and nothing else, and readers ignore whatever stands there.
func TestBlobList_salt(t *testing.T) {
	blobs := testBlobs(3, 5)
	names := make(map[Sum]bool)
	for _, salt := range []uint64{0, 1, 1 << 60} {
		b, err := EncodeBlobList(blobs, salt)
		if err != nil {
			t.Fatal(err)
		}
		again, err := EncodeBlobList(blobs, salt)
		if err != nil || sumOf(again) != sumOf(b) {
			t.Errorf("salt %d: twice, it differs: %v", salt, err)
		}
		names[sumOf(b)] = true
		if got, err := DecodeBlobList(b); err != nil || !slices.Equal(got, blobs) {
			t.Errorf("salt %d: %v", salt, err)
		}
	}
	if len(names) != 3 {
		t.Errorf("%d names, want 3", len(names))
	}
	b, err := EncodeBlobList(blobs, 10)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := decompress(b, MaxBlobList)
	if err != nil {
		t.Fatal(err)
	}
	const header = `{"type":"bloblist","v":1,"required":[],"salt":"000000000000000a"}`
	if line, _, _ := strings.Cut(string(plain), "\n"); line != header {
		t.Errorf("header %s, want %s", line, header)
	}
	odd := strings.Replace(string(plain), `"000000000000000a"`, `[7]`, 1)
	if got, err := DecodeBlobList(compress([]byte(odd))); err != nil || !slices.Equal(got, blobs) {
		t.Errorf("an odd salt: %v", err)
	}
}

func TestBlobList_refuses(t *testing.T) {
	good, err := EncodeBlobList(testBlobs(3, 5), 0)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := decompress(good, MaxBlobList)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(plain), "\n")
	for name, text := range map[string]string{
		"empty": "", "header only": lines[0], "no header": strings.Join(lines[1:], ""), "open end": strings.TrimSuffix(string(plain), "\n"),
		"twice": string(plain) + lines[1], "blank line": string(plain) + "\n", "spaces": lines[0] + strings.Replace(lines[1], ",", ", ", 1),
		"upper case": lines[0] + strings.ToUpper(lines[1]), "size 0": lines[0] + lines[1][:68] + "0]\n",
		"size 01": lines[0] + lines[1][:68] + "01]\n", "negative": lines[0] + lines[1][:68] + "-1]\n",
		"huge": lines[0] + lines[1][:68] + "9007199254740992]\n", "long": lines[0] + strings.Repeat(lines[1], MaxListed+1),
	} {
		if _, err := DecodeBlobList(compress([]byte(text))); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
	if _, err := DecodeBlobList(compress([]byte(strings.Replace(string(plain), `"required":[]`, `"required":["x"]`, 1)))); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("required: %v", err)
	}
	if _, err := EncodeBlobList(nil, 0); !errors.Is(err, ErrInvalid) {
		t.Errorf("no blobs: %v", err)
	}
	if _, err := EncodeBlobList(testBlobs(MaxListed+1, 1), 0); !errors.Is(err, ErrInvalid) {
		t.Errorf("too many: %v", err)
	}
}
