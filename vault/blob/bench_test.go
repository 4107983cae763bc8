package blob

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sourceText is 16 MiB of real source code, the standard library's.
func sourceText(b *testing.B) []byte {
	b.Helper()
	var out []byte
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(strings.TrimSpace(string(root)), "src"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if out = append(out, text...); len(out) >= 16<<20 {
			return fs.SkipAll
		}
		return err
	})
	if err != nil || len(out) < 16<<20 {
		b.Fatalf("%d bytes of source text: %v", len(out), err)
	}
	return out[:16<<20]
}

func randomText(b *testing.B) []byte {
	r := newRand(b)
	out := make([]byte, 0, 16<<20)
	for range cap(out) / 8 {
		v := r.Uint64()
		out = append(out, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56))
	}
	return out
}

func corpora(b *testing.B, run func(b *testing.B, data []byte)) {
	for name, data := range map[string][]byte{"source": sourceText(b), "random": randomText(b)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			run(b, data)
		})
	}
}

func BenchmarkFrame(b *testing.B) {
	corpora(b, func(b *testing.B, data []byte) {
		c, dst, n := NewCompressor(0), make([]byte, 0, MaxCompressed(FrameTarget)), 0
		for b.Loop() {
			n = 0
			for off := 0; off < len(data); off += FrameTarget {
				dst = c.Frame(dst[:0], data[off:off+FrameTarget])
				n += len(dst)
			}
		}
		b.ReportMetric(float64(len(data))/float64(n), "ratio")
	})
}

func BenchmarkUnframe(b *testing.B) {
	corpora(b, func(b *testing.B, data []byte) {
		c, d := NewCompressor(0), NewDecompressor()
		var frames [][]byte
		for off := 0; off < len(data); off += FrameTarget {
			frames = append(frames, c.Frame(nil, data[off:off+FrameTarget]))
		}
		var dst []byte
		for b.Loop() {
			for _, f := range frames {
				var err error
				if dst, err = d.Frame(dst, f, FrameTarget); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// BenchmarkSeal counts bytes of plaintext.
func BenchmarkSeal(b *testing.B) {
	o, plain := newOwner(b, false, 0), randomText(b)
	dst := make([]byte, 0, SealedSize(len(plain), o.recipients))
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Seal(dst, plain, o.recipients, o.epoch); err != nil {
			b.Fatal(err)
		}
	}
}

// benchmarkRead counts bytes of content: 16 frames of 1 MiB, all of a blob.
func benchmarkRead(b *testing.B, read func(info Info, sealed []byte, o owner) (*Reader, error)) {
	o := newOwner(b, false, 0)
	corpora(b, func(b *testing.B, data []byte) {
		var chunks [][]byte
		for off := 0; off < len(data); off += FrameTarget {
			chunks = append(chunks, data[off:off+FrameTarget])
		}
		builder, d := NewBuilder(nil), NewDecompressor()
		made := build(builder, chunks)
		sealed, err := Seal(nil, made.plain, o.recipients, o.epoch)
		if err != nil {
			b.Fatal(err)
		}
		var dst []byte
		for b.Loop() {
			r, err := read(sealed.Info, sealed.Bytes, o)
			if err != nil {
				b.Fatal(err)
			}
			for _, row := range made.rows {
				if dst, err = r.Frame(context.Background(), d, dst, row.FrameOff, row.FrameLen, -1); err != nil {
					b.Fatal(err)
				}
			}
		}
		if !bytes.Equal(dst, chunks[len(chunks)-1]) {
			b.Fatal("not what was sealed")
		}
	})
}

func BenchmarkOpenBytesFrame(b *testing.B) {
	var whole []byte
	benchmarkRead(b, func(info Info, sealed []byte, o owner) (*Reader, error) {
		whole = append(whole[:0], sealed...)
		return OpenBytes(info, whole, o.ids)
	})
}

func BenchmarkOpenFrame(b *testing.B) {
	benchmarkRead(b, func(info Info, sealed []byte, o owner) (*Reader, error) {
		return Open(context.Background(), info, func(_ context.Context, off, n int64) ([]byte, error) {
			return sealed[off : off+n], nil
		}, o.ids)
	})
}
