package plan

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"vaultik/vault/page"
)

func TestLinks(t *testing.T) {
	a, b := entryOf("00000000000000aa", page.File), entryOf("00000000000000bb", page.Symlink)
	var l Links[string]
	join := func(e *page.Entry, name string, want Role, to string) {
		t.Helper()
		role, link, err := l.Join(e, name)
		if err != nil || role != want || link.Path != to {
			t.Fatalf("%s: %d %+v, %v", name, role, link, err)
		}
	}
	join(a, "a1", Leads, "")
	join(b, "b1", Leads, "")
	join(a, "a2", Waits, "")
	join(a, "a3", Waits, "")
	// It failed: the next one leads.
	if got := l.Led(a, nil); !slices.Equal(got, []string{"a2", "a3"}) {
		t.Fatal(got)
	}
	join(a, "a2", Leads, "")
	join(a, "a3", Waits, "")
	if got := l.Led(a, &Link{Path: "dir/a2", Anew: true}); !slices.Equal(got, []string{"a3"}) {
		t.Fatal(got)
	}
	join(a, "a3", Follows, "dir/a2")
	if _, link, _ := l.Join(a, "a4"); !link.Anew {
		t.Error("it was made")
	}
	l.Led(b, &Link{Path: "dir/b1"})
	if role, link, _ := l.Join(b, "b2"); role != Follows || link.Anew || link.Path != "dir/b1" {
		t.Errorf("%d %+v", role, link)
	}
	for _, e := range []*page.Entry{entryOf(a.HL, page.FIFO), entryOf("x", page.File)} {
		if _, _, err := l.Join(e, "x"); !errors.Is(err, page.ErrDamaged) {
			t.Errorf("%q: %v", e.HL, err)
		}
	}
	c := "00000000000000cc"
	join(entryOf(c, page.FIFO), "c1", Leads, "")
	if _, _, err := l.Join(entryOf(c, page.File), "c2"); !errors.Is(err, page.ErrDamaged) {
		t.Error(err)
	}
	if !panics(func() { l.Led(a, nil) }) {
		t.Error("a name that follows ends as one that leads")
	}
}

// What is known of files that failed, or whose names were kept, goes; what is known
// of those in their place takes little, and Memory says how much.
func TestLinks_Memory(t *testing.T) {
	const n, most = 100_000, 64
	paths := make([]string, n)
	for i := range paths {
		paths[i] = fmt.Sprintf("home/user/daily.%02d/projects/vaultik/source/file%06d.txt", i/5000, i)
	}
	var l Links[int]
	before := heap()
	for i := range n {
		e := entryOf(fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15), page.File)
		if role, _, err := l.Join(e, i); role != Leads || err != nil {
			t.Fatal(role, err)
		}
		l.Led(e, nil)
	}
	if got := heap() - before; got > n { // the map that was emptied, which grew to one group
		t.Errorf("%d bytes are kept of %d files that failed", got, n)
	}
	before = heap()
	for i, p := range paths {
		e := entryOf(fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15), page.File)
		if _, _, err := l.Join(e, i); err != nil {
			t.Fatal(err)
		}
		l.Led(e, &Link{Path: p})
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
		if role, link, _ := l.Join(e, i); role != Follows || link.Path != paths[i] {
			t.Fatalf("%d %q, want %q", role, link.Path, paths[i])
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
