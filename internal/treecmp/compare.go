package treecmp

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sort"
	"strings"
)

// Options choose what counts. The zero value compares everything.
type Options struct {
	Ignore  []Kind // kinds of difference that are not reported
	Outside bool   // compare how many names of each inode are not in the tree
	SkipTop bool   // leave out the attributes of the two tops themselves
	Workers int    // goroutines that hash, for each side; 0: as many as processors
}

// Difference is one thing in which the trees differ.
type Difference struct {
	Kind Kind
	Path string // relative to the tops, raw bytes
	A, B string // what each side has, for people
}

func (d Difference) String() string {
	return fmt.Sprintf("%-8s %q: %s | %s", d.Kind, d.Path, d.A, d.B)
}

// Result says how much was compared.
type Result struct {
	Differences []Difference // in path order, hard links last
	Entries     int          // names in the first tree, its top included
	Bytes       int64        // of all its files
}

// Compare reads both trees and lists all differences. An error means that
// something could not be read and nothing is known.
func Compare(ctx context.Context, a, b string, o Options) (*Result, error) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	var (
		sides [2]*tree
		errs  [2]error
		done  = make(chan struct{}, 2)
	)
	for i, top := range []string{a, b} {
		go func() {
			defer func() { done <- struct{}{} }()
			sides[i], errs[i] = scan(ctx, top, o.Workers)
		}()
	}
	<-done
	<-done
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	c := comparison{ignore: o.Ignore}
	c.trees(sides[0].entries, sides[1].entries, o.SkipTop)
	if o.Outside {
		c.outside(sides[0].entries, sides[1].entries)
	}
	return &Result{Differences: c.found, Entries: len(sides[0].entries), Bytes: sides[0].bytes}, nil
}

type comparison struct {
	ignore []Kind
	found  []Difference
}

func (c *comparison) add(k Kind, path string, a, b any) {
	if !slices.Contains(c.ignore, k) {
		c.found = append(c.found, Difference{k, path, fmt.Sprint(a), fmt.Sprint(b)})
	}
}

func (c *comparison) trees(a, b map[string]*entry, skipTop bool) {
	for _, path := range union(a, b) {
		x, y := a[path], b[path]
		switch {
		case y == nil:
			c.add(Missing, path, x.typ, "nothing")
		case x == nil:
			c.add(Missing, path, "nothing", y.typ)
		case x.typ != y.typ:
			c.add(Type, path, x.typ, y.typ)
		case path == "." && skipTop && x.typ == "dir":
		default:
			c.entries(path, x, y)
		}
	}
	c.links(a, b)
}

func (c *comparison) entries(path string, x, y *entry) {
	if x.mode != y.mode {
		c.add(Mode, path, fmt.Sprintf("%04o", x.mode), fmt.Sprintf("%04o", y.mode))
	}
	if x.uid != y.uid || x.gid != y.gid {
		c.add(Owner, path, fmt.Sprintf("%d:%d", x.uid, x.gid), fmt.Sprintf("%d:%d", y.uid, y.gid))
	}
	if x.size != y.size {
		c.add(Size, path, x.size, y.size)
	} else {
		c.holes(path, x, y)
	}
	if x.sum != y.sum {
		c.add(Content, path, fmt.Sprintf("%x", x.sum[:8]), fmt.Sprintf("%x", y.sum[:8]))
	}
	if x.target != y.target {
		c.add(Target, path, fmt.Sprintf("%q", x.target), fmt.Sprintf("%q", y.target))
	}
	if x.rdev != y.rdev {
		c.add(Device, path, fmt.Sprintf("%#x", x.rdev), fmt.Sprintf("%#x", y.rdev))
	}
	if x.mtime != y.mtime {
		c.add(Mtime, path, x.mtime, y.mtime)
	}
	for _, name := range union(x.xattrs, y.xattrs) {
		if v, w := show(x.xattrs, name), show(y.xattrs, name); v != w {
			c.add(Xattr, path, name+"="+v, name+"="+w)
		}
	}
	if x.flags != y.flags {
		c.add(Flags, path, fmt.Sprintf("%#x", x.flags), fmt.Sprintf("%#x", y.flags))
	}
}

