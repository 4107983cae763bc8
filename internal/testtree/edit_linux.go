package testtree

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// An Editor changes a tree at random, one thing at a time, as its users do.
type Editor struct {
	*rand.Rand
	Dir  string
	All  bool // also what RandomOptions.All makes
	made int  // names, so that each is new
}

// Edit changes one thing and says what; "" if there was nothing of the kind.
func (e *Editor) Edit() (what string, err error) {
	edits := []func() (string, string, error){
		e.addFile, e.addTree, e.remove, e.content, e.content, e.rename, e.rename, e.chmod, e.touch, e.replace, e.replace, e.link,
	}
	if e.All {
		edits = append(edits, e.chown, e.xattr, e.xattr, e.acl, e.flags, e.punch, e.device)
	}
	what, path, err := edits[e.IntN(len(edits))]()
	if path == "" {
		return "", err
	}
	return fmt.Sprintf("%s %q", what, strings.TrimPrefix(path, e.Dir)), err
}

// paths lists what is in the tree, without its top.
func (e *Editor) paths(keep func(fs.DirEntry) bool) []string {
	var all []string
	_ = filepath.WalkDir(e.Dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && p != e.Dir && keep(d) {
			all = append(all, p)
		}
		return nil
	})
	return all
}

func (e *Editor) pick(keep func(fs.DirEntry) bool) string {
	all := e.paths(keep)
	if len(all) == 0 {
		return ""
	}
	return all[e.IntN(len(all))]
}

func anything(fs.DirEntry) bool      { return true }
func regular(d fs.DirEntry) bool     { return d.Type().IsRegular() }
func directory(d fs.DirEntry) bool   { return d.IsDir() }
func noDirectory(d fs.DirEntry) bool { return !d.IsDir() }
func changeable(d fs.DirEntry) bool  { return d.IsDir() || d.Type().IsRegular() }

// name is one that is new, in some directory.
func (e *Editor) name() string {
	dirs := append(e.paths(directory), e.Dir)
	e.made++
	return filepath.Join(dirs[e.IntN(len(dirs))], fmt.Sprintf("%c%d-made", 'a'+e.IntN(26), e.made))
}

func (e *Editor) bytes(n int64) []byte { return Bytes(e.Uint64(), e.Int64N(n)) }

func (e *Editor) addFile() (string, string, error) {
	p := e.name()
	return "added", p, os.WriteFile(p, e.bytes(300<<10), 0o640)
}

func (e *Editor) addTree() (string, string, error) {
	p := e.name()
	if err := os.Mkdir(p, 0o755); err != nil {
		return "added tree", p, err
	}
	tree := Random(e.Uint64(), RandomOptions{Nodes: 1 + e.IntN(30), All: e.All})
	_, err := slices.DeleteFunc(tree, func(n Node) bool { return n.Kind == Socket }).Create(p)
	return "added tree", p, err
}

func (e *Editor) remove() (string, string, error) {
	p := e.pick(anything)
	if p == "" {
		return "", "", nil
	}
	return "deleted", p, os.RemoveAll(p)
}

