package plan

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/page"
)

func TestLinks(t *testing.T) {
	a, b := entryOf("00000000000000aa", page.File), entryOf("00000000000000bb", page.Symlink)
	var l Links[string]
	join := func(e *page.Entry, sum uint64, name string, want Role, to string) Joined {
		t.Helper()
		j, err := l.Join(e, sum, name)
		if err != nil || j.Role != want || j.Link.Path != to {
			t.Fatalf("%s: %+v, %v", name, j, err)
		}
		return j
	}
	first := join(a, 1, "a1", Leads, "")
	other := join(b, 1, "b1", Leads, "")
	join(a, 1, "a2", Waits, "")
	join(a, 1, "a3", Waits, "")
	// It failed: the next one leads.
	if got := l.Led(first.Group, nil); !slices.Equal(got, []string{"a2", "a3"}) {
		t.Fatal(got)
	}
	first = join(a, 1, "a2", Leads, "")
	join(a, 1, "a3", Waits, "")
	got := l.Led(first.Group, &Link{Path: "dir/a2", Anew: true})
	if !slices.Equal(got, []string{"a3"}) {
		t.Fatal(got)
	}
	if j := join(a, 1, "a3", Follows, "dir/a2"); !j.Link.Anew {
		t.Error("it was made")
	}
	l.Led(other.Group, &Link{Path: "dir/b1"})
	if j := join(b, 1, "b2", Follows, "dir/b1"); j.Link.Anew {
		t.Error("it was there")
	}
	if _, err := l.Join(entryOf("x", page.File), 1, "x"); !errors.Is(err, page.ErrDamaged) {
		t.Error(err)
	}
	if !panics(func() { l.Led(first.Group, nil) }) {
		t.Error("a name that follows ends as one that leads")
	}
}

// Names of one group that differ are groups of their own, whether the first of them is under
// way or in its place.
func TestLinks_Apart(t *testing.T) {
	e := entryOf("00000000000000aa", page.File)
	for _, ended := range []bool{false, true} {
		var l Links[string]
		groups := map[uint64]uint64{}
		for sum := uint64(1); sum <= 3; sum++ {
			j, err := l.Join(e, sum, "leads")
			if err != nil || j.Role != Leads || j.Apart != (sum > 1) {
				t.Fatalf("%d: %+v, %v", sum, j, err)
			}
			if groups[sum] = j.Group; ended {
				l.Led(j.Group, &Link{Path: fmt.Sprint("at ", sum)})
			}
		}
		for sum, group := range groups {
			j, err := l.Join(e, sum, fmt.Sprint("second ", sum))
			switch {
			case err != nil:
				t.Fatal(err)
			case ended:
				if j.Role != Follows || j.Link.Path != fmt.Sprint("at ", sum) {
					t.Errorf("%d: %+v", sum, j)
				}
			case j.Role != Waits:
				t.Errorf("%d: %+v", sum, j)
			default:
				if got := l.Led(group, nil); !slices.Equal(got, []string{fmt.Sprint("second ", sum)}) {
					t.Errorf("%d: %q waited", sum, got)
				}
			}
		}
	}
}

