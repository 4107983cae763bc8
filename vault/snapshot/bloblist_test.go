package snapshot

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"vaultik/internal/agetest"
	"vaultik/vault/blob"
)

// Lists end at the low bits of names: large ones first, and in what is left small ones, until
// a few blobs are left.
func TestCutBlobLists(t *testing.T) {
	var inline, named int
	for seed := range 10 {
		for _, n := range []int{0, 1, 100, 5000, 30000} {
			blobs := testBlobs(n, 100*seed+1)
			lists, tail := CutBlobLists(blobs)
			if got := append(slices.Concat(lists...), tail...); !slices.Equal(got, blobs) {
				t.Fatalf("%d blobs: lists and tail are not the blobs", n)
			}
			ends := func(b BlobSize, bits int) bool {
				return (int(b.Name[30])<<8|int(b.Name[31]))&(1<<bits-1) == 0
			}
			large := 0 // lists up to the last that ends as a large one
			for i, l := range lists {
				if ends(l[len(l)-1], cuts[0]) {
					large = i + 1
				}
			}
			for i, l := range append(slices.Clone(lists), tail) {
				bits := cuts[1]
				if i < large {
					bits = cuts[0]
				}
				for j, b := range l {
					last := i < len(lists) && j == len(l)-1
					if last != (j+1 >= leastListed && ends(b, bits)) {
						t.Fatalf("%d blobs: list %d of %d, blob %d: last %v", n, i, large, j, last)
					}
				}
			}
			inline, named = inline+len(tail), named+len(lists)
		}
	}
	// On average 32 each, and lists of 512 as long as there are blobs, then of 32.
	if inline > 50*64 || named > 10*(2*16+10+68+16) {
		t.Errorf("%d blobs inline and %d lists in 50 snapshots", inline, named)
	}
}

// Dropping blobs and appending new ones leaves most lists as they are: that is
// what they are for.
func TestCutBlobLists_stays(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 0))
	live, fresh := testBlobs(40000, 2), testBlobs(2000, 3)
	known := map[listEnds]bool{}
	count := func() (lists, blobs int) {
		all, _ := CutBlobLists(live)
		for _, l := range all {
			if k := (listEnds{l[0], l[len(l)-1], len(l)}); !known[k] {
				known[k] = true
				lists, blobs = lists+1, blobs+len(l)
			}
		}
		return lists, blobs
	}
	count()
	var lists, blobs int
	for len(fresh) > 0 {
		live, fresh = append(live, fresh[:10]...), fresh[10:]
		i := rng.IntN(len(live))
		live = slices.Delete(live, i, i+1)
		l, b := count()
		lists, blobs = lists+l, blobs+b
	}
	// A blob that goes changes the list that it was in, one that comes ends a small list or none.
	if lists > 200+2000/32*2 || blobs > 200*2*512+2*2000 {
		t.Errorf("200 backups, each with 10 new blobs and one gone: %d lists of %d blobs", lists, blobs)
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
