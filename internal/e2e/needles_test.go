package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"vaultik/internal/testtree"
)

// needle is one form of a canary.
type needle struct {
	of    string
	form  string
	bytes []byte
}

// haystack finds many needles in one pass.
type haystack struct{ first map[[2]byte][]needle }

// plant adds a canary: both of its halves as they are, in hexadecimal, and in
// base64, however its bytes fall.
func (h *haystack) plant(name string, canary []byte) {
	if h.first == nil {
		h.first = map[[2]byte][]needle{}
	}
	add := func(form string, b []byte) {
		k := [2]byte(b)
		h.first[k] = append(h.first[k], needle{name, form, b})
	}
	for half := range 2 {
		b := canary[half*len(canary)/2 : (half+1)*len(canary)/2]
		add("raw", b)
		add("upper case", bytes.ToUpper(b))
		x := hex.EncodeToString(b)
		add("hex", []byte(x))
		add("hex", []byte(strings.ToUpper(x)))
		for shift := range 3 {
			for form, enc := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
				text := enc.EncodeToString(append(make([]byte, shift), b...))
				// The characters at both ends hold bits of neighbours as well.
				add(form, []byte(text[(shift*8+5)/6:len(text)-1]))
			}
		}
	}
}

// find returns the names of the canaries that are in b.
func (h *haystack) find(b []byte) map[string]string {
	found := map[string]string{}
	for i := 0; i+1 < len(b); i++ {
		for _, n := range h.first[[2]byte(b[i:])] {
			if bytes.HasPrefix(b[i:], n.bytes) {
				found[n.of] = n.form
			}
		}
	}
	return found
}

// zstdMagic begins a frame.
var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// search looks through a file's name and contents, and through what is
// compressed in it, but not encrypted. It returns what was found, and the bytes
// that were looked at.
func (h *haystack) search(t *testing.T, path, shown string) (map[string]string, int) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	found := h.find(append([]byte(shown+"\x00"), b...))
	n := len(b)
	for at := 0; ; {
		i := bytes.Index(b[at:], zstdMagic)
		if i < 0 {
			break
		}
		d, err := zstd.NewReader(bytes.NewReader(b[at+i:]), zstd.WithDecoderConcurrency(1))
		must(t, err)
		var out bytes.Buffer
		_, err = d.WriteTo(&out) // what comes before an error counts as well
		d.Close()
		if strings.HasSuffix(path, ".zst") && (err != nil || i+at > 0) {
			t.Errorf("%s cannot be decompressed: %v", shown, err)
		}
		n += out.Len()
		for k, form := range h.find(out.Bytes()) {
			found[k] = form + ", compressed"
		}
		at += i + len(zstdMagic)
	}
	return found, n
}

// clean wants no canary in any file or name below dir, except those that a file
// may hold, by its name relative to dir.
func (h *haystack) clean(t *testing.T, when, dir string, may map[string][]string) {
	t.Helper()
	files, size := 0, 0
	must(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		must(t, err)
		var found map[string]string
		switch {
		case d.Type().IsRegular():
			var n int
			found, n = h.search(t, p, rel)
			files++
			size += n
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			must(t, err)
			found = h.find([]byte(rel + "\x00" + target))
		default:
			found = h.find([]byte(rel))
		}
		h.judge(t, when+": "+rel, found, may[rel])
		return nil
	}))
	t.Logf("%s: %d files, %d bytes searched", when, files, size)
	if files == 0 {
		t.Errorf("%s: nothing was searched", when)
	}
}

// judge wants only those canaries that may be there.
func (h *haystack) judge(t *testing.T, where string, found map[string]string, may []string) {
	t.Helper()
next:
	for name, form := range found {
		for _, m := range may {
			if m == name {
				continue next
			}
		}
		t.Errorf("%s: the canary of %s, %s", where, name, form)
	}
}

// TestHaystack: a search that finds nothing means something.
func TestHaystack(t *testing.T) {
	canary := []byte("\x01\xfe 32 bytes of a canary, really.\xff")
	var h haystack
	h.plant("it", canary)
	compressed, err := zstd.NewWriter(nil)
	must(t, err)
	for shift := range 7 {
		in := append(bytes.Repeat([]byte{'x'}, shift), canary...)
		in = append(in, bytes.Repeat([]byte{'y'}, 7-shift)...)
		for form, b := range map[string][]byte{
			"raw":       in,
			"half":      in[:shift+len(canary)/2+3],
			"hex":       []byte(hex.EncodeToString(in)),
			"HEX":       []byte(strings.ToUpper(hex.EncodeToString(in))),
			"base64":    []byte(base64.StdEncoding.EncodeToString(in)),
			"base64url": []byte(base64.URLEncoding.EncodeToString(in)),
			"zstd":      compressed.EncodeAll(bytes.Repeat(in, 3), []byte("after other bytes ")),
		} {
			file := filepath.Join(t.TempDir(), "file")
			must(t, os.WriteFile(file, b, 0o600))
			if found, _ := h.search(t, file, "file"); found["it"] == "" {
				t.Errorf("not found: %s, shifted by %d", form, shift)
			}
		}
	}
	if found := h.find(testtree.Bytes(1, 1<<20)); len(found) > 0 {
		t.Errorf("found in noise: %v", found)
	}
}
