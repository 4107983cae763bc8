package blob

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"

	"vaultik/internal/fuzzbound"
)

func TestFrame_RoundTrip(t *testing.T) {
	r, d := newRand(t), NewDecompressor()
	for _, level := range []int{-3, 0, 1, 3, 7, 19, 22} {
		c := NewCompressor(level)
		sizes := []int{0, 1, 255, 256, 1024, 64 << 10, 128<<10 + 1}
		if level == 0 {
			sizes = append(sizes, 1<<20, window, window+1, 5<<20)
		}
		for _, n := range sizes {
			for _, raw := range [][]byte{mixed(r, n), make([]byte, n)} {
				dst := make([]byte, 3, 3+MaxCompressed(n))
				comp := c.Frame(dst, raw)
				if &comp[0] != &dst[0] || len(comp) > 3+MaxCompressed(n) {
					t.Fatalf("level %d, %d bytes: %d exceed MaxCompressed", level, n, len(comp)-3)
				}
				for _, rawLen := range []int{n, -1} {
					got, err := d.Frame(nil, comp[3:], rawLen)
					if err != nil || !bytes.Equal(got, raw) {
						t.Fatalf("level %d, %d bytes: %v", level, n, err)
					}
				}
				if _, err := d.Frame(nil, comp[3:], n+1); !errors.Is(err, ErrDamaged) {
					t.Fatalf("level %d, %d bytes: another size is accepted: %v", level, n, err)
				}
			}
		}
	}
}

func TestFrame_AllocatesNothing(t *testing.T) {
	r, c, d := newRand(t), NewCompressor(0), NewDecompressor()
	raw := mixed(r, 1<<20)
	comp, out := c.Frame(make([]byte, 0, MaxCompressed(len(raw))), raw), []byte(nil)
	for name, run := range map[string]func(){
		"out":  func() { comp = c.Frame(comp[:0], raw) },
		"back": func() { out, _ = d.Frame(out, comp, -1) },
	} {
		run()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 10 {
			run()
		}
		runtime.ReadMemStats(&after)
		// Not exactly none: the library's pools may be emptied at any time.
		if n := (after.TotalAlloc - before.TotalAlloc) / 10; n > 32<<10 {
			t.Errorf("%d bytes allocated a frame %s", n, name)
		}
	}
}

func TestDecompressor_RefusesBombs(t *testing.T) {
	zeros := make([]byte, 32<<20)
	enc, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true))
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	unknown, err := zstd.NewWriter(&stream)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = unknown.Write(zeros)
	_ = unknown.Close()
	frame := func(n int) []byte { return enc.EncodeAll(zeros[:n], nil) }
	small := frame(1000)
	lie := func(size byte) []byte { b := bytes.Clone(small); b[5] = size; return b }
	skippable := []byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}
	for name, c := range map[string]struct {
		comp []byte
		want error
	}{
		"more than 16 MiB":        {frame(32 << 20), ErrTooLarge},
		"one byte too many":       {frame(MaxFrameRaw + 1), ErrTooLarge},
		"no content size":         {stream.Bytes(), ErrDamaged},
		"two frames":              {append(bytes.Clone(small), small...), ErrDamaged},
		"an empty frame after it": {append(bytes.Clone(small), frame(0)...), ErrDamaged},
		"skippable after it":      {append(bytes.Clone(small), skippable...), ErrDamaged},
		"skippable before it":     {append(bytes.Clone(skippable), small...), ErrDamaged},
		"only skippable":          {skippable, ErrDamaged},
		"declares less":           {lie(0), ErrDamaged},
		"declares more":           {lie(0xff), ErrDamaged},
		"truncated":               {small[:len(small)-1], ErrDamaged},
		"nothing":                 {nil, ErrDamaged},
		"not zstd":                {[]byte("something else entirely"), ErrDamaged},
		"more input than can be":  {make([]byte, maxFrameComp+1), ErrTooLarge},
	} {
		var before, after runtime.MemStats
		d := NewDecompressor()
		runtime.ReadMemStats(&before)
		got, err := d.Frame(nil, c.comp, -1)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %d bytes, %v, want %v", name, len(got), err, c.want)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("%s: %d bytes allocated", name, used)
		}
	}
	if got, err := NewDecompressor().Frame(nil, frame(MaxFrameRaw), -1); err != nil || len(got) != MaxFrameRaw {
		t.Errorf("16 MiB: %d bytes, %v", len(got), err)
	}
}

// TestCompressorMemory: what a compressor is said to take is enough, and no third too much.
func TestCompressorMemory(t *testing.T) {
	raw := make([]byte, 4<<20)
	for i := range raw {
		raw[i] = "acgt"[i*i>>7&3]
	}
	random := make([]byte, 4<<20)
	if _, err := rand.NewChaCha8([32]byte{}).Read(random); err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 0, MaxCompressed(len(raw)))
	for _, level := range []int{0, 1, 3, 7, 19} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		c := NewCompressor(level)
		out = c.Frame(out[:0], raw[:1<<20])
		out = c.Frame(out[:0], raw)
		out = c.Frame(out[:0], random)
		runtime.GC()
		runtime.ReadMemStats(&after)
		used, said := int64(after.HeapAlloc)-int64(before.HeapAlloc), CompressorMemory(level) //nolint:gosec // small
		if used > said || used < said*2/3 {
			t.Errorf("level %d takes %d bytes, not %d", level, used, said)
		}
		runtime.KeepAlive(c)
	}
}

func FuzzDecompressor(f *testing.F) {
	c := NewCompressor(0)
	f.Add(c.Frame(nil, nil), -1)
	f.Add(c.Frame(nil, []byte("hello, hello, hello")), 19)
	f.Add(c.Frame(nil, make([]byte, 1<<20)), 1<<20)
	f.Add(append(c.Frame(nil, []byte("a")), c.Frame(nil, []byte("b"))...), -1)
	d := NewDecompressor()
	f.Fuzz(func(t *testing.T, comp []byte, rawLen int) {
		var got []byte
		var err error
		fuzzbound.Check(t, MaxFrameRaw+4<<20, func() { got, err = d.Frame(nil, comp, rawLen) })
		switch {
		case err == nil && (len(got) > MaxFrameRaw || rawLen >= 0 && len(got) != rawLen):
			t.Fatalf("%d bytes for %d", len(got), rawLen)
		case err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrTooLarge):
			t.Fatal(err)
		}
	})
}
