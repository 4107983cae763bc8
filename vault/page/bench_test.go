package page

import (
	"fmt"
	"testing"

	"vaultik/vault/blob"
)

// sourceTree makes n entries as of a tree of source files, and the runs they are cut into.
func sourceTree(n int) [][]Entry {
	infos := []*blob.Info{{Name: blob.Name{1}, Size: 1 << 40}, {Name: blob.Name{2}, Size: 1 << 40}, nil}
	var entries []Entry
	for i := range n {
		r := Ref{Blob: infos[i%3], ID: someID(fmt.Sprint(i % 1000)), Span: blob.Span{FrameOff: uint32(i), FrameLen: 300_000, Off: uint32(i % 1000), Len: 4321}}
		entries = append(entries, Entry{
			Path: fmt.Sprintf("usr/share/src/module-%03d/package/file_%06d.go", i/1000, i), Type: File, Mode: 0o644, UID: 1000, GID: 1000,
			User: "someone", Group: "users", Size: 4321, Mtime: Time{1700000000 + int64(i), 123456789}, Btime: Time{1700000000, 5}, Refs: []Ref{r},
		})
	}
	return cutLeaves(entries, NewCutter(cutKey))
}

func BenchmarkEncode100k(b *testing.B) {
	runs := sourceTree(100_000)
	var enc Encoder
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		for _, run := range runs {
			var err error
			if buf, err = enc.Leaf(buf[:0], run); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkDecode100k(b *testing.B) {
	var pages [][]byte
	for _, run := range sourceTree(100_000) {
		p, err := EncodeLeaf(nil, run)
		if err != nil {
			b.Fatal(err)
		}
		pages = append(pages, p)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range pages {
			if _, err := Decode(p, nil); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkHash(b *testing.B) {
	cut := NewCutter(cutKey)
	b.ReportAllocs()
	for b.Loop() {
		cut.Hash("usr/share/src/module-012/package/file_012345.go")
	}
}
