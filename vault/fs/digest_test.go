package fs

import (
	"testing"
	"time"

	"vaultik/vault/page"
)

func TestStatHasher_Sum(t *testing.T) {
	h, read := NewStatHasher([32]byte{1}), Moment{Clock: time.Unix(2000, 0)}
	base := Stat{Type: page.File, Mode: 0o644, UID: 1, GID: 2, Size: 3, Mtime: page.Time{Sec: 4, Nsec: 5}, Ctime: page.Time{Sec: 6, Nsec: 7}, Ino: 8, Nlink: 1}
	want := h.Sum("a", &base, read)
	if want.IsZero() || h.Sum("a", &base, Moment{Clock: read.Clock.Add(time.Hour)}) != want {
		t.Error("the sum depends on when it is taken")
	}
	if h.Sum("b", &base, read) == want || NewStatHasher([32]byte{2}).Sum("a", &base, read) == want {
		t.Error("path or key does not count")
	}
	for name, change := range map[string]func(*Stat){
		"type":       func(s *Stat) { s.Type = page.FIFO },
		"mode":       func(s *Stat) { s.Mode = 0o4644 },
		"uid":        func(s *Stat) { s.UID = 9 },
		"gid":        func(s *Stat) { s.GID = 9 },
		"size":       func(s *Stat) { s.Size = 9 },
		"mtime":      func(s *Stat) { s.Mtime.Sec = 9 },
		"mtime nsec": func(s *Stat) { s.Mtime.Nsec = 9 },
		"ctime":      func(s *Stat) { s.Ctime.Sec = 9 },
		"ctime nsec": func(s *Stat) { s.Ctime.Nsec = 9 },
		"inode":      func(s *Stat) { s.Ino = 9 },
		"links":      func(s *Stat) { s.Nlink = 9 },
		"device":     func(s *Stat) { s.Minor = 9 },
	} {
		st := base
		change(&st)
		if h.Sum("a", &st, read) == want {
			t.Errorf("%s does not count", name)
		}
	}
	for _, d := range []int64{-2, 0, 2} {
		st := base
		st.Ctime.Sec = read.Clock.Unix() + d
		if !h.Sum("a", &st, read).IsZero() {
			t.Errorf("ctime %d s from the reading is relied on", d)
		}
		st = base
		st.Mtime.Sec = read.Clock.Unix() + d
		if !h.Sum("a", &st, read).IsZero() {
			t.Errorf("mtime %d s from the reading is relied on", d)
		}
	}
	types := map[StatSum]page.Type{}
	for _, ty := range []page.Type{page.File, page.Dir, page.Symlink, page.FIFO, page.Char, page.Block, page.Socket} {
		st := base
		st.Type = ty
		sum := h.Sum("a", &st, read)
		if other, ok := types[sum]; ok {
			t.Errorf("%s and %s have one sum", ty, other)
		}
		types[sum] = ty
	}
}

func TestStatHasher_Leaf(t *testing.T) {
	h := NewStatHasher([32]byte{1})
	keys, sums, links := [][16]byte{{1}, {2}}, []StatSum{{3}, {4}}, []string{"", "a"}
	want := h.Leaf(keys, sums, links)
	if want == ([32]byte{}) || h.Leaf(keys[:1], sums[:1], links[:1]) == want ||
		h.Leaf([][16]byte{{2}, {1}}, sums, links) == want {
		t.Error("the digest does not cover the entries and their order")
	}
	for _, other := range [][]string{{"", ""}, {"", "b"}, {"a", "a"}} {
		if h.Leaf(keys, sums, other) == want {
			t.Errorf("the digest does not cover the links %q", other)
		}
	}
	if h.Leaf(keys, []StatSum{{3}, {}}, links) != ([32]byte{}) {
		t.Error("a racy entry does not show")
	}
}

func TestHardLink(t *testing.T) {
	st := Stat{Ino: 7, Dev: 1}
	a := HardLink([32]byte{1}, "ef53 id 12", &st)
	if len(a) != 16 || HardLink([32]byte{1}, "ef53 id 12", &Stat{Ino: 7, Dev: 2}) != a {
		t.Errorf("%q", a)
	}
	for _, b := range []string{
		HardLink([32]byte{2}, "ef53 id 12", &st), HardLink([32]byte{1}, "ef53 id 12 #2", &st),
		HardLink([32]byte{1}, "ef53 id 12", &Stat{Ino: 8}),
		HardLink([32]byte{1}, "ef53 id 12", &Stat{Ino: 7, Subvol: 1}),
	} {
		if a == b {
			t.Error("key, file system, inode or subvolume does not count")
		}
	}
}

