package oddtree

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Make fills the directory root, which it creates and which must not exist or be
// empty. It answers what it had to leave out: as another user than root there are
// no devices and no foreign owners; not every file system has all attributes.
func Make(root string, o Options) (leftOut []string, err error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("make %q: %w", root, err)
	}
	if names, err := os.ReadDir(root); err != nil || len(names) > 0 {
		return nil, fmt.Errorf("make odd tree in %q: not an empty directory: %w", root, os.ErrExist)
	}
	b := newBuilder(root, o.Seed)
	b.stampAt(".", 1_600_000_000, 123_456_789)
	b.chmod(".", 0o750)
	b.names()
	b.sizes(o.Small)
	b.holes()
	b.links()
	b.modes()
	b.moments()
	b.attributes()
	b.nodes()
	b.shapes(o)
	if !b.asRoot {
		b.leftOut = append(b.leftOut, "foreign owners, devices, modes that shut their owner out: not root")
	}
	return b.leftOut, b.finish()
}

// names: what a file may be called.
func (b *builder) names() {
	b.dir("names", 0o755)
	list := []string{
		"plain", "with space", " leading", "trailing ", "-rf", "--", "~", "#hash", "a:b", "C:", "*", "?", "[a]",
		"new\nline", "\n", "tab\tbed", "cr\rlf", "bell\a", "esc\x1b[31m", "del\x7f", "\x01", "back\\slash", "\\x2e", `quo"te`, "apo'strophe", "$HOME", "`id`", "%s%n",
		"...", ".hidden", "..x", "é", "e\u0301", "ﬁ", "日本語", "🙂", "\u202egpj.exe", "\u2028", "\ufeffbom", "\ufffd", "A", "ﾊﾟ",
		"\xff", "\xfe\xff", "latin1-\xe9", "cut-\xe6\x97", "surrogate-\xed\xa0\x80", "overlong-\xc0\xaf", "mixed-é-\xe9",
		// Their order differs between "bytes" and "a path's separator first".
		"ab", "ab-c", "ab.c", "ab c", "abc",
		"name.age", ".vaultik-tmp", "store.json",
		strings.Repeat("n", 255), strings.Repeat("é", 127) + "x", strings.Repeat("\xfe", 255),
	}
	for _, n := range list {
		b.file("names/"+n, []byte("name: "+n))
	}
	for _, n := range []string{"d\nir", "d\xff\xfe", "-d", "ab.d", "ab-d", "[@]", "$(d)", "\"]d", strings.Repeat("d", 255)} {
		b.dir("names/"+n, 0o755)
		b.file("names/"+n+"/f\xfe", []byte(n))
	}
	b.dir("names/a", 0o755)
	b.file("names/a/x", []byte("below a, between a and ab"))
}

// sizes: around every boundary of the format.
func (b *builder) sizes(small bool) {
	b.dir("sizes", 0o755)
	b.file("sizes/0", nil)
	b.file("sizes/1", []byte{'1'})
	b.file("sizes/one-zero", []byte{0})
	for _, n := range []int{4096, 64 << 10, 128 << 10, 256 << 10, 1 << 20, 4 << 20} {
		for d := -1; d <= 1; d++ {
			b.file(fmt.Sprintf("sizes/%d", n+d), b.bytes(n+d))
		}
	}
	b.file("sizes/zeros-1MiB", make([]byte, 1<<20))
	twin := b.bytes(700 << 10)
	b.file("sizes/twin-1", twin)
	b.file("sizes/twin-2", twin)
	b.file("sizes/text-3MiB", b.text(3<<20))
	if small {
		return
	}
	b.file("sizes/text-20MiB", b.text(20<<20))
	random := b.bytes(30 << 20)
	b.file("sizes/random-30MiB", random)
	// The same with a piece cut out and one put in.
	b.file("sizes/random-30MiB-edited", append(append(append([]byte{}, random[:7<<20]...), "inserted"...), random[7<<20+1000:]...))
	b.file("sizes/zeros-9MiB", make([]byte, 9<<20))
}

// holes: sparse files.
func (b *builder) holes() {
	const M = 1 << 20
	b.dir("holes", 0o755)
	b.sparse("holes/all", 10*M)
	b.sparse("holes/huge", 1<<40, extent{1 << 39, b.bytes(5000)})
	b.sparse("holes/leading", 3*M, extent{2 * M, b.bytes(M)})
	b.sparse("holes/trailing", 3*M, extent{0, b.bytes(M)})
	b.sparse("holes/trailing-odd", 3*M+17, extent{0, b.bytes(M + 5)})
	b.sparse("holes/middle", 5*M, extent{0, b.bytes(M)}, extent{4 * M, b.bytes(M)})
	b.sparse("holes/32KiB", M, extent{0, b.bytes(M / 2)}, extent{M/2 + 32<<10, b.bytes(M/2 - 32<<10)})
	b.sparse("holes/64KiB", M, extent{0, b.bytes(M / 2)}, extent{M/2 + 64<<10, b.bytes(M/2 - 64<<10)})
	b.sparse("holes/one-byte", 1)
	var many []extent
	for i := range int64(40) {
		many = append(many, extent{i * 256 << 10, b.bytes(4096)})
	}
	b.sparse("holes/forty", 40*256<<10, many...)
	b.sparse("holes/data-of-zeros", 2*M, extent{0, make([]byte, M)})
}

