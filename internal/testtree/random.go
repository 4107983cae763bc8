package testtree

import (
	"math/rand/v2"
	"path"
	"slices"
	"strconv"
	"strings"
)

// RandomOptions bound a random tree. Zero values mean the defaults.
type RandomOptions struct {
	Nodes   int   // about how many; default 100
	MaxSize int64 // of a file, in bytes; default 256 KiB. One in ten is sparse and up to eight times that
	Plain   bool  // only files and directories with modes and times
	All     bool  // also block devices, links to all kinds of entries, attributes of all namespaces on all of them, all inode flags
}

// Random returns a tree that is the same for the same seed and options: all kinds
// of entries, odd names, attributes, sparse files, groups of hard links.
func Random(seed uint64, o RandomOptions) Tree {
	if o.Nodes == 0 {
		o.Nodes = 100
	}
	if o.MaxSize == 0 {
		o.MaxSize = 256 << 10
	}
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0x7661756c74)), o: o, dirs: []string{"."}, seen: map[string]bool{}}
	top := NewNode(Dir, ".")
	g.attrs(&top)
	t := Tree{top}
	for len(t) < o.Nodes {
		t = append(t, g.node())
	}
	return t
}

type generator struct {
	*rand.Rand
	o     RandomOptions
	dirs  []string
	files []string
	seen  map[string]bool
}

// name returns a name, one in three of which has an odd byte; sorting of names
// around '/' is tried often.
func (g *generator) name() string {
	const plain = "abcdefgh"
	odd := []string{" ", "-", ".", "!", "\xff", "\n", "ü", "\u0308", "\"", "\\", "\x01", "0", "~", "\t", "*", "🙂", "\xc3"}
	var b strings.Builder
	for range 1 + g.IntN(4) {
		b.WriteByte(plain[g.IntN(len(plain))])
		if g.IntN(8) == 0 {
			b.WriteString(odd[g.IntN(len(odd))])
		}
	}
	if g.IntN(50) == 0 {
		b.WriteString(strings.Repeat("long", 64)[:maxName-b.Len()])
	}
	return b.String()
}

// maxName is what the kernel takes as a name of an entry, or of an attribute with its namespace.
const maxName = 255

// attrName returns a name of an attribute.
func (g *generator) attrName(namespace, end string) string {
	name := g.name() // without NUL
	return namespace + name[:min(len(name), maxName-len(namespace)-len(end))] + end
}

func (g *generator) path() string {
	for {
		dir := g.dirs[g.IntN(len(g.dirs))]
		if len(dir) > 2000 {
			continue
		}
		if p := path.Join(dir, g.name()); !g.seen[p] {
			g.seen[p] = true
			return p
		}
	}
}

func (g *generator) node() Node {
	kinds := []Kind{Dir, Dir, File, File, File, File, File, Symlink, Hardlink, FIFO, Char}
	if g.o.All {
		kinds = append(kinds, Block, Hardlink, Hardlink)
	}
	kind := kinds[g.IntN(len(kinds))]
	if g.o.Plain && kind != Dir || kind == Hardlink && len(g.files) == 0 {
		kind = File
	}
	n := NewNode(kind, g.path())
	switch kind {
	case Dir:
		g.dirs = append(g.dirs, n.Path)
	case File:
		g.content(&n)
		g.files = append(g.files, n.Path)
	case Symlink:
		n.Target = []string{"..", "nowhere", "/etc/passwd", g.name(), g.name() + "/" + g.name(), "\xfe"}[g.IntN(6)]
	case Hardlink:
		n.Target = g.files[g.IntN(len(g.files))]
		return n
	case Char:
		n.Major, n.Minor = 1, 3+uint32(g.IntN(5))
		if g.o.All && g.IntN(2) == 0 {
			n.Major, n.Minor = g.Uint32N(1<<12), g.Uint32N(1<<20)
		}
	case Block:
		n.Major, n.Minor = g.Uint32N(1<<12), g.Uint32N(1<<20)
	}
	g.attrs(&n)
	if g.o.All {
		g.more(&n)
		if kind != Dir && kind != File {
			g.files = append(g.files, n.Path)
		}
	}
	return n
}