// Where time stamps are whole seconds, a change may hide behind the one before it for as
// long as the file system's own clock is in that second, wherever this machine's is.
func TestStatHasher_OtherClock(t *testing.T) {
	h := NewStatHasher([32]byte{1})
	now := time.Unix(2_000_000_000, 0)
	for _, test := range []struct {
		name        string
		skew        int64 // of the file system's clock
		nsec        int32
		newest      int64 // after the change, in seconds
		age         int64 // of the change, by the file system's clock
		mayBeHidden bool
	}{
		{name: "20 s behind", skew: -20, mayBeHidden: true},
		{name: "20 s ahead", skew: 20, mayBeHidden: true},
		{name: "steps of 2 s", skew: -20, newest: 2, age: 2, mayBeHidden: true},
		{name: "a time zone behind", skew: -10 * 3600, mayBeHidden: true},
		{name: "its clock has gone on", skew: -20, newest: 3, age: 3},
		{name: "ahead, and has gone on", skew: 20, newest: 10, age: 10},
		{name: "fractions of seconds", skew: -20, nsec: 1},
		{name: "days old", age: 3 * 24 * 3600},
		{name: "this clock, just now", nsec: 1, mayBeHidden: true},
		{name: "nothing newer is known", age: 60, mayBeHidden: true},
	} {
		changed := now.Unix() + test.skew - test.age
		stamp := page.Time{Sec: changed, Nsec: test.nsec}
		var c Clocks
		c.Saw(&Stat{Dev: 7, Ctime: page.Time{Sec: changed + test.newest}}, now)
		c.Saw(&Stat{Dev: 8, Ctime: page.Time{Sec: now.Unix()}}, now)               // another one
		c.Saw(&Stat{Dev: 7, Ctime: page.Time{Sec: now.Unix() + 400*24*3600}}, now) // nonsense
		st := Stat{Dev: 7, Type: page.File, Size: 3, Mtime: stamp, Ctime: stamp}
		if zero := h.Sum("a", &st, c.Moment(7, now)).IsZero(); zero != test.mayBeHidden {
			t.Errorf("%s: relied on: %v", test.name, !zero)
		}
	}
}

// A sum vouches for a file in a run that ignores the same or more, if the rest is the same,
// and in no other.
func TestStatHasher_Vouches(t *testing.T) {
	read := Moment{Clock: time.Unix(2000, 0), Newest: 2000}
	then := Stat{Type: page.File, Mode: 0o644, Size: 5, Ino: 7, Nlink: 1,
		Mtime: page.Time{Sec: 1, Nsec: 3}, Ctime: page.Time{Sec: 2, Nsec: 4}}
	inode, ctime, size := then, then, then
	inode.Ino++
	ctime.Ctime = page.Time{Sec: 9, Nsec: 9}
	size.Size++
	h := func(i Ignore) *StatHasher {
		s := NewStatHasher([32]byte{1})
		s.Ignore = i
		return s
	}
	const both = IgnoreInode | IgnoreCtime
	for _, c := range []struct {
		was, is Ignore
		now     *Stat
		want    bool
	}{
		{0, 0, &then, true},
		{0, 0, &inode, false},
		{0, IgnoreInode, &then, true}, // nothing is read again because it is ignored from now on
		{0, both, &then, true},
		{IgnoreCtime, both, &ctime, true},
		{IgnoreInode, both, &inode, true},
		{IgnoreInode, IgnoreInode, &inode, true},
		{IgnoreCtime, IgnoreCtime, &ctime, true},
		{both, both, &ctime, true},
		{both, both, &size, false},
		{0, IgnoreInode, &inode, false}, // it said nothing of what is alike without the inode
		{IgnoreInode, 0, &then, false},
		{IgnoreInode, IgnoreCtime, &then, false},
		{both, IgnoreCtime, &then, false},
		{IgnoreInode, IgnoreInode, &ctime, false},
		{IgnoreCtime, IgnoreCtime, &inode, false},
	} {
		old, now := h(c.was).Sum("a", &then, read), h(c.is).Sum("a", c.now, read)
		if got := h(c.is).Vouches(old, now, "a", c.now); got != c.want {
			t.Errorf("from %d to %d, %+v: %v", c.was, c.is, c.now, got)
		}
	}
	late := then
	late.Mtime.Sec = read.Clock.Unix()
	if s := h(both).Sum("a", &late, read); !s.IsZero() || h(both).Vouches(s, s, "a", &late) {
		t.Error("a file that was changed just now is vouched for")
	}
	late = then
	late.Ctime.Sec = read.Clock.Unix()
	if h(0).Sum("a", &late, read) != (StatSum{}) || h(IgnoreCtime).Sum("a", &late, read).IsZero() {
		t.Error("a ctime counts where it is ignored, or does not where it is not")
	}
}
