package page

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/layout"
)

var (
	name64 = strings.Repeat("ab", 32)
	leafH  = `{"kind":"leaf","v":1,"required":[],"level":0,"blobs":["self",["` + name64 + `","` + strings.Repeat("cd", 32) + `",100000000,"0123456789abcdef"]]}`
	good   = `{"p":"a","type":"file","mode":420,"uid":0,"gid":0,"mtime":"1.000000000"}`
)

func leafWith(lines ...string) string { return leafH + "\n" + strings.Join(lines, "\n") + "\n" }

// with changes the good line: with(`"uid":0`, `"uid":-1`).
func with(old, changed string) string {
	if !strings.Contains(good, old) {
		panic("no " + old)
	}
	return strings.Replace(good, old, changed, 1)
}

func TestDecode_Refuses(t *testing.T) {
	ref := func(s string) string {
		return leafWith(with(`"mtime"`, `"size":5,"c":[`+s+`],"mtime"`))
	}
	xattr := func(s string) string { return leafWith(with(`"mtime"`, `"x":`+s+`,"mtime"`)) }
	branch := func(lines ...string) string {
		return strings.Replace(strings.Replace(leafWith(lines...), "leaf", "branch", 1), `"level":0`, `"level":1`, 1)
	}
	item := func(last string, n int) string {
		return fmt.Sprintf(`{"last":%q,"r":[0,0,9,0,5,%q],"n":%d}`, last, name64, n)
	}
	list := func(level int, lines ...string) string {
		return strings.Replace(strings.Replace(leafWith(lines...), "leaf", "list", 1), `"level":0`, fmt.Sprintf(`"level":%d`, level), 1)
	}
	chunk1 := `[1,0,9,0,5,"` + name64 + `"]`
	for _, good := range []string{
		leafWith(good), ref(chunk1), ref(`[5]`), xattr(`[["a","AA=="],["b",""]]`), xattr(`[["","AA==","/w=="]]`),
		branch(item("a", 1), item("b", 2)), list(0, chunk1, `[5]`), list(1, chunk1), leafWith(with(`"p":"a"`, `"p":"."`)),
		leafWith(with(`"uid":0`, `"new":{"a":[1,-2.5e+3,"x\n",true,false,null,{}]},"uid":0`)), leafWith(with(`"p":"a"`, `"p":"\u0061\ud83d\ude00\/b"`)),
	} {
		if _, err := Decode([]byte(good), nil); err != nil {
			t.Errorf("refused: %v\n%s", err, good)
		}
	}
	for name, bad := range map[string]string{
		"empty":                     "",
		"header only":               leafH + "\n",
		"no newline at the end":     strings.TrimSuffix(leafWith(good), "\n"),
		"empty line":                leafWith(good, ""),
		"white space":               leafWith(with(`"uid":0`, `"uid": 0`)),
		"two values":                leafWith(good + good),
		"cut off":                   leafWith(good[:len(good)-1]),
		"not JSON":                  leafWith("hello"),
		"array for object":          leafWith("[]"),
		"key twice":                 leafWith(with(`"uid":0`, `"uid":0,"uid":0`)),
		"key twice by escape":       leafWith(with(`"uid":0`, `"uid":0,"\u0075id":0`)),
		"unknown key twice":         leafWith(with(`"uid":0`, `"z":0,"z":0,"uid":0`)),
		"nested key twice":          leafWith(with(`"uid":0`, `"z":{"a":1,"a":1},"uid":0`)),
		"path and twin":             leafWith(with(`"p":"a"`, `"p":"a","p64":"/w=="`)),
		"path missing":              leafWith(with(`"p":"a",`, ``)),
		"type missing":              leafWith(with(`"type":"file",`, ``)),
		"mtime missing":             leafWith(with(`,"mtime":"1.000000000"`, ``)),
		"path twice":                leafWith(good, good),
		"out of order":              leafWith(with(`"a"`, `"b"`), good),
		"slash after others":        leafWith(with(`"a"`, `"a!"`), with(`"a"`, `"a/b"`)),
		"top is not first":          leafWith(with(`"a"`, `"!"`), with(`"a"`, `"."`)),
		"plain path in twin":        leafWith(with(`"p":"a"`, `"p64":"YQ=="`)),
		"control in path":           leafWith(with(`"p":"a"`, `"p":"a\n"`)),
		"twin with bits to spare":   leafWith(with(`"p":"a"`, `"p64":"/x=="`)),
		"twin with newline":         leafWith(with(`"p":"a"`, `"p64":"/w==\n"`)),
		"twin with NUL":             leafWith(with(`"p":"a"`, `"p64":"AA=="`)),
		"half a surrogate":          leafWith(with(`"p":"a"`, `"p":"\ud83d"`)),
		"two high surrogates":       leafWith(with(`"p":"a"`, `"p":"\ud83d\ud83d"`)),
		"bytes not UTF-8":           leafWith(with(`"p":"a"`, "\"p\":\"\xff\"")),
		"unknown type":              leafWith(with(`"file"`, `"door"`)),
		"mode too large":            leafWith(with(`420`, `4096`)),
		"negative":                  leafWith(with(`"uid":0`, `"uid":-1`)),
		"fraction":                  leafWith(with(`"uid":0`, `"uid":0.0`)),
		"exponent":                  leafWith(with(`"uid":0`, `"uid":1e3`)),
		"leading zero":              leafWith(with(`"uid":0`, `"uid":01`)),
		"uid over 32 bits":          leafWith(with(`"uid":0`, `"uid":4294967296`)),
		"size of 2^53":              leafWith(with(`"mtime"`, `"size":9007199254740992,"ll":1,"c":[`+chunk1+`],"mtime"`)),
		"number in quotes":          leafWith(with(`"uid":0`, `"uid":"0"`)),
		"time without point":        leafWith(with(`1.000000000`, `1`)),
		"time with 8 digits":        leafWith(with(`1.000000000`, `1.00000000`)),
		"minus zero":                leafWith(with(`1.000000000`, `-0.000000000`)),
		"time out of range":         leafWith(with(`1.000000000`, `9223372036854775808.000000000`)),
		"target of a file":          leafWith(with(`"mtime"`, `"target":"x","mtime"`)),
		"symlink without target":    leafWith(with(`"file"`, `"symlink"`)),
		"device without number":     leafWith(with(`"file"`, `"char"`)),
		"number without device":     leafWith(with(`"mtime"`, `"dev":[0,0],"mtime"`)),
		"implied file":              leafWith(with(`"mtime"`, `"implied":true,"mtime"`)),
		"hard link group":           leafWith(with(`"mtime"`, `"hl":"0123456789ABCDEF","mtime"`)),
		"sha256 too short":          leafWith(with(`"mtime"`, `"sha256":"00","mtime"`)),
		"content of a directory":    strings.Replace(ref(chunk1), "file", "dir", 1),
		"size without content":      leafWith(with(`"mtime"`, `"size":1,"mtime"`)),
		"content without size":      leafWith(with(`"mtime"`, `"c":[[5]],"mtime"`)),
		"list level without pages":  leafWith(with(`"mtime"`, `"ll":1,"mtime"`)),
		"hole for a list page":      leafWith(with(`"mtime"`, `"size":5,"ll":1,"c":[[5]],"mtime"`)),
		"lengths do not sum":        ref(`[4]`),
		"hole of nothing":           ref(`[5],[0]`),
		"unknown blob":              ref(`[2,0,9,0,5,"` + name64 + `"]`),
		"empty chunk":               ref(chunk1 + `,[1,0,9,0,0,"` + name64 + `"]`),
		"past the frame":            ref(`[1,0,9,16777212,5,"` + name64 + `"]`),
		"past the blob":             ref(`[1,99999999,9,0,5,"` + name64 + `"]`),
		"offset over 32 bits":       ref(`[1,4294967296,9,0,5,"` + name64 + `"]`),
		"id in capitals":            ref(`[1,0,9,0,5,"` + strings.ToUpper(name64) + `"]`),
		"id too short":              ref(`[1,0,9,0,5,"ab"]`),
		"reference of five":         ref(`[1,0,9,0,5]`),
		"reference of seven":        ref(`[1,0,9,0,5,"` + name64 + `",0]`),
		"17 references":             ref(strings.Repeat("[1],", 16) + "[1]"),
		"comma at the end":          ref(`[5],`),
		"xattrs not sorted":         xattr(`[["b",""],["a",""]]`),
		"xattr twice":               xattr(`[["a",""],["a",""]]`),
		"xattr without name":        xattr(`[["",""]]`),
		"xattr of four":             xattr(`[["a","","",""]]`),
		"xattr name in wrong form":  xattr(`[["","","YQ=="]]`),
		"xattrs too long":           xattr(`[["a","` + strings.Repeat("AAAA", 1100) + `"]]`),
		"xattrs twice":              strings.Replace(xattr(`[["a",""]]`), `"x"`, `"xr":[`+chunk1+`],"x"`, 1),
		"unknown kind":              strings.Replace(leafWith(good), "leaf", "loaf", 1),
		"leaf of level 1":           strings.Replace(leafWith(good), `"level":0`, `"level":1`, 1),
		"branch of level 0":         strings.Replace(branch(item("a", 1)), `"level":1`, `"level":0`, 1),
		"branch of level 32":        strings.Replace(branch(item("a", 1)), `"level":1`, `"level":32`, 1),
		"list of level 8":           list(8, chunk1),
		"version 0":                 strings.Replace(leafWith(good), `"v":1`, `"v":0`, 1),
		"no required":               strings.Replace(leafWith(good), `"required":[],`, ``, 1),
		"no blobs":                  strings.Replace(leafWith(good), `"blobs"`, `"blubs"`, 1),
		"no self":                   strings.Replace(leafWith(good), `"self",`, ``, 1),
		"blob without size":         strings.Replace(leafWith(good), `100000000`, `0`, 1),
		"blob twice":                strings.Replace(leafWith(good), `"self",`, `"self",["`+name64+`","`+name64+`",1,"0123456789abcdef"],`, 1),
		"items out of order":        branch(item("b", 1), item("a", 1)),
		"item without entries":      branch(item("a", 0)),
		"item with a bad path":      branch(item("a/../b", 1)),
		"item that is a hole":       branch(`{"last":"a","r":[5],"n":1}`),
		"item without page":         branch(`{"last":"a","n":1}`),
		"hole among list pages":     list(1, `[5]`),
		"too many lines":            list(0, strings.Repeat("[1]\n", MaxItems)+"[1]"),
		"deep":                      leafWith(with(`"uid":0`, `"z":`+strings.Repeat("[", 99)+strings.Repeat("]", 99)+`,"uid":0`)),
		"deep objects":              leafWith(with(`"uid":0`, `"z":`+strings.Repeat(`{"a":`, 99)+`1`+strings.Repeat("}", 99)+`,"uid":0`)),
		"number of a stranger":      leafWith(with(`"uid":0`, `"z":01,"uid":0`)),
		"bare word of a stranger":   leafWith(with(`"uid":0`, `"z":nope,"uid":0`)),
		"too many unknown keys":     leafWith(with(`"uid":0`, manyKeys(300)+`"uid":0`)),
		"references to nothing":     list(0, `[0,0,0,0,0,"`+name64+`"]`),
		"header that is not closed": strings.Replace(leafWith(good), "]}\n", "]\n", 1),
	} {
		if p, err := Decode([]byte(bad), nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %+v, %v, want ErrDamaged", name, p, err)
		}
	}
	for _, path := range []string{"", "/a", "a/", "a//b", "a/./b", "./a", "a/..", "..", strings.Repeat("a", MaxPath+1)} {
		if _, err := Decode([]byte(leafWith(with(`"a"`, `"`+path+`"`))), nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("path %q: got %v, want ErrDamaged", clip(path), err)
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"k%d":0,`, i)
	}
	return b.String()
}

func TestDecode_RefusesNewerAndLarge(t *testing.T) {
	for _, newer := range []string{
		strings.Replace(leafWith(good), `"required":[]`, `"required":["colour"]`, 1),
		strings.Replace(leafWith("beyond words"), `"required":[],"level":0,"blobs":[`, `"required":["colour"],"level":"high","blobs":{"a":1},"more":[`, 1),
		strings.Replace(leafWith(good), `"v":1`, `"v":2`, 1),
	} {
		if _, err := Decode([]byte(newer), nil); !errors.Is(err, ErrNewerFormat) || errors.Is(err, ErrDamaged) {
			t.Errorf("got %v, want ErrNewerFormat\n%s", err, newer)
		}
	}
	if _, err := Decode(make([]byte, MaxPage+1), nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

// The bytes of version 1 do not change: these files were written by its first version.
func TestEncode_Golden(t *testing.T) {
	info := &blob.Info{Name: blob.Name{0xaa}, Hdr: [32]byte{0xbb}, Size: 16 << 20, Epoch: layout.Epoch{0xcc}}
	span := blob.Span{FrameOff: 1, FrameLen: 2, Off: 3, Len: 4}
	far := Ref{Blob: info, Span: span, ID: chunk.ID{1}}
	self := Ref{Span: span, ID: chunk.ID{2}}
	m := Time{1700000000, 1}
	entries := []Entry{
		{Path: ".", Type: Dir, Mode: 0o755, Mtime: Time{-1, 5e8}, Implied: true},
		{Path: "bin", Type: Symlink, Mode: 0o777, Mtime: m, Target: "usr/\"bin\"\\", User: "root", Group: "w\xffeel"},
		{Path: "dev", Type: Char, Mode: 0o600, Mtime: m},
		{Path: "file", Type: File, Mode: 0o4755, UID: 1, GID: 2, Size: 108, Mtime: m, Btime: Time{1, 0}, Flags: 16, HL: "00000000000000ff",
			Xattrs: []Xattr{{"user.a", []byte{0}}, {"user.\xff", nil}}, Refs: []Ref{far, {Hole: 100}, self}, SHA256: name64},
		{Path: "large", Type: File, Size: 1 << 40, Mtime: m, XattrRefs: []Ref{far}, Refs: []Ref{self}, ListLevel: 2},
		{Path: "new\nline", Type: FIFO, Mtime: m},
	}
	for _, c := range []struct {
		name string
		page Page
	}{
		{"leaf", Page{Kind: Leaf, Entries: entries}},
		{"branch", Page{Kind: Branch, Level: 1, Items: []Item{{"a/b", far, 3}, {"\xff", self, 1024}}}},
		{"list", Page{Kind: List, Refs: []Ref{far, {Hole: 65536}, self}}},
	} {
		want, err := os.ReadFile(filepath.Join("testdata", c.name+".ndjson"))
		got := encode(t, &Encoder{}, &c.page)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v\ngot\n%s\nwant\n%s", c.name, err, got, want)
		}
		same(t, got, c.page)
	}
}

func TestEncode_Refuses(t *testing.T) {
	info := &blob.Info{Name: blob.Name{1}, Size: 100}
	span := blob.Span{FrameLen: 1, Len: 1}
	file := func(refs ...Ref) []Entry {
		return []Entry{{Path: "a", Type: File, Size: total(refs), Refs: refs}}
	}
	for name, entries := range map[string][]Entry{
		"none":               {},
		"too many":           make([]Entry, MaxItems+1),
		"bad path":           {{Path: "a/", Type: Dir}},
		"out of order":       {{Path: "b", Type: Dir}, {Path: "a", Type: Dir}},
		"no type":            {{Path: "a"}},
		"unsealed blob":      file(Ref{Blob: &blob.Info{}, Span: span}),
		"past its blob":      file(Ref{Blob: info, Span: blob.Span{FrameOff: 100, FrameLen: 1, Len: 1}}),
		"two of one name":    file(Ref{Blob: info, Span: span}, Ref{Blob: &blob.Info{Name: info.Name, Size: 99}, Span: span}),
		"hole with more":     file(Ref{Hole: 1, Span: span}),
		"xattrs not sorted":  {{Path: "a", Type: Dir, Xattrs: []Xattr{{"b", nil}, {"a", nil}}}},
		"nanoseconds":        {{Path: "a", Type: Dir, Mtime: Time{0, 1e9}}},
		"owner with NUL":     {{Path: "a", Type: Dir, User: "\x00"}},
		"device of a file":   {{Path: "a", Type: File, Major: 1}},
		"wrong size":         {{Path: "a", Type: File, Size: 1}},
		"negative hole":      file(Ref{Hole: -1}),
		"content of symlink": {{Path: "a", Type: Symlink, Target: "b", Refs: []Ref{{Hole: 1}}}},
	} {
		got, err := EncodeLeaf([]byte("x"), entries)
		if !errors.Is(err, ErrInvalid) || string(got) != "x" {
			t.Errorf("%s: got %q, %v, want ErrInvalid", name, got, err)
		}
	}
	// What Check allows may still be too much together; Cutter.Run keeps it apart.
	large := make([]Entry, MaxItems)
	for i := range large {
		large[i] = Entry{Path: fmt.Sprintf("%04d%s", i, strings.Repeat("\xff", 16<<10)), Type: Dir}
	}
	if _, err := EncodeLeaf(nil, large); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

func TestDecodeXattrs_Bounds(t *testing.T) {
	many := make([]Xattr, maxNames+1)
	for i := range many {
		many[i].Name = fmt.Sprintf("user.%05d", i)
	}
	if list, err := DecodeXattrs(EncodeXattrs(nil, many[1:])); err != nil || len(list) != maxNames {
		t.Errorf("got %d, %v", len(list), err)
	}
	for name, bad := range map[string][]byte{
		"too many":  EncodeXattrs(nil, many),
		"too long":  make([]byte, MaxXattrs+1),
		"more":      []byte(`[] `),
		"nothing":   nil,
		"no array":  []byte(`{}`),
		"open":      []byte(`[["a",""]`),
		"with NUL":  []byte(`[["","","AA=="]]`),
		"of number": []byte(`[["a",1]]`),
	} {
		if _, err := DecodeXattrs(bad); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", name, err)
		}
	}
}

func TestDecode_KeepsNothingOfItsInput(t *testing.T) {
	b := []byte(leafWith(with(`"mtime"`, `"user":"bob","x":[["a","AAAA"]],"mtime"`)))
	p, err := Decode(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := Decode(bytes.Clone(b), nil)
	clear(b)
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v, want %+v", p, want)
	}
}
