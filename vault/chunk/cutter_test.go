package chunk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

var testKey = [32]byte{1, 2, 3}

func randomBytes(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func newTestCutter(t testing.TB, p Params, key [32]byte) *Cutter {
	t.Helper()
	c, err := NewCutter(p, key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func cutAll(t testing.TB, c *Cutter, r io.Reader) [][]byte {
	t.Helper()
	var out [][]byte
	c.Reset(r)
	for {
		b, err := c.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, bytes.Clone(b))
	}
	if b, err := c.Next(); !errors.Is(err, io.EOF) || b != nil {
		t.Fatalf("after the end: %d bytes, %v", len(b), err)
	}
	return out
}

func checkLaw(t testing.TB, p Params, data []byte, chunks [][]byte) {
	t.Helper()
	if !bytes.Equal(bytes.Join(chunks, nil), data) {
		t.Fatalf("%d bytes: joined chunks are not the input", len(data))
	}
	for i, c := range chunks {
		if len(c) == 0 || len(c) > p.Max || len(c) < p.Min && i != len(chunks)-1 {
			t.Fatalf("%d bytes: chunk %d of %d has %d bytes", len(data), i, len(chunks), len(c))
		}
	}
}

func TestCutter_JoinedChunksAreTheInput(t *testing.T) {
	p := ParamsFor(16 << 10)
	random, zeros := randomBytes(1, 4*p.Max), make([]byte, 4*p.Max)
	c := newTestCutter(t, p, testKey)
	sizes := []int{0, 1, 2, 63, 64, 65}
	for _, around := range []int{p.Min, p.Avg, p.Max, 2 * p.Max, p.Max + p.Min} {
		for d := -2; d <= 2; d++ {
			sizes = append(sizes, around+d)
		}
	}
	for _, n := range sizes {
		for _, data := range [][]byte{random[:n], zeros[:n]} {
			whole := cutAll(t, c, bytes.NewReader(data))
			checkLaw(t, p, data, whole)
			for _, r := range []io.Reader{
				iotest.HalfReader(bytes.NewReader(data)),
				iotest.DataErrReader(bytes.NewReader(data)),
			} {
				if again := cutAll(t, c, r); !bytes.Equal(bytes.Join(again, []byte{0xff}), bytes.Join(whole, []byte{0xff})) {
					t.Fatalf("%d bytes: boundaries depend on the sizes of reads", n)
				}
			}
		}
		if n <= p.Min && n > 0 && len(cutAll(t, c, bytes.NewReader(random[:n]))) != 1 {
			t.Fatalf("%d bytes, at or under the minimum, are not one chunk", n)
		}
	}
}

func TestCutter_ResynchronisesAfterAnEdit(t *testing.T) {
	p := ParamsFor(16 << 10)
	data := randomBytes(2, 2<<20)
	edited := append(append(bytes.Clone(data[:1<<20]), "a few new bytes"...), data[1<<20:]...)
	c := newTestCutter(t, p, testKey)
	have := map[string]bool{}
	for _, b := range cutAll(t, c, bytes.NewReader(data)) {
		have[string(b)] = true
	}
	fresh := 0
	for _, b := range cutAll(t, c, bytes.NewReader(edited)) {
		if !have[string(b)] {
			fresh++
		}
	}
	if fresh > 6 {
		t.Fatalf("one edit made %d new chunks", fresh)
	}
}

func TestCutter_KeyMovesBoundaries(t *testing.T) {
	data := randomBytes(3, 1<<20)
	p := ParamsFor(16 << 10)
	a := cutAll(t, newTestCutter(t, p, testKey), bytes.NewReader(data))
	b := cutAll(t, newTestCutter(t, p, [32]byte{9}), bytes.NewReader(data))
	if len(a[0]) == len(b[0]) && len(a[1]) == len(b[1]) {
		t.Fatal("two keys cut alike")
	}
}

// Boundaries are part of the format: a library that cuts elsewhere would make
// every later backup store everything again.
func TestCutter_BoundariesAreFixed(t *testing.T) {
	var got []int
	for _, b := range cutAll(t, newTestCutter(t, DefaultParams(), testKey), bytes.NewReader(randomBytes(4, 8<<20))) {
		got = append(got, len(b))
	}
	want := []int{1225170, 1068185, 910839, 1190482, 2193204, 1359819, 440909}
	if !slices.Equal(got, want) {
		t.Fatalf("cut at %v, want %v", got, want)
	}
}

func TestCutter_Errors(t *testing.T) {
	c := newTestCutter(t, ParamsFor(16<<10), testKey)
	if _, err := c.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("without a stream: %v", err)
	}
	broken := errors.New("disk on fire")
	c.Reset(io.MultiReader(bytes.NewReader(randomBytes(5, 1<<20)), iotest.ErrReader(broken)))
	var err error
	for err == nil {
		_, err = c.Next()
	}
	if _, again := c.Next(); !errors.Is(err, broken) || !errors.Is(again, broken) {
		t.Fatalf("got %v, then %v", err, again)
	}
	c.Reset(io.MultiReader(strings.NewReader("half a file"), iotest.ErrReader(fmt.Errorf("connection: %w", io.EOF))))
	if _, err := c.Next(); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		t.Fatalf("a wrapped io.EOF ends the stream: %v", err)
	}
	if got := cutAll(t, c, strings.NewReader("fine again")); len(got) != 1 {
		t.Fatalf("after an error and Reset: %d chunks", len(got))
	}
}

