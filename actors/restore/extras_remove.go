package restore

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"strings"

	"vaultik/actors"
	"vaultik/internal/words"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
)

var (
	errMounted      = errors.New("another file system is mounted there")
	errChangedSince = errors.New("it has changed since it was listed")
	errNotListed    = errors.New("it was not listed")
)

// leave ends the directories that place is not in, "" for all: extra ones are deleted,
// unless something in them is kept.
func (x *extras) leave(place string) {
	for n := len(x.stack); n > 0; n-- {
		d := x.stack[n-1]
		if place != "" && d.place != place && page.Within(d.place, place) {
			return
		}
		x.stack = x.stack[:n-1]
		if d.extra {
			path := x.run.part.Origin(d.place)
			gone := false
			if d.stays {
				x.stay(path, &d.st, vfs.ErrNotEmpty)
			} else {
				gone = x.remove(path, d.place, &d.st)
			}
			if gone && d.thaw != nil {
				_ = d.thaw() // only gives back its descriptor
				d.thaw = nil
			}
		}
		if d.thaw != nil {
			if err := d.thaw(); err != nil {
				x.fail(x.run.part.Origin(d.place), &d.st, err)
			}
		}
	}
}

// remove counts an entry, and deletes it. It reports whether it is deleted, or would be.
func (x *extras) remove(path, place string, st *vfs.Stat) bool {
	if l := x.spec.Listed; l != nil {
		if was, ok := l.find(path); !ok ||
			was.state == 0 { // a directory in which something was to stay
			x.stay(path, st, errNotListed)
			return false
		}
		err := x.thawAbove()
		if err == nil {
			err = x.run.target.Remove(place, st)
		}
		switch {
		case errors.Is(err, vfs.ErrNotEmpty): // it holds excluded or new entries
			x.stay(path, st, vfs.ErrNotEmpty)
			return false
		case errors.Is(err, iofs.ErrNotExist): // somebody else has deleted it
			return true
		case err != nil:
			x.fail(path, st, err)
			return false
		}
	}
	r := &x.result
	r.note(path, st)
	if st.Type == page.Dir {
		r.Dirs++
	} else {
		r.Files++
	}
	if st.Type == page.Dir || st.Nlink == 1 {
		r.Bytes += st.Blocks
	}
	x.run.spec.Progress.FilesDone.Add(1)
	x.tell(path, st, nil)
	return true
}

// thawAbove makes the directory that the walk is in changeable.
func (x *extras) thawAbove() (err error) {
	if len(x.stack) == 0 {
		return nil
	}
	d := x.stack[len(x.stack)-1]
	if d.thaw == nil {
		d.thaw, err = x.run.target.Thaw(d.place)
	}
	return err
}

// stay notes that something is kept, and with it the directories that it is in.
func (x *extras) stay(path string, st *vfs.Stat, why error) {
	x.result.Stay++
	x.result.note(path, nil)
	x.keepAbove()
	x.tell(path, st, why)
}

func (x *extras) keepAbove() {
	for _, d := range x.stack {
		d.stays = true
	}
}

// fail notes that something could not be deleted.
func (x *extras) fail(path string, st *vfs.Stat, err error) {
	x.keepAbove()
	r := &x.result
	r.Failed++
	if len(r.Problems) < actors.MaxResultList {
		r.Problems = append(r.Problems, Problem{Path: path, Reason: err.Error(), Err: err})
	}
	x.tell(path, st, err)
}

func (x *extras) unreadable(path string, err error) {
	switch {
	case errors.Is(err, os.ErrNotExist):
	case errors.Is(err, os.ErrPermission) && x.run.target.Barred(x.run.part.Place(path)):
		if x.barred++; x.barred == 1 {
			x.barredAt = x.run.part.Place(path)
		}
	default:
		x.fail(path, &vfs.Stat{}, err)
	}
}

// sayBarred says, of what is found and not of what is deleted, where nobody has looked. Where
// the snapshot itself bars the owner from a directory there is mostly nothing else in it.
func (x *extras) sayBarred() {
	if x.barred > 0 && x.spec.Listed == nil {
		x.run.spec.warn(fmt.Sprintf("%s not looked into for what is not in the snapshot, "+
			"since the mode bars this user; first: %s",
			words.Plural(x.barred, "directory was", "directories were"),
			absIn(x.run.abs, x.barredAt)))
	}
}

func (x *extras) tell(path string, st *vfs.Stat, why error) {
	if x.spec.OnItem != nil {
		x.spec.OnItem(path, st, why)
	}
}

// otherName reports whether an entry of the target is one of the snapshot under
// another spelling, on a file system that takes both for the same.
func (x *extras) otherName(path, place string) bool {
	folds := x.run.target.Folds
	if x.run.faults.Folds != nil {
		folds = x.run.faults.Folds
	}
	if !folds(place) {
		return false
	}
	dir, name := splitPath(path)
	if x.names == nil || x.ofDir != dir {
		x.names, x.ofDir = map[string]bool{}, dir
		err := x.run.Below(dir, func(e *page.Entry) error {
			if e.Path == dir {
				return nil
			}
			_, n := splitPath(e.Path)
			x.names[vfs.FoldName(n)] = true
			if e.Type == page.Dir {
				return page.SkipSubtree
			}
			return nil
		})
		if err != nil {
			return true // whatever it is, it stays
		}
	}
	return x.names[vfs.FoldName(name)]
}

func splitPath(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return ".", path
	}
	return path[:i], path[i+1:]
}
