package page

import (
	"encoding/hex"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
)

// Generators of everything that a page can hold.

// genText draws raw bytes without NUL: plain, with quotes, control characters, not UTF-8.
func genText(label string, least int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		piece := rapid.SampledFrom([]string{"a", "b", "-", ".", " ", "é", "\"", "\\", "\n", "\x7f", "\xff", "\u2028", "😀", "/", "\t"})
		s := strings.Join(rapid.SliceOfN(piece, least, 6).Draw(t, label), "")
		return s
	})
}

func genPath() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(genText("name", 1), 1, 4).Draw(t, "parts")
		for i, p := range parts {
			p = strings.ReplaceAll(p, "/", "_")
			if p == "." || p == ".." {
				p = "dots"
			}
			parts[i] = p
		}
		return strings.Join(parts, "/")
	})
}

func genPaths(most int) *rapid.Generator[[]string] {
	return rapid.Custom(func(t *rapid.T) []string {
		paths := rapid.SliceOfN(genPath(), 1, most).Draw(t, "paths")
		if rapid.Bool().Draw(t, "top") {
			paths = append(paths, ".")
		}
		slices.SortFunc(paths, Compare)
		return slices.Compact(paths)
	})
}

func fill[T ~[32]byte | ~[8]byte](t *rapid.T, label string) (id T) {
	n := rapid.Uint64Min(1).Draw(t, label)
	for i := range len(id) {
		id[i] = byte(n >> (i % 8 * 8))
	}
	return id
}

func genInfos() *rapid.Generator[[]*blob.Info] {
	return rapid.Custom(func(t *rapid.T) []*blob.Info {
		infos := []*blob.Info{nil}
		for i := range rapid.IntRange(0, 4).Draw(t, "blobs") {
			info := &blob.Info{Size: rapid.Int64Range(1<<33, maxInt).Draw(t, "size")}
			info.Name, info.Name[0] = fill[blob.Name](t, "name"), byte(i)
			info.Hdr = fill[[32]byte](t, "hdr")
			copy(info.Epoch[:], info.Name[8:])
			infos = append(infos, info)
		}
		return infos
	})
}

func genRef(infos []*blob.Info, hole bool) *rapid.Generator[Ref] {
	return rapid.Custom(func(t *rapid.T) Ref {
		if hole && rapid.IntRange(0, 3).Draw(t, "hole") == 0 {
			return Ref{Hole: rapid.Int64Range(1, 1<<40).Draw(t, "length")}
		}
		r := Ref{Blob: rapid.SampledFrom(infos).Draw(t, "blob"), ID: fill[chunk.ID](t, "id")}
		r.Span.Len = rapid.Uint32Range(1, maxFrame).Draw(t, "len")
		r.Span.Off = rapid.Uint32Range(0, maxFrame-r.Span.Len).Draw(t, "off")
		r.Span.FrameOff = rapid.Uint32().Draw(t, "foff")
		r.Span.FrameLen = rapid.Uint32Range(1, max(1, 1<<32-1-r.Span.FrameOff)).Draw(t, "flen")
		return r
	})
}

func genTime() *rapid.Generator[Time] {
	return rapid.Custom(func(t *rapid.T) Time {
		return Time{rapid.Int64().Draw(t, "sec"), rapid.Int32Range(0, 1e9-1).Draw(t, "nsec")}
	})
}

func genXattrs() *rapid.Generator[[]Xattr] {
	return rapid.Custom(func(t *rapid.T) (list []Xattr) {
		for _, name := range rapid.SliceOfNDistinct(genText("xattr", 1), 0, 3, rapid.ID).Draw(t, "names") {
			x := Xattr{Name: name}
			if v := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "value"); len(v) > 0 {
				x.Value = v
			}
			list = append(list, x)
		}
		SortXattrs(list)
		return list
	})
}

func genEntry(path string, infos []*blob.Info) *rapid.Generator[Entry] {
	some := func(r []Ref) []Ref {
		if len(r) == 0 {
			return nil
		}
		return r
	}
	return rapid.Custom(func(t *rapid.T) Entry {
		e := Entry{
			Path:  path,
			Type:  rapid.SampledFrom([]Type{File, Dir, Symlink, FIFO, Char, Block, Socket}).Draw(t, "type"),
			Mode:  rapid.Uint32Range(0, 0o7777).Draw(t, "mode"),
			UID:   rapid.Uint32().Draw(t, "uid"),
			GID:   rapid.Uint32().Draw(t, "gid"),
			User:  genText("user", 0).Draw(t, "user"),
			Group: genText("group", 0).Draw(t, "group"),
			Mtime: genTime().Draw(t, "mtime"),
			Btime: genTime().Draw(t, "btime"),
			Flags: rapid.Uint32().Draw(t, "flags"),
		}
		if rapid.Bool().Draw(t, "linked") {
			id := fill[[8]byte](t, "hl")
			e.HL = hex.EncodeToString(id[:])
		}
		if e.Xattrs = genXattrs().Draw(t, "xattrs"); e.Xattrs == nil {
			e.XattrRefs = some(rapid.SliceOfN(genRef(infos, false), 0, 2).Draw(t, "xr"))
		}
		switch e.Type {
		case File:
			e.ListLevel = rapid.SampledFrom([]int{0, 0, 1, MaxListLevel + 1}).Draw(t, "ll")
			if e.ListLevel == 0 {
				e.Refs = some(rapid.SliceOfN(genRef(infos, true), 0, MaxInlineRefs).Draw(t, "c"))
				e.Size = total(e.Refs)
			} else {
				e.Refs = rapid.SliceOfN(genRef(infos, false), 1, 3).Draw(t, "c")
				e.Size = rapid.Int64Range(0, maxInt).Draw(t, "size")
			}
			if rapid.Bool().Draw(t, "summed") {
				sum := fill[[32]byte](t, "sha256")
				e.SHA256 = hex.EncodeToString(sum[:])
			}
		case Symlink:
			e.Target = genText("target", 1).Draw(t, "target")
		case Char, Block:
			e.Major, e.Minor = rapid.Uint32().Draw(t, "major"), rapid.Uint32().Draw(t, "minor")
		case Dir:
			e.Implied = rapid.Bool().Draw(t, "implied")
		}
		return e
	})
}

func genEntries() *rapid.Generator[[]Entry] {
	return rapid.Custom(func(t *rapid.T) (list []Entry) {
		infos := genInfos().Draw(t, "infos")
		for _, p := range genPaths(8).Draw(t, "paths") {
			if n := len(list); n > 0 && list[n-1].Type != Dir && below(list[n-1].Path, p) {
				continue
			}
			list = append(list, genEntry(p, infos).Draw(t, "entry"))
		}
		return list
	})
}

func genItems() *rapid.Generator[[]Item] {
	return rapid.Custom(func(t *rapid.T) (list []Item) {
		infos := genInfos().Draw(t, "infos")
		for _, p := range genPaths(20).Draw(t, "paths") {
			list = append(list, Item{p, genRef(infos, false).Draw(t, "ref"), rapid.Int64Range(1, maxInt).Draw(t, "n")})
		}
		return list
	})
}
