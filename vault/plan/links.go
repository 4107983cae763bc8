package plan

import (
	"fmt"
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

// Links finds the names of one file for each other. T is what comes under a name.
//
// A snapshot does not say how many names a file has, and the next one may be the
// last entry of all. So what is known of a file stays, in a form that takes some
// 40 bytes beside what its path has more than the one before: [Links.Memory].
type Links[T any] struct {
	leading map[uint64]*linkGroup[T] // files of which no name is in its place
	placed  map[uint64]uint32        // number in paths
	paths   pathList
	flags   []byte // by number: type, and whether it was made
}

// linkGroup is a file whose first name is under way.
type linkGroup[T any] struct {
	kind    page.Type
	waiting []T
}

const linkAnew = 0x80 // in Links.flags

var linkTypes = []page.Type{page.File, page.Symlink, page.FIFO, page.Char, page.Block, page.Socket}

// Join takes the next name of a file, of which e is the entry. The link is set if it Follows.
func (l *Links[T]) Join(e *page.Entry, name T) (Role, Link, error) {
	id, err := strconv.ParseUint(e.HL, 16, 64)
	if err != nil {
		return 0, Link{}, fmt.Errorf("%w: hard link group %q", page.ErrDamaged, e.HL)
	}
	if g := l.leading[id]; g != nil {
		if g.kind != e.Type {
			return 0, Link{}, errLinkType(g.kind)
		}
		g.waiting = append(g.waiting, name)
		return Waits, Link{}, nil
	}
	if i, ok := l.placed[id]; ok {
		flags := l.flags[i]
		if kind := linkTypes[flags&^linkAnew]; kind != e.Type {
			return 0, Link{}, errLinkType(kind)
		}
		return Follows, Link{Path: l.paths.at(i), Anew: flags&linkAnew != 0}, nil
	}
	if l.leading == nil {
		l.leading, l.placed = map[uint64]*linkGroup[T]{}, map[uint64]uint32{}
	}
	l.leading[id] = &linkGroup[T]{kind: e.Type}
	return Leads, Link{}, nil
}

func errLinkType(t page.Type) error {
	return fmt.Errorf("%w: another name of the same file is a %s", page.ErrDamaged, t)
}

// Led takes that a name which Leads is done: it is in its place, as the link says,
// or, if that is nil, it is not. It returns the names that wait, which join again.
func (l *Links[T]) Led(e *page.Entry, at *Link) (waiting []T) {
	id, _ := strconv.ParseUint(e.HL, 16, 64) // as in Join
	g := l.leading[id]
	if g == nil {
		panic("internal error: a name of a file ends that was not the first")
	}
	delete(l.leading, id)
	if at != nil {
		l.place(id, g.kind, at)
	}
	return g.waiting
}

func (l *Links[T]) place(id uint64, kind page.Type, at *Link) {
	var flags byte
	for i, t := range linkTypes {
		if t == kind {
			flags = byte(i)
		}
	}
	if at.Anew {
		flags |= linkAnew
	}
	l.placed[id] = l.paths.add(at.Path)
	l.flags = append(l.flags, flags)
}

// Memory is about how many bytes are taken by what is known of names that are in their place.
func (l *Links[T]) Memory() int64 {
	const each = 28 // in the map, with what it leaves free
	return int64(len(l.placed))*each + int64(cap(l.flags)) + l.paths.bytes
}
