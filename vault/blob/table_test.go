package blob

import (
	"errors"
	"strconv"
	"testing"

	"vaultik/internal/fuzzbound"
)

func decimals(s Span) (out []string) {
	for _, n := range []uint32{s.FrameOff, s.FrameLen, s.Off, s.Len} {
		out = append(out, strconv.Itoa(int(n)))
	}
	return out
}

func TestPadme(t *testing.T) {
	for n, want := range map[int64]int64{0: 0, 1: 1, 2: 2, 8: 8, 9: 10, 15: 16, 100: 104, 1000: 1024, 1 << 20: 1 << 20, 1<<20 + 1: 1<<20 + 1<<15, 16<<20 - 1: 16 << 20} {
		if got := Padme(n); got != want {
			t.Errorf("Padme(%d) = %d, want %d", n, got, want)
		}
	}
	r, sum, count := newRand(t), 0.0, 0
	for range 100_000 {
		n := 1 + r.Int64N(1<<uint(1+r.IntN(30)))
		p := Padme(n)
		if p < n || Padme(p) != p || float64(p) > float64(n)*1.12 {
			t.Fatalf("Padme(%d) = %d", n, p)
		}
		if n > 100_000 {
			sum, count = sum+float64(p)/float64(n)-1, count+1
		}
	}
	if mean := sum / float64(count); mean > 0.015 {
		t.Errorf("mean overhead %.3f", mean)
	}
}

func TestRandomTarget(t *testing.T) {
	seen := map[int]bool{}
	for range 1000 {
		n := RandomTarget(16 << 20)
		if n < 12<<20 || n > 16<<20 {
			t.Fatal(n)
		}
		seen[n] = true
	}
	if len(seen) < 900 || RandomTarget(0) != 0 || RandomTarget(3) != 3 {
		t.Fatal(len(seen))
	}
}

func TestParseTable_Refuses(t *testing.T) {
	good := appendTable(nil, []Row{{Span: Span{0, 100, 0, 50}}, {Span: Span{100, 28, 7, 1}}})
	size := int64(len(good) + 128)
	if rows, err := ParseTable(good, size); err != nil || len(rows) != 2 {
		t.Fatal(rows, err)
	}
	at := func(i int, v byte) []byte {
		b := append([]byte(nil), good...)
		b[i] = v
		return b
	}
	row, end := skipHeader+16, len(good)-tableTrailer
	for name, c := range map[string]struct {
		tail []byte
		size int64
	}{
		"nothing":                {nil, 0},
		"only a trailer":         {good[end:], size},
		"first byte missing":     {good[1:], size},
		"plaintext smaller":      {good, int64(len(good) - 1)},
		"frames outside":         {good, size - 1},
		"magic of the frame":     {at(0, 0), size},
		"length of the frame":    {at(4, 0), size},
		"frame of nothing":       {at(row+4, 0), size},
		"frame too far":          {at(row+3, 1), size},
		"chunk of nothing":       {at(row+12, 0), size},
		"chunk too far":          {at(row+11, 2), size},
		"length not of rows":     {at(end, good[end]+1), size},
		"length below the least": {at(end, 8), size},
		"length beyond the blob": {at(end+3, 0xff), size},
		"version":                {at(end+4, 2), size},
		"magic":                  {at(len(good)-1, 'x'), size},
	} {
		if rows, err := ParseTable(c.tail, c.size); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		}
	}
}

func FuzzParseTable(f *testing.F) {
	f.Add(appendTable(nil, nil), int64(24))
	f.Add(appendTable(nil, []Row{{Span: Span{0, 100, 0, 50}}}), int64(200))
	f.Add(appendTable(nil, []Row{{Span: Span{0, 1 << 31, 1 << 31, 1 << 31}}}), int64(1<<40))
	f.Fuzz(func(t *testing.T, tail []byte, size int64) {
		var rows []TableRow
		var err error
		fuzzbound.Check(t, 64<<10+4*int64(len(tail)), func() { rows, err = ParseTable(tail, size) })
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		// What parses is written back byte for byte.
		out := make([]Row, len(rows))
		for i, r := range rows {
			copy(out[i].ID[:], r.ID16[:])
			out[i].Span = r.Span
			if r.Len == 0 || int64(r.FrameOff)+int64(r.FrameLen) > size {
				t.Fatalf("row %d: %+v", i, r)
			}
		}
		again := appendTable(nil, out)
		if string(again) != string(tail[len(tail)-len(again):]) {
			t.Fatal("a table is not what it parses to")
		}
	})
}