// links: symbolic and hard.
func (b *builder) links() {
	b.dir("links", 0o755)
	b.dir("links/a", 0o755)
	b.dir("links/z", 0o755)
	b.symlink("nowhere", "links/dangling")
	b.symlink("/etc/passwd", "links/absolute")
	b.symlink("../../../../../../etc", "links/up")
	b.symlink("self", "links/self")
	b.symlink("a", "links/to-dir")
	b.symlink(".", "links/dot")
	b.symlink("with\nnewline\xff", "links/odd-target")
	b.symlink(strings.Repeat("long/", 799)+"end", "links/long")
	b.symlink("../sizes/1", "links/to-file")

	b.file("links/z/one", b.bytes(300<<10))
	b.link("links/z/one", "links/a/one")
	b.link("links/z/one", "links/one")
	b.file("links/two", []byte("two"))
	b.link("links/two", "links/two-again")
	b.file("links/empty", nil)
	b.link("links/empty", "links/z/empty")
	b.symlink("two", "links/symlink")
	b.link("links/symlink", "links/z/symlink-again")
	b.file("links/same-as-two", []byte("two"))
}

// modes: permissions, special bits, owners.
func (b *builder) modes() {
	b.dir("modes", 0o755)
	for _, m := range []uint32{0o400, 0o600, 0o644, 0o755, 0o777, 0o4755, 0o2755, 0o6711, 0o1644} {
		name := fmt.Sprintf("modes/%04o", m)
		b.file(name, []byte(name))
		b.chown(name, 1234, 5678)
		b.chmod(name, m)
	}
	for _, m := range []uint32{0o700, 0o1777, 0o2775, 0o3770} {
		name := fmt.Sprintf("modes/dir-%04o", m)
		b.dir(name, m)
		b.file(name+"/inside", []byte(name))
		b.chown(name, 4321, 8765)
		b.chmod(name, m)
	}
	if !b.asRoot { // it could neither read nor remove these
		return
	}
	b.file("modes/0000", []byte("nobody but root"))
	b.chmod("modes/0000", 0)
	for _, m := range []uint32{0, 0o500, 0o111} {
		name := fmt.Sprintf("modes/dir-%04o", m)
		b.dir(name, 0o755)
		b.dir(name+"/sub", 0o555)
		b.file(name+"/sub/file", []byte(name))
		b.chmod(name, m)
	}
	b.file("modes/big-ids", []byte("ids"))
	b.chown("modes/big-ids", 4_000_000_000, 4_294_967_294)
	b.symlink("0644", "modes/symlink-owner")
	b.chown("modes/symlink-owner", 1234, 5678)
}

// moments: what an mtime may be.
func (b *builder) moments() {
	b.dir("times", 0o755)
	for _, t := range []struct {
		name      string
		sec, nsec int64
	}{
		{"epoch", 0, 0}, {"nano-1", 1_700_000_000, 1}, {"nano-999999999", 1_700_000_000, 999_999_999},
		{"nano-100000000", 1_700_000_000, 100_000_000}, {"before-epoch", -1, 500_000_000}, {"minus-one", -1, 0},
		{"1902", -2_145_916_800, 987_654_321}, {"y2038", 2_147_483_648, 5}, {"2400", 13_569_465_600, 123_456_789}, {"tomorrow", 4_102_444_800, 0},
	} {
		b.file("times/"+t.name, []byte(t.name))
		b.stampAt("times/"+t.name, t.sec, t.nsec)
		b.dir("times/dir-"+t.name, 0o755)
		b.file("times/dir-"+t.name+"/file", []byte(t.name))
		b.stampAt("times/dir-"+t.name, t.sec, t.nsec)
		b.symlink(t.name, "times/link-"+t.name)
		b.stampAt("times/link-"+t.name, t.sec, t.nsec)
	}
}

// nodes: FIFOs and devices.
func (b *builder) nodes() {
	b.dir("nodes", 0o755)
	b.node("nodes/fifo", unix.S_IFIFO|0o640, 0)
	b.node("nodes/fifo-twin", unix.S_IFIFO|0o600, 0)
	b.link("nodes/fifo-twin", "nodes/fifo-linked")
	if !b.asRoot {
		return
	}
	b.node("nodes/null", unix.S_IFCHR|0o666, unix.Mkdev(1, 3))
	b.node("nodes/high", unix.S_IFCHR|0o600, unix.Mkdev(300, 70_000))
	b.node("nodes/loop", unix.S_IFBLK|0o660, unix.Mkdev(7, 1))
	b.chown("nodes/loop", 0, 6)
}

// shapes: wide, deep, nearly empty.
func (b *builder) shapes(o Options) {
	b.dir("shapes", 0o755)
	b.dir("shapes/empty", 0o755)
	b.dir("shapes/only-dirs/a/b/c", 0o755)
	b.dir("shapes/wide", 0o755)
	wide := 3000 // many leaves, and branches above them
	if o.Small {
		wide = 600
	}
	for i := range wide {
		b.file(fmt.Sprintf("shapes/wide/%04d", i), fmt.Appendf(nil, "file %d\n", i))
	}
	b.deep("shapes/deep", "down", 200)
	b.deep("shapes/long", strings.Repeat("l", 255), 12)
	if o.Deeper {
		b.deep("shapes/longer", strings.Repeat("x", 255), 20)
	}
	for _, d := range []string{"shapes/only-dirs/a/b", "shapes/only-dirs/a", "shapes/only-dirs"} {
		b.at(d)
	}
}
