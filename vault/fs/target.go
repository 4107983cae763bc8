package fs

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	iofs "io/fs"
	"slices"
	"strings"
	"sync"
	"syscall"

	"vaultik/vault/page"
)

// TargetOptions change how a Target makes entries. The zero value is what a user expects.
type TargetOptions struct {
	NumericOwner bool // take owners by number, even where their names are known here
	ReplaceFiles bool // remove a file that is where a directory belongs (a symbolic link always is)
	KeepLinks    bool // a file with other names may get the attributes of an entry that has none
	ReadOnly     bool // change nothing: whatever would is an error, and the target need not exist

	// LargeFile is the size in bytes from which a file is restored as a part, so that
	// the next restore can resume within it, where the system has locks for that. 0: 64
	// MiB.
	LargeFile int64

	// Mark is the text of the mark that says until Unmark that this is not complete; "": none
	// is made.
	Mark string

	// Xattrs reads the attributes of an entry that has them in chunks. It is called for
	// one entry at a time, and what it returns is soon released: it may be 16 MiB.
	Xattrs func(*page.Entry) ([]page.Xattr, error)
}

// errReadOnly is a bug of a caller that makes a Target change something despite
// ReadOnly.
var errReadOnly = errors.New("internal error: nothing may be changed here")

const (
	// tempPrefix begins the names of unfinished entries; random letters follow.
	tempPrefix = ".vaultik-tmp-"
	// partPrefix begins the names of large files that are not complete; a hash of
	// the name that each is to have follows, so that the next restore finds it.
	partPrefix = ".vaultik-part-"
)

// isTemp reports whether name has the form of those that tempName makes.
func isTemp(name string) bool { return isCoded(name, tempPrefix) }

// IsUnfinished reports whether a name is one that a Target gives to incomplete entries,
// or to marks.
func IsUnfinished(name string) bool { return isTemp(name) || isPart(name) || isMark(name) }

func isPart(name string) bool { return isCoded(name, partPrefix) }

func isCoded(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	return ok && len(rest) == 26 && strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

func partName(name string) string {
	sum := sha256.Sum256([]byte(name))
	return partPrefix + base32.StdEncoding.EncodeToString(sum[:])[:26]
}

// defaultLarge is the size in bytes from which a file is worth resuming after an
// interruption: all smaller ones in progress are fetched in seconds.
const defaultLarge = 64 << 20

func (t *Target) isLarge(size int64) bool {
	if t.opt.LargeFile > 0 {
		return size >= t.opt.LargeFile
	}
	return size >= defaultLarge
}

// Swept is what RemoveTemps found.
type Swept struct {
	Removed int  // temporary entries
	Parts   bool // there are parts of large files, which it leaves
	Marks   bool // there are marks of other restores
}

// inPlace is the state of a file that is changed where it stands.
type inPlace struct {
	once   sync.Once
	err    error // of marking it
	marked bool
}

// mark makes a file that is changed in place look incomplete, before its first change.
func (f *File) mark() error {
	p := f.inPlace
	if p == nil {
		return nil
	}
	p.once.Do(func() {
		if p.err = f.f.Truncate(f.size + 1); p.err == nil {
			p.marked = true
			p.err = f.f.Sync()
		}
		p.err = f.t.error("mark as incomplete", f.path, p.err)
	})
	return p.err
}

// commitInPlace makes the file look complete, when all that it holds is on disk.
func (f *File) commitInPlace(e *page.Entry) (MetaProblems, error) {
	if f.inPlace.marked {
		if err := f.f.Sync(); err != nil {
			return nil, err
		}
	}
	st, err := f.f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() != f.size {
		if err := f.f.Truncate(f.size); err != nil {
			return nil, err
		}
	}
	return f.setMeta(e)
}

// Unfinished reports whether Abort leaves the file incomplete, and marked as such.
func (f *File) Unfinished() bool { return f.inPlace != nil && f.inPlace.marked }

// PunchHole turns n bytes at off, which may have been written, into a hole: into zeros at the
// least.
func (f *File) PunchHole(off, n int64) error {
	if off < 0 || n < 0 || off > f.size || n > f.size-off {
		return f.t.error("punch hole", f.path, syscall.EINVAL)
	}
	if n == 0 {
		return nil
	}
	if err := f.mark(); err != nil {
		return err
	}
	if err := punchHole(f.f, off, n); !errors.Is(err, errors.ErrUnsupported) {
		return f.t.error("punch hole", f.path, err)
	}
	st, err := f.f.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, 64<<10)
	for end := min(off+n, st.Size()); off < end; off += int64(len(zeros)) {
		if _, err := f.f.WriteAt(zeros[:min(int64(len(zeros)), end-off)], off); err != nil {
			return err
		}
	}
	return nil
}