// Whatever makes two files of two entries makes two sums of them; where the chunks are stored,
// how a path or a user is called, and when the file was born does not.
func TestLinkSum(t *testing.T) {
	chunkOf := func(id byte, n uint32) page.Ref {
		return page.Ref{ID: chunk.ID{id}, Span: blob.Span{Len: n}}
	}
	base := func() *page.Entry {
		return &page.Entry{
			Path: "a", Type: page.File, Size: 7, Mode: 0o644, UID: 1, GID: 2, User: "u",
			Mtime: page.Time{Sec: 3, Nsec: 4}, Xattrs: []page.Xattr{{Name: "user.x", Value: []byte("y")}},
			Refs: []page.Ref{chunkOf(1, 4), {Hole: 3}},
		}
	}
	sum := func(e *page.Entry) uint64 { return LinkSum(e, slices.Values(e.Refs)) }
	want := sum(base())
	for name, edit := range map[string]func(e *page.Entry){
		"type":      func(e *page.Entry) { e.Type = page.FIFO },
		"size":      func(e *page.Entry) { e.Size++ },
		"mode":      func(e *page.Entry) { e.Mode |= 0o4000 },
		"uid":       func(e *page.Entry) { e.UID++ },
		"gid":       func(e *page.Entry) { e.GID++ },
		"mtime":     func(e *page.Entry) { e.Mtime.Nsec++ },
		"flags":     func(e *page.Entry) { e.Flags = 0x40 },
		"target":    func(e *page.Entry) { e.Target = "t" },
		"device":    func(e *page.Entry) { e.Minor = 1 },
		"chunk":     func(e *page.Entry) { e.Refs[0] = chunkOf(2, 4) },
		"lengths":   func(e *page.Entry) { e.Refs[0], e.Refs[1].Hole = chunkOf(1, 3), 4 },
		"more":      func(e *page.Entry) { e.Refs = append(e.Refs, chunkOf(1, 4)) },
		"none":      func(e *page.Entry) { e.Refs = nil },
		"attribute": func(e *page.Entry) { e.Xattrs[0].Value = []byte("z") },
		"name":      func(e *page.Entry) { e.Xattrs[0].Name = "user." },
		"no attr":   func(e *page.Entry) { e.Xattrs = nil },
		"large":     func(e *page.Entry) { e.XattrRefs = []page.Ref{chunkOf(3, 1)} },
	} {
		e := base()
		if edit(e); sum(e) == want {
			t.Errorf("%s: the sum is the same", name)
		}
	}
	e := base()
	e.Path, e.User, e.Group, e.Btime = "b", "v", "w", page.Time{Sec: 9}
	e.Refs[0].Span.Off, e.Refs[0].Blob = 100, &blob.Info{}
	if sum(e) != want {
		t.Error("the sum goes by what makes no other file")
	}
}

// What is known of files that failed, or whose names were kept, goes; what is known
// of those in their place takes little, and Memory says how much.
func TestLinks_Memory(t *testing.T) {
	const n, most = 100_000, 76
	paths := make([]string, n)
	for i := range paths {
		paths[i] = fmt.Sprintf("home/user/daily.%02d/projects/vaultik/source/file%06d.txt", i/5000, i)
	}
	var l Links[int]
	before := heap()
	for i := range n {
		e := entryOf(fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15), page.File)
		j, err := l.Join(e, 0, i)
		if j.Role != Leads || err != nil {
			t.Fatal(j, err)
		}
		l.Led(j.Group, nil)
	}
	if got := heap() - before; got > n { // the map that was emptied, which grew to one group
		t.Errorf("%d bytes are kept of %d files that failed", got, n)
	}
	before = heap()
	for i, p := range paths {
		e := entryOf(fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15), page.File)
		j, err := l.Join(e, 0, i)
		if err != nil {
			t.Fatal(err)
		}
		l.Led(j.Group, &Link{Path: p})
	}
	got := heap() - before
	t.Logf("%d bytes a file, counted as %d; a path has %d", got/n, l.Memory()/n, len(paths[0]))
	if got > most*n {
		t.Errorf("%d bytes a file, want %d at the most", got/n, most)
	}
	if m := l.Memory(); m < got*3/4 || m > got*3/2 {
		t.Errorf("Memory says %d, it is %d", m, got)
	}
	for i := 0; i < n; i += 997 {
		e := entryOf(fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15), page.File)
		if j, _ := l.Join(e, 0, i); j.Role != Follows || j.Link.Path != paths[i] {
			t.Fatalf("%+v, want %q", j, paths[i])
		}
	}
	runtime.KeepAlive(paths)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Paths come back as they were, in whatever order they came.
func TestPathList(t *testing.T) {
	r := newRand(t)
	var l pathList
	var want []string
	for i := range 1000 {
		var p string
		switch r.IntN(4) {
		case 0:
			p = strings.Repeat("long/", r.IntN(2000)) + "x"
		case 1:
			p = string([]byte{byte(rand.IntN(256)), '/', 0xff})
		default:
			p = fmt.Sprintf("d%d/e%d/f%d", r.IntN(3), r.IntN(3), i)
		}
		if n := l.add(p); int(n) != i {
			t.Fatalf("number %d, want %d", n, i)
		}
		want = append(want, p)
	}
	for i, p := range want {
		if got := l.at(uint32(i)); got != p {
			t.Fatalf("%d: %q, want %q", i, got, p)
		}
	}
}