// more gives a node what few have.
func (g *generator) more(n *Node) {
	if g.IntN(8) == 0 {
		n.Xattrs = append(n.Xattrs, Xattr{g.attrName("trusted.", ""), string(Value(g.Rand))})
	}
	if g.IntN(12) == 0 {
		n.Xattrs = append(n.Xattrs, Xattr{g.attrName("security.", ""), string(Value(g.Rand)) + "x"})
	}
	if n.Kind == File && g.IntN(12) == 0 { // revision 2, effective, and some of the first 32 capabilities
		n.Xattrs = append(n.Xattrs, Xattr{"security.capability", "\x01\x00\x00\x02" + string([]byte{byte(g.Uint32()), byte(g.Uint32()), 0, 0}) + strings.Repeat("\x00", 12)})
	}
	if n.Kind == File && g.IntN(12) == 0 { // more than stands in a page; with the others within one block of ext4
		b := make([]byte, 1000+g.IntN(1500))
		for i := range b {
			b[i] = byte(g.Uint32())
		}
		n.Xattrs = append(n.Xattrs, Xattr{"user.long", string(b)})
	}
	slices.SortFunc(n.Xattrs, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	n.Xattrs = slices.CompactFunc(n.Xattrs, func(a, b Xattr) bool { return a.Name == b.Name })
	if (n.Kind == File || n.Kind == Dir) && g.IntN(8) == 0 {
		flags := []uint32{0x8, 0x40, 0x80, 0x8 | 0x40 | 0x80} // synchronous, no dump, no access time
		if n.Kind == Dir {
			flags = append(flags, 0x10000, 0x20000) // synchronous directory, top of hierarchy
		}
		n.Flags |= flags[g.IntN(len(flags))]
	}
	switch g.IntN(20) {
	case 0:
		n.UID, n.GID = 1<<32-2, 1<<32-2
	case 1:
		n.Sec, n.Nsec = -g.Int64N(2e9), g.Int64N(1e9) // before 1970
	case 2:
		n.Nsec = []int64{0, 1, 999_999_999}[g.IntN(3)]
	}
}

func (g *generator) content(n *Node) {
	switch g.IntN(10) {
	case 0: // empty
	case 1, 2, 3:
		n.Text = strings.Repeat("text of this file \x00\n", 1+g.IntN(20)) + g.name()
	case 4:
		n.Size = g.Int64N(8 * g.o.MaxSize)
		for off := int64(0); off < n.Size; {
			length := min(1+g.Int64N(g.o.MaxSize/4), n.Size-off)
			if g.IntN(2) == 0 {
				n.Data = append(n.Data, Data{off, length, g.Uint64() >> 1})
			}
			off += length
		}
	default:
		n.Size = g.Int64N(g.o.MaxSize)
		if g.IntN(2) == 0 {
			n.Size %= 5000
		}
		if n.Size > 0 {
			n.Data = []Data{{0, n.Size, g.Uint64() >> 1}}
		}
	}
}

func (g *generator) attrs(n *Node) {
	if n.Kind == Dir {
		n.Mode = 0o700 | g.Uint32N(0o100)
	} else {
		n.Mode = 0o400 | g.Uint32N(0o1000)
	}
	if g.IntN(10) == 0 {
		n.Mode |= g.Uint32N(8) << 9 // setuid, setgid, sticky
	}
	n.Sec, n.Nsec = g.Int64N(4e9)-1e9, g.Int64N(1e9)
	if g.o.Plain {
		return
	}
	if g.IntN(4) == 0 {
		n.UID, n.GID = 1000+g.IntN(5), 1000+g.IntN(5)
	}
	if (n.Kind == File || n.Kind == Dir) && g.IntN(5) == 0 {
		for i := range 1 + g.IntN(3) {
			n.Xattrs = append(n.Xattrs, Xattr{g.attrName("user.", strconv.Itoa(i)), string(Value(g.Rand))})
		}
		slices.SortFunc(n.Xattrs, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	}
	if n.Kind == Dir && g.IntN(10) == 0 {
		n.DefACL = "u::rwx,u:1001:r-x,g::r-x,m::r-x,o::---"
	}
	if (n.Kind == File || n.Kind == Dir) && g.IntN(12) == 0 {
		n.Mode = n.Mode&^0o7777 | 0o750
		n.ACL = "u::rwx,u:1002:r--,g::r-x,m::r-x,o::---"
	}
	if (n.Kind == File || n.Kind == Dir) && g.IntN(15) == 0 {
		n.Flags = 0x40 // no dump
	}
}

// Value returns the value of an attribute: any bytes, up to 200, one in four empty.
func Value(r *rand.Rand) []byte {
	if r.IntN(4) == 0 {
		return nil
	}
	b := make([]byte, r.IntN(200))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