// Empty reports whether the directory path has no entries.
func (t *Target) Empty(path string) (bool, error) {
	err := t.eachName(path, func(string) error { return errFound })
	if errors.Is(err, errFound) {
		return false, nil
	}
	return err == nil, err
}

var errFound = errors.New("found")

// Barred reports whether path is a directory that belongs to the caller, or is in one, whose
// mode bars him from it. A restore opens it for itself, and closes it at the end.
func (t *Target) Barred(path string) bool {
	if !hasOwners {
		return false
	}
	for {
		st, err := t.Lstat(path)
		if err == nil {
			return st.Type == page.Dir && st.UID == t.euid && st.Mode&0o500 != 0o500
		}
		if path == "." || !errors.Is(err, iofs.ErrPermission) {
			return false
		}
		path, _ = split(path)
	}
}

// Differs names the attributes of what is at path that SetFileMeta or SetDirMeta would
// change: "owner", "mode", "times", "flags", "attributes".
func (t *Target) Differs(path string, e *page.Entry) ([]string, error) {
	st, err := t.Lstat(path)
	if err != nil {
		return nil, err
	}
	var now page.Entry
	if err := CaptureMeta(t.full(path), &st, &now, t.names, AllAttrs); err != nil {
		return nil, err
	}
	e, done, err := t.whole(e)
	defer done()
	if err != nil {
		return nil, err
	}
	uid, gid := t.ids(e)
	var out []string
	note := func(differs bool, what string) {
		if differs {
			out = append(out, what)
		}
	}
	note((now.UID != uid || now.GID != gid) && !t.ownsAll(path, &st), "owner")
	note(e.Type != page.Symlink && now.Mode != e.Mode&0o7777 && t.keepsModes(path, &st), "mode")
	note(!t.sameTime(path, &st, e), "times")
	note(now.Flags != e.Flags, "flags")
	have := slices.DeleteFunc(now.Xattrs, func(x page.Xattr) bool {
		return !removable(x.Name) && !slices.ContainsFunc(e.Xattrs, func(y page.Xattr) bool { return x.Name == y.Name })
	})
	note(!slices.EqualFunc(have, e.Xattrs, func(x, y page.Xattr) bool { return x.Name == y.Name && bytes.Equal(x.Value, y.Value) }), "attributes")
	return out, nil
}

// tempName returns an unpredictable name, and notes that it is in use.
func (t *Target) tempName() string {
	name := tempPrefix + rand.Text()
	t.useTemp(name)
	return name
}

func (t *Target) useTemp(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.temps[name] = true
}

func (t *Target) tempDone(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.temps, name)
}

func (t *Target) inUse(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.temps[name]
}

// SetDirMeta gives the directory path the attributes in e, once nothing below it
// changes any more.
func (t *Target) SetDirMeta(path string, e *page.Entry) (MetaProblems, error) {
	return t.setMeta(path, e)
}

// SetFileMeta gives what is at path, whose contents are right already, the attributes
// in e. It touches only what differs.
func (t *Target) SetFileMeta(path string, e *page.Entry) (MetaProblems, error) {
	return t.setMeta(path, e)
}
