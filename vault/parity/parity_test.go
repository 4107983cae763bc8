package parity

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// A blob of any size comes back after any damage that leaves enough sectors of each stripe,
// be it of the blob, of the parity, or of both; after more, nothing comes back.
func TestHeal(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var c Coder
	for _, size := range []int{1, 7, sector - 1, sector, sector + 1, 100_000, 128 * sector, 128*sector + 1,
		1_000_000, 3<<20 + 17} {
		for _, percent := range []int{1, 10, 33, 100} {
			blob := random(r, size)
			made, err := c.Make(nil, blob, percent)
			if err != nil {
				t.Fatal(err)
			}
			if int64(len(made)) != Size(int64(size), percent) {
				t.Fatalf("%d bytes, want %d", len(made), Size(int64(size), percent))
			}
			name := sha256.Sum256(blob)
			p, err := Open(made, name)
			if err != nil || p.Damaged != 0 || p.BlobSize() != int64(size) {
				t.Fatalf("size %d: %v, %+v", size, err, p)
			}
			if err := Check(bytes.NewReader(made), name); err != nil {
				t.Fatalf("size %d: %v", size, err)
			}
			for range 4 {
				at := r.IntN(len(made))
				for _, b := range [][]byte{made[:at], slices.Concat(made, made[:1+at]),
					slices.Concat(made[:at], []byte{^made[at]}, made[at+1:])} {
					if err := Check(bytes.NewReader(b), name); !errors.Is(err, ErrDamaged) {
						t.Fatalf("size %d, changed at %d of %d: %v", size, at, len(made), err)
					}
				}
			}
			hurt, body := slices.Clone(blob), slices.Clone(made)
			want := 0
			for i := range p.stripes { // as much as each stripe bears
				for _, j := range r.Perm(p.data + p.parity)[:p.parity] {
					at := (j*p.stripes + i) * sector
					switch {
					case j >= p.data:
						body[p.headLen()+(i*p.parity+j-p.data)*sector+r.IntN(sector)] ^= 1 << r.IntN(8)
					case at < size:
						hurt[at+r.IntN(min(sector, size-at))] ^= 1 << r.IntN(8)
						want++
					}
				}
			}
			given := slices.Clone(hurt)
			p, err = Open(body, name)
			if err != nil {
				t.Fatal(err)
			}
			got, n, err := p.Heal(hurt)
			if err != nil || n != want || !bytes.Equal(got, blob) {
				t.Fatalf("size %d, %d %%: %d sectors of %d, %v", size, percent, n, want, err)
			}
			if !bytes.Equal(given, hurt) {
				t.Fatal("the damaged blob was changed")
			}
			if p, err = Open(made, name); err != nil {
				t.Fatal(err)
			}
			for i := 0; i < p.parity+1 && i < p.data; i++ { // one more in one stripe
				if at := i * p.stripes * sector; at < size {
					hurt[at] = ^blob[at]
				}
			}
			if p.data > p.parity {
				if got, _, err := p.Heal(hurt); !errors.Is(err, ErrTooMuch) || got != nil {
					t.Fatalf("size %d, %d %%: %v", size, percent, err)
				}
			}
		}
	}
}

// A burst, an end that is missing, and bytes behind the end.
func TestHeal_Burst(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	blob := random(r, 2<<20+5)
	var c Coder
	made, err := c.Make(nil, blob, 10)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Open(made, sha256.Sum256(blob))
	if err != nil {
		t.Fatal(err)
	}
	tenth := len(blob)/10 - sector
	burst := slices.Clone(blob)
	copy(burst[500_000:], make([]byte, tenth))
	for name, hurt := range map[string][]byte{
		"burst": burst, "short": blob[:len(blob)-tenth], "long": append(slices.Clone(blob), "more"...),
	} {
		if got, _, err := p.Heal(hurt); err != nil || !bytes.Equal(got, blob) {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if _, _, err := p.Heal(nil); !errors.Is(err, ErrTooMuch) {
		t.Fatalf("of nothing: %v", err)
	}
}

// Either head will do; parity of another blob, cut or garbled, is refused, and nothing panics.
func TestOpen(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	blob := random(r, 300_000)
	name := sha256.Sum256(blob)
	var c Coder
	made, err := c.Make(nil, blob, 10)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Make(random(r, len(made)), blob, 10)
	if err != nil || !bytes.Equal(again, made) {
		t.Fatal("the same blob has another parity")
	}
	if _, err := Open(made, [32]byte{1}); !errors.Is(err, ErrDamaged) {
		t.Fatalf("of another blob: %v", err)
	}
	head := shapeOf(int64(len(blob)), 10).headLen()
	first, second := slices.Clone(made), slices.Clone(made)
	first[r.IntN(head)] ^= 1
	second[len(made)-5-r.IntN(head)] ^= 1
	for _, b := range [][]byte{first, second, made[:len(made)-1]} {
		if p, err := Open(b, name); err != nil {
			t.Fatal(err)
		} else if got, _, err := p.Heal(blob[:len(blob)-1]); err != nil || !bytes.Equal(got, blob) {
			t.Fatal(err)
		}
	}
	second[r.IntN(head)] ^= 1
	for _, b := range [][]byte{second, nil, made[:3], made[:head], made[:len(made)/2]} {
		if _, err := Open(b, name); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
	}
	if _, err := c.Make(nil, nil, 10); err == nil {
		t.Fatal("parity of nothing")
	}
	if _, err := c.Make(nil, blob, 101); err == nil {
		t.Fatal("more parity than blob")
	}
}

func FuzzOpen(f *testing.F) {
	blob := []byte("a blob of one sector")
	var c Coder
	made, err := c.Make(nil, blob, 10)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(made)
	f.Add(made[:len(made)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, name := range [][32]byte{sha256.Sum256(blob), {}} {
			p, err := Open(b, name)
			if whole := Check(bytes.NewReader(b), name) == nil; whole && (err != nil || p.Damaged > 0) {
				t.Fatalf("whole, but opens with %v", err)
			}
			if err != nil {
				continue
			}
			if got, _, err := p.Heal(blob[:3]); err == nil && sha256.Sum256(got) != name {
				t.Fatal("healed to something else")
			}
		}
	})
}

func BenchmarkMake(b *testing.B) {
	blob := random(rand.New(rand.NewPCG(7, 8)), 16<<20)
	b.SetBytes(int64(len(blob)))
	var c Coder
	var buf []byte
	for b.Loop() {
		var err error
		if buf, err = c.Make(buf, blob, 10); err != nil {
			b.Fatal(err)
		}
	}
}