// show tells an absent attribute from an empty one.
func show(attrs map[string]string, name string) string {
	v, ok := attrs[name]
	if !ok {
		return "absent"
	}
	return fmt.Sprintf("%q", v)
}

func (c *comparison) holes(path string, x, y *entry) {
	block := max(x.block, y.block)
	for _, h := range uncovered(x.holes, y.holes, x.size, block) {
		c.add(Holes, path, fmt.Sprintf("hole %d-%d", h.off, h.end), "data there")
	}
	for _, h := range uncovered(y.holes, x.holes, x.size, block) {
		c.add(Holes, path, "data there", fmt.Sprintf("hole %d-%d", h.off, h.end))
	}
}

// minHole is the size in bytes from which a hole must be kept: smaller ones are
// stored as zeros, since a reference to a hole costs more than they do.
const minHole = 64 << 10

// uncovered lists the holes of want that have does not cover, apart from small ones
// and from what lies outside of whole blocks.
func uncovered(want, have []extent, size, block int64) []extent {
	var out []extent
	for _, h := range want {
		if h.end-h.off < minHole {
			continue
		}
		in := extent{(h.off + block - 1) / block * block, h.end}
		if h.end != size {
			in.end = h.end / block * block
		}
		covered := slices.ContainsFunc(have, func(g extent) bool { return g.off <= in.off && in.end <= g.end })
		if in.off < in.end && !covered {
			out = append(out, h)
		}
	}
	return out
}

// links compares the partition of names into inodes.
func (c *comparison) links(a, b map[string]*entry) {
	ga, gb := groups(a), groups(b)
	seen := map[string]bool{}
	done := map[[2]inode]bool{} // a group may have 100,000 names
	for _, path := range union(a, b) {
		if a[path] == nil || b[path] == nil || a[path].typ != b[path].typ {
			continue // reported already; its group is compared by the names both have
		}
		pair := [2]inode{a[path].inode, b[path].inode}
		if done[pair] {
			continue
		}
		done[pair] = true
		x, y := shared(ga[a[path].inode], b), shared(gb[b[path].inode], a)
		if slices.Equal(x, y) {
			continue
		}
		key := strings.Join(x, "\x00") + "\x00\x00" + strings.Join(y, "\x00")
		if !seen[key] {
			seen[key] = true
			c.add(Hardlink, path, fmt.Sprintf("%q", x), fmt.Sprintf("%q", y))
		}
	}
}

// outside compares link counts, but for the names that are in the trees: a file of a
// restored tree that is also one of somewhere else changes with that.
func (c *comparison) outside(a, b map[string]*entry) {
	ga, gb := groups(a), groups(b)
	for _, path := range union(a, b) {
		x, y := a[path], b[path]
		if x == nil || y == nil || x.typ != y.typ || x.typ == "dir" {
			continue
		}
		m, n := int64(x.nlink)-int64(len(ga[x.inode])), int64(y.nlink)-int64(len(gb[y.inode]))
		if m != n {
			c.add(Outside, path, fmt.Sprintf("%d names elsewhere", m), fmt.Sprintf("%d names elsewhere", n))
		}
	}
}

// groups lists the sorted names of each inode.
func groups(entries map[string]*entry) map[inode][]string {
	out := map[inode][]string{}
	for path, e := range entries {
		if e.typ != "dir" {
			out[e.inode] = append(out[e.inode], path)
		}
	}
	for _, g := range out {
		sort.Strings(g)
	}
	return out
}

// shared keeps the names that other has too.
func shared(names []string, other map[string]*entry) []string {
	var out []string
	for _, n := range names {
		if other[n] != nil {
			out = append(out, n)
		}
	}
	return out
}

// union lists the keys of both maps, sorted.
func union[V any](a, b map[string]V) []string {
	out := make([]string, 0, len(a))
	for k := range a {
		out = append(out, k)
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			out = append(out, k)
		}
	}
	sort.Strings(out)
	return out
}