func TestCutter_AllocatesNothingPerChunk(t *testing.T) {
	data := randomBytes(6, 1<<20)
	c, h, r := newTestCutter(t, ParamsFor(16<<10), testKey), NewHasher(testKey), bytes.NewReader(data)
	n := testing.AllocsPerRun(3, func() {
		r.Reset(data)
		c.Reset(r)
		for {
			b, err := c.Next()
			if err != nil {
				break
			}
			h.ID(b)
		}
	})
	if n != 0 {
		t.Fatalf("%v allocations a stream", n)
	}
}

func TestParams_Validate(t *testing.T) {
	for _, avg := range []int{MinAvg, 64 << 10, 1 << 20, MaxAvg} {
		if err := ParamsFor(avg).Validate(); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct {
		p    Params
		want string
	}{
		{Params{}, "unknown algorithm"},
		{Params{"fastcdc", 1, 2, 3}, "unknown algorithm"},
		{ParamsFor(0), "average size 0"},
		{ParamsFor(-8), "average size -8"},
		{ParamsFor(8 << 20), "average size 8388608"},
		{ParamsFor(1000000), "the nearest are 524288 and 1048576"},
		{Params{FastCDC, 0, 1 << 20, 4 << 20}, "minimum size 0"},
		{Params{FastCDC, 1 << 20, 1 << 20, 4 << 20}, "minimum size"},
		{Params{FastCDC, 1 << 10, 1 << 20, 1 << 20}, "maximum size"},
		{Params{FastCDC, 1 << 10, 1 << 20, 1 << 30}, "maximum size"},
	} {
		err := c.p.Validate()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.p, err, c.want)
		}
		if _, err := NewCutter(c.p, testKey); err == nil {
			t.Errorf("%+v: NewCutter accepts it", c.p)
		}
	}
}

func FuzzCutter(f *testing.F) {
	f.Add([]byte(nil), uint16(0))
	f.Add([]byte("abc"), uint16(3000))
	p := ParamsFor(MinAvg)
	f.Fuzz(func(t *testing.T, seed []byte, repeat uint16) {
		data := bytes.Repeat(seed, min(int(repeat), 1<<16/(len(seed)+1)))
		checkLaw(t, p, data, cutAll(t, newTestCutter(t, p, testKey), bytes.NewReader(data)))
	})
}

func BenchmarkCutter(b *testing.B) {
	data := randomBytes(7, 64<<20)
	c, r := newTestCutter(b, DefaultParams(), testKey), bytes.NewReader(data)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(data)
		c.Reset(r)
		for {
			if _, err := c.Next(); err != nil {
				break
			}
		}
	}
}