// content writes to a file; in one case of three size and mtime stay.
func (e *Editor) content() (what, p string, err error) {
	if p = e.pick(regular); p == "" {
		return "", "", nil
	}
	f, err := os.OpenFile(p, os.O_RDWR, 0)
	if err != nil {
		return "opened", p, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	st, err := f.Stat()
	if err != nil {
		return "opened", p, err
	}
	switch n := st.Size(); {
	case n == 0 || e.IntN(3) == 0:
		_, err = f.WriteAt(e.bytes(100<<10), n)
		return "appended", p, err
	case e.IntN(4) == 0:
		return "truncated", p, f.Truncate(e.Int64N(n))
	default:
		b := []byte{0}
		at := e.Int64N(n)
		if _, err = f.ReadAt(b, at); err == nil {
			b[0]++
			_, err = f.WriteAt(b, at)
		}
		if err == nil && e.IntN(2) == 0 {
			return "changed in secret", p, os.Chtimes(p, time.Time{}, st.ModTime())
		}
		return "changed", p, err
	}
}

// rename moves something to another name or directory, or over a file.
func (e *Editor) rename() (string, string, error) {
	p := e.pick(anything)
	if p == "" {
		return "", "", nil
	}
	to := e.name()
	if q := e.pick(regular); e.IntN(4) == 0 && q != "" {
		if st, err := os.Lstat(p); err == nil && !st.IsDir() {
			to = q
		}
	}
	if to == p || strings.HasPrefix(to, p+"/") {
		return "", "", nil
	}
	return "renamed", p, os.Rename(p, to)
}

func (e *Editor) chmod() (string, string, error) {
	p := e.pick(changeable)
	if p == "" {
		return "", "", nil
	}
	mode := uint32(0o700 | e.IntN(0o100))
	if e.All {
		mode |= e.Uint32N(8) << 9
	}
	return "chmod", p, unix.Chmod(p, mode)
}

func (e *Editor) touch() (string, string, error) {
	p := e.pick(anything)
	if p == "" {
		return "", "", nil
	}
	ts := unix.NsecToTimespec(e.Int64N(2e18))
	return "touched", p, unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}

func (e *Editor) link() (string, string, error) {
	keep := regular
	if e.All {
		keep = noDirectory
	}
	p := e.pick(keep)
	if p == "" {
		return "", "", nil
	}
	return "linked", p, os.Link(p, e.name())
}

// replace puts something of another type in the place of what was there.
func (e *Editor) replace() (string, string, error) {
	const what = "replaced by another type"
	p := e.pick(anything)
	if p == "" {
		return "", "", nil
	}
	was, err := os.Lstat(p)
	if err != nil {
		return what, p, err
	}
	if err := os.RemoveAll(p); err != nil {
		return what, p, err
	}
	types := slices.DeleteFunc([]fs.FileMode{0, fs.ModeDir, fs.ModeSymlink, fs.ModeNamedPipe}, func(m fs.FileMode) bool { return m == was.Mode().Type() })
	switch types[e.IntN(len(types))] {
	case fs.ModeDir:
		if err := os.Mkdir(p, 0o711); err != nil {
			return what, p, err
		}
		return what, p, os.WriteFile(filepath.Join(p, "inside"), e.bytes(1000), 0o600)
	case fs.ModeSymlink:
		return what, p, os.Symlink("elsewhere", p)
	case fs.ModeNamedPipe:
		return what, p, unix.Mkfifo(p, 0o620)
	}
	return what, p, os.WriteFile(p, e.bytes(50<<10), 0o600)
}

// possible passes on only errors that say more than that this system or user has no such thing.
func possible(err error) error {
	for _, no := range []error{unix.EPERM, unix.EOPNOTSUPP, unix.ENOTTY, unix.ENOSPC, unix.ENODATA} {
		if errors.Is(err, no) {
			return nil
		}
	}
	return err
}

func (e *Editor) chown() (string, string, error) {
	p := e.pick(anything)
	if p == "" {
		return "", "", nil
	}
	return "chown", p, possible(os.Lchown(p, 1000+e.IntN(5), 1000+e.IntN(5)))
}

// xattr sets or removes an attribute of any namespace.
func (e *Editor) xattr() (string, string, error) {
	p := e.pick(anything)
	if p == "" {
		return "", "", nil
	}
	name := []string{"user.", "trusted.", "security."}[e.IntN(3)] + string(rune('a'+e.IntN(4)))
	if st, err := os.Lstat(p); err == nil && !st.IsDir() && !st.Mode().IsRegular() {
		name = "trusted.other" // user attributes are for these two only
	}
	if e.IntN(3) == 0 {
		return "removed " + name, p, possible(unix.Lremovexattr(p, name))
	}
	return "set " + name, p, possible(unix.Lsetxattr(p, name, append(Value(e.Rand), 'x'), 0))
}

func (e *Editor) acl() (string, string, error) {
	p := e.pick(directory)
	name := "system.posix_acl_default"
	if e.IntN(2) == 0 {
		p, name = e.pick(changeable), "system.posix_acl_access"
	}
	if p == "" {
		return "", "", nil
	}
	if e.IntN(3) == 0 {
		return "removed " + name, p, possible(unix.Removexattr(p, name))
	}
	value, err := encodeACL(fmt.Sprintf("u::rwx,u:%d:r-x,g::r-x,g:%d:rw-,m::rwx,o::---", 1000+e.IntN(5), 1000+e.IntN(5)))
	if err != nil {
		return "", "", err
	}
	return "set " + name, p, possible(unix.Setxattr(p, name, value, 0))
}

// flags changes inode flags that do not keep others from changing the file.
func (e *Editor) flags() (string, string, error) {
	p := e.pick(changeable)
	if p == "" {
		return "", "", nil
	}
	f, err := os.Open(p)
	if err != nil {
		return "flags", p, err
	}
	defer func() { _ = f.Close() }()
	now, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(int32(now^[]uint32{0x8, 0x40, 0x80}[e.IntN(3)])))
	}
	return "flags", p, possible(err)
}

// punch makes a hole in a file, or lets it end with one.
func (e *Editor) punch() (what, p string, err error) {
	if p = e.pick(regular); p == "" {
		return "", "", nil
	}
	f, err := os.OpenFile(p, os.O_RDWR, 0)
	if err != nil {
		return "punched", p, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	st, err := f.Stat()
	if err != nil {
		return "punched", p, err
	}
	if n := st.Size(); n > 0 && e.IntN(2) == 0 {
		at := e.Int64N(n)
		return "punched", p, possible(unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, 1+e.Int64N(n-at)))
	}
	return "grown by a hole", p, f.Truncate(st.Size() + e.Int64N(1<<20))
}

func (e *Editor) device() (string, string, error) {
	p := e.name()
	kind := []uint32{unix.S_IFCHR, unix.S_IFBLK}[e.IntN(2)]
	return "added device", p, possible(unix.Mknod(p, kind|0o640, int(unix.Mkdev(e.Uint32N(1<<12), e.Uint32N(1<<20)))))
}
