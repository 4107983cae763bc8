package plan

import (
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"strconv"

	"vaultik/vault/page"
)

// Role is what a name of a file with several names (hard links) does.
type Role uint8

// The roles.
const (
	Leads   Role = iota // it gets the contents
	Waits               // for the one that leads; Links.Led gives it back
	Follows             // it becomes a link
)

// Link is a name that is in its place, for others to be made links to it.
type Link struct {
	Path string
	Anew bool // it was made by this restore
}

// Joined is what becomes of a name.
type Joined struct {
	Role  Role
	Link  Link   // if it Follows
	Group uint64 // if it Leads: for Links.Led
	// Apart says that the snapshot gives its file other contents or attributes than those of
	// a name that came before, though both are names of one group: a file that was changed
	// between two readings, or two files that were taken for one. Such names are not linked.
	Apart bool
}

// Links finds the names of one file for each other. T is what comes under a name.
//
// A snapshot does not say how many names a file has, and the next one may be the
// last entry of all. So what is known of a file stays, in a form that takes some
// 48 bytes beside what its path has more than the one before: [Links.Memory].
type Links[T any] struct {
	leading map[uint64]*linkGroup[T] // files of which no name is in its place
	placed  map[uint64]uint32        // number in paths
	split   map[uint64]bool          // groups of the snapshot whose names are of several files
	paths   pathList
	sums    []uint64 // by number
	anew    []bool   // by number
}

// linkGroup is a file whose first name is under way.
type linkGroup[T any] struct {
	sum     uint64
	waiting []T
}

// linkSeed makes sums that nobody who writes a snapshot can make equal on purpose.
var linkSeed = maphash.MakeSeed()

// LinkSum is equal for names that may be links to each other: of one type, with the same
// contents and attributes. Refs are all references of the contents, those in lists resolved.
func LinkSum(e *page.Entry, refs iter.Seq[page.Ref]) uint64 {
	var h maphash.Hash
	h.SetSeed(linkSeed)
	text := func(s string) {
		maphash.WriteComparable(&h, len(s))
		_, _ = h.WriteString(s) // never fails
	}
	contents := func(refs iter.Seq[page.Ref]) {
		n := 0
		for r := range refs {
			maphash.WriteComparable(&h, r.Length())
			_, _ = h.Write(r.ID[:])
			n++
		}
		maphash.WriteComparable(&h, n)
	}
	text(string(e.Type))
	text(e.Target)
	for _, n := range []uint32{e.Mode, e.UID, e.GID, e.Flags, e.Major, e.Minor} {
		maphash.WriteComparable(&h, n)
	}
	maphash.WriteComparable(&h, e.Size)
	maphash.WriteComparable(&h, e.Mtime)
	maphash.WriteComparable(&h, len(e.Xattrs))
	for i := range e.Xattrs {
		text(e.Xattrs[i].Name)
		text(string(e.Xattrs[i].Value))
	}
	contents(slices.Values(e.XattrRefs))
	contents(refs)
	return h.Sum64()
}

// Join takes the next name of a file, of which e is the entry, and its LinkSum.
func (l *Links[T]) Join(e *page.Entry, sum uint64, name T) (j Joined, err error) {
	if j.Group, err = strconv.ParseUint(e.HL, 16, 64); err != nil {
		return j, fmt.Errorf("%w: hard link group %q", page.ErrDamaged, e.HL)
	}
	id := j.Group
	for ; ; j.Group, j.Apart = linkGroupBeside(j.Group, sum), true {
		if g := l.leading[j.Group]; g != nil {
			if g.sum != sum {
				l.noteSplit(id)
				continue
			}
			g.waiting = append(g.waiting, name)
			j.Role = Waits
			return j, nil
		}
		i, ok := l.placed[j.Group]
		switch {
		case ok && l.sums[i] == sum:
			j.Role, j.Link = Follows, Link{Path: l.paths.at(i), Anew: l.anew[i]}
			return j, nil
		case ok:
			l.noteSplit(id)
			continue
		case j.Group == id && l.split[id]: // the names with this sum are beside
			continue
		}
		break
	}
	if l.leading == nil {
		l.leading, l.placed = map[uint64]*linkGroup[T]{}, map[uint64]uint32{}
	}
	l.leading[j.Group] = &linkGroup[T]{sum: sum}
	j.Role = Leads
	return j, nil
}

func (l *Links[T]) noteSplit(id uint64) {
	if l.split == nil {
		l.split = map[uint64]bool{}
	}
	l.split[id] = true
}

// linkGroupBeside is the group of the names with a sum, where another has their group.
func linkGroupBeside(group, sum uint64) uint64 {
	return maphash.Comparable(linkSeed, [2]uint64{group, sum})
}

// Led takes that a name which Leads a group is done: it is in its place, as the link says,
// or, if that is nil, it is not. It returns the names that wait, which join again.
func (l *Links[T]) Led(group uint64, at *Link) (waiting []T) {
	g := l.leading[group]
	if g == nil {
		panic("internal error: a name of a file ends that was not the first")
	}
	delete(l.leading, group)
	if at != nil {
		l.placed[group] = l.paths.add(at.Path)
		l.sums = append(l.sums, g.sum)
		l.anew = append(l.anew, at.Anew)
	}
	return g.waiting
}

// Memory is about how many bytes are taken by what is known of names that are in their place.
func (l *Links[T]) Memory() int64 {
	const each = 28 // in the map, with what it leaves free
	return int64(len(l.placed))*each + 8*int64(cap(l.sums)) + int64(cap(l.anew)) + l.paths.bytes
}
