package treecmp

import (
	"bytes"
	"crypto/sha256"
	"reflect"
	"slices"
	"testing"
)

// Every field of an entry counts: no two entries that differ in one are equal.
func TestComparison_everyField(t *testing.T) {
	t.Parallel()
	base := entry{typ: "file", size: 1 << 20, block: 4096}
	changes := map[string]struct {
		change func(*entry)
		want   Kind
	}{
		"typ":    {func(e *entry) { e.typ = "dir" }, Type},
		"mode":   {func(e *entry) { e.mode = 0o4000 }, Mode},
		"uid":    {func(e *entry) { e.uid = 1 }, Owner},
		"gid":    {func(e *entry) { e.gid = 1 }, Owner},
		"size":   {func(e *entry) { e.size++ }, Size},
		"sum":    {func(e *entry) { e.sum[31] = 1 }, Content},
		"holes":  {func(e *entry) { e.holes = []extent{{0, 64 << 10}} }, Holes},
		"block":  {func(e *entry) { e.block = 512 }, ""}, // of the file system, not of the file
		"target": {func(e *entry) { e.target = "x" }, Target},
		"rdev":   {func(e *entry) { e.rdev = 1 }, Device},
		"mtime":  {func(e *entry) { e.mtime.nsec = 1 }, Mtime},
		"xattrs": {func(e *entry) { e.xattrs = map[string]string{"user.empty": ""} }, Xattr},
		"flags":  {func(e *entry) { e.flags = 0x40 }, Flags},
		"inode":  {func(e *entry) { e.inode.ino = 7 }, Hardlink},
		"nlink":  {func(e *entry) { e.nlink = 7 }, Outside},
	}
	for i := range reflect.TypeFor[entry]().NumField() {
		name := reflect.TypeFor[entry]().Field(i).Name
		c, ok := changes[name]
		if !ok {
			t.Errorf("nothing tests the field %s", name)
			continue
		}
		for _, swap := range []bool{false, true} {
			// The name "other" shares the inode, so that a change of inode is a change of group.
			x, y := base, base
			c.change(&y)
			if swap {
				x, y = y, x
			}
			other := base
			var cmp comparison
			cmp.trees(map[string]*entry{"f": &x, "other": &other}, map[string]*entry{"f": &y, "other": &other}, false)
			cmp.outside(map[string]*entry{"f": &x, "other": &other}, map[string]*entry{"f": &y, "other": &other})
			var kinds []Kind
			for _, d := range cmp.found {
				kinds = append(kinds, d.Kind)
			}
			switch {
			case c.want == "" && len(kinds) > 0:
				t.Errorf("%s: found %v, want nothing", name, kinds)
			case c.want != "" && !slices.Contains(kinds, c.want):
				t.Errorf("%s (swapped %v): found %v, want %s", name, swap, kinds, c.want)
			}
		}
	}
}

func TestUncovered(t *testing.T) {
	t.Parallel()
	const K, size = int64(1 << 10), int64(1 << 20)
	for name, c := range map[string]struct {
		want, have []extent
		lost       int
	}{
		"none":                   {nil, nil, 0},
		"same":                   {[]extent{{64 * K, 128 * K}}, []extent{{64 * K, 128 * K}}, 0},
		"filled":                 {[]extent{{64 * K, 128 * K}}, nil, 1},
		"small filled":           {[]extent{{64 * K, 128*K - 1}}, nil, 0},
		"larger":                 {[]extent{{64 * K, 128 * K}}, []extent{{0, 256 * K}}, 0},
		"one block short":        {[]extent{{64 * K, 192 * K}}, []extent{{64 * K, 188 * K}}, 1},
		"edges within a block":   {[]extent{{64*K - 1, 192*K + 1}}, []extent{{64 * K, 192 * K}}, 0},
		"data in the middle":     {[]extent{{0, 512 * K}}, []extent{{0, 200 * K}, {204 * K, 512 * K}}, 1},
		"to the end":             {[]extent{{512 * K, size}}, []extent{{512 * K, size}}, 0},
		"last block data":        {[]extent{{512 * K, size}}, []extent{{512 * K, size - 4*K}}, 1},
		"second of two":          {[]extent{{0, 64 * K}, {512 * K, 600 * K}}, []extent{{0, 64 * K}}, 1},
		"neighbours do not help": {[]extent{{0, 128 * K}}, []extent{{0, 64 * K}, {68 * K, 128 * K}}, 1},
	} {
		if got := uncovered(c.want, c.have, size, 4096); len(got) != c.lost {
			t.Errorf("%s: lost %v, want %d", name, got, c.lost)
		}
	}
}

// The sum depends on the bytes and where they are, not on what was skipped.
func TestSumContent(t *testing.T) {
	t.Parallel()
	const size = 1<<20 + 12345
	data := make([]byte, size)
	copy(data[300_000:], bytes.Repeat([]byte("x"), 100_000))
	copy(data[900_000:], "y")
	holes := []extent{{0, 294_912}, {401_408, 897_024}, {901_120, size}}
	buf := make([]byte, 256<<10)
	sum := func(p []byte, skip []extent) [sha256.Size]byte {
		t.Helper()
		s, err := sumContent(bytes.NewReader(p), int64(len(p)), skip, buf)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	want := sum(data, nil)
	if sum(data, holes) != want {
		t.Error("the sum depends on holes")
	}
	for _, i := range []int{0, 299_999, 300_000, 399_999, 500_000, 900_000, size - 1} {
		data[i] ^= 1
		if sum(data, nil) == want {
			t.Errorf("byte %d does not count", i)
		}
		data[i] ^= 1
	}
	moved := append(make([]byte, 64<<10), data[:size-64<<10]...)
	if sum(moved, nil) == want {
		t.Error("moving by a block does not count")
	}
	if _, err := sumContent(bytes.NewReader(data[:size-1]), size, nil, buf); err == nil {
		t.Error("a file that ends early is no error")
	}
}
