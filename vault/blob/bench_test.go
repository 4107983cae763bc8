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

// program is the go command: machine code and tables.
func program(b *testing.B) []byte {
	b.Helper()
	path, err := exec.LookPath("go")
	if err != nil {
		b.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	return data[:min(len(data), 16<<20)&^(FrameTarget-1)]
}

func corpora(b *testing.B, run func(b *testing.B, data []byte)) {
	const size = 16 << 20
	for _, c := range []struct {
		name string
		data []byte
	}{
		{"source", sourceText(b)}, {"program", program(b)}, {"random", randomBytes(seeded(1), size)},
		{"base64", base64Text(seeded(2), size)}, {"mail", mailText(seeded(3), size)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.data)))
			b.ReportAllocs()
			run(b, c.data)
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
		b.ReportMetric(float64(n)/float64(len(data)), "ratio")
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
	o, plain := newOwner(b, false, 0), randomBytes(seeded(1), 16<<20)
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
