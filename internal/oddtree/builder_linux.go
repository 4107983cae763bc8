package oddtree

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Options choose how much is made.
type Options struct {
	Small  bool   // leave out files over 5 MiB, and most of a wide directory
	Deeper bool   // also a path longer than the 4,096 bytes the kernel takes at once
	Seed   uint64 // of contents and times
}

// builder makes entries under root. The first error sticks.
type builder struct {
	root    string
	rng     *rand.ChaCha8
	times   []stamp
	leftOut []string // what this user or file system cannot have
	asRoot  bool
	err     error
}

// stamp is a time to be set when nothing below the path changes any more.
type stamp struct {
	path string
	time unix.Timespec
}

func newBuilder(root string, seed uint64) *builder {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return &builder{root: root, rng: rand.NewChaCha8(key), asRoot: os.Geteuid() == 0}
}

func (b *builder) abs(path string) string { return b.root + "/" + path }

func (b *builder) fail(verb, path string, err error) {
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("%s %q: %w", verb, path, err)
	}
}

// cannot notes what is missing from the tree, where that is no error.
func (b *builder) cannot(what, path string, err error) bool {
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.ENAMETOOLONG) {
		b.leftOut = append(b.leftOut, fmt.Sprintf("%s of %q: %v", what, path, err))
		return true
	}
	return false
}

// at gives path an ordinary time with odd nanoseconds; stampAt a chosen one.
func (b *builder) at(path string) {
	r := b.rng.Uint64()
	b.stampAt(path, 1_500_000_000+int64(r>>40), int64(r%1_000_000_000))
}

func (b *builder) stampAt(path string, sec, nsec int64) {
	b.times = append(b.times, stamp{path, unix.Timespec{Sec: sec, Nsec: nsec}})
}

func (b *builder) dir(path string, mode uint32) {
	if b.err != nil {
		return
	}
	b.fail("make directory", path, os.MkdirAll(b.abs(path), 0o755))
	b.chmod(path, mode)
	b.at(path)
}

// file writes data; its parent must exist.
func (b *builder) file(path string, data []byte) {
	b.sparse(path, int64(len(data)), extent{0, data})
}

type extent struct {
	off  int64
	data []byte
}

// sparse writes a file of size bytes that holds the extents and nothing else.
func (b *builder) sparse(path string, size int64, extents ...extent) {
	if b.err != nil {
		return
	}
	f, err := os.OpenFile(b.abs(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		b.fail("create", path, err)
		return
	}
	for _, e := range extents {
		_, err := f.WriteAt(e.data, e.off)
		b.fail("write", path, err)
	}
	b.fail("truncate", path, f.Truncate(size))
	b.fail("close", path, f.Close())
	b.chmod(path, 0o644)
	b.at(path)
}

// chmod takes the special bits as chmod(2) does, whatever the umask.
func (b *builder) chmod(path string, mode uint32) {
	if b.err == nil {
		b.fail("chmod", path, unix.Chmod(b.abs(path), mode))
	}
}

func (b *builder) chown(path string, uid, gid int) {
	if b.err == nil && b.asRoot {
		b.fail("chown", path, os.Lchown(b.abs(path), uid, gid))
	}
}

func (b *builder) symlink(target, path string) {
	if b.err != nil {
		return
	}
	err := os.Symlink(target, b.abs(path))
	if err != nil && b.cannot("symlink", path, err) {
		return
	}
	b.fail("link", path, err)
	b.at(path)
}

func (b *builder) link(existing, path string) {
	if b.err == nil {
		b.fail("link", path, os.Link(b.abs(existing), b.abs(path)))
	}
}

func (b *builder) node(path string, mode uint32, dev uint64) {
	if b.err != nil {
		return
	}
	if err := unix.Mknod(b.abs(path), mode, int(dev)); err != nil {
		if !b.cannot("node", path, err) {
			b.fail("make node", path, err)
		}
		return
	}
	b.chmod(path, mode&0o7777)
	b.at(path)
}

func (b *builder) xattr(path, name string, value []byte) {
	if b.err != nil {
		return
	}
	if err := unix.Lsetxattr(b.abs(path), name, value, 0); err != nil && !b.cannot(name, path, err) {
		b.fail("set "+name, path, err)
	}
}

// flag sets inode flags as chattr does.
func (b *builder) flag(path string, flags int) {
	if b.err != nil {
		return
	}
	f, err := os.Open(b.abs(path))
	if err != nil {
		b.fail("open", path, err)
		return
	}
	defer f.Close()
	old, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(old)|flags)
	}
	if err != nil && !b.cannot("flags", path, err) {
		b.fail("set flags", path, err)
	}
}

// bytes answers n random bytes, the same for the same seed.
func (b *builder) bytes(n int) []byte {
	p := make([]byte, n)
	_, _ = b.rng.Read(p) // never fails
	return p
}

// text answers n bytes that compress about five to one and do not repeat as a whole.
func (b *builder) text(n int) []byte {
	words := []string{"chunk", "frame", "blob", "object", "entry", "page", "root", "manifest", "set", "epoch", "store", "index", "\n"}
	p := make([]byte, 0, n+16)
	for len(p) < n {
		r := b.rng.Uint64()
		for range 8 {
			p = append(append(p, words[r%uint64(len(words))]...), ' ')
			r >>= 7
		}
		p = fmt.Appendf(p, "%d ", r)
	}
	return p[:n]
}

// finish sets all times; of several for one path the last counts.
func (b *builder) finish() error {
	done := map[string]bool{}
	for i := len(b.times) - 1; i >= 0 && b.err == nil; i-- {
		t := b.times[i]
		if done[t.path] {
			continue
		}
		done[t.path] = true
		b.fail("set time", t.path, unix.UtimesNanoAt(unix.AT_FDCWD, b.abs(t.path), []unix.Timespec{t.time, t.time}, unix.AT_SYMLINK_NOFOLLOW))
	}
	return b.err
}

// deep makes levels of directories named name below path and a file in the last,
// by descriptor, so that the path may be of any length.
func (b *builder) deep(path, name string, levels int) {
	if b.err != nil {
		return
	}
	b.dir(path, 0o755)
	fd, err := unix.Open(b.abs(path), unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	fds := []int{fd}
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd) // directories, nothing is lost
		}
	}()
	for i := 0; i < levels && err == nil; i++ {
		if err = unix.Mkdirat(fd, name, 0o755); err == nil {
			fd, err = unix.Openat(fd, name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			fds = append(fds, fd)
		}
	}
	if err == nil {
		var n int
		if n, err = unix.Openat(fd, "bottom", unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644); err == nil {
			f := os.NewFile(uintptr(n), "bottom")
			_, werr := f.WriteString("down here\n")
			err = errors.Join(werr, f.Close())
		}
	}
	ts := []unix.Timespec{{Sec: 1_234_567_890, Nsec: 1}, {Sec: 1_234_567_890, Nsec: 1}}
	if err == nil {
		err = unix.UtimesNanoAt(fd, "bottom", ts, unix.AT_SYMLINK_NOFOLLOW)
	}
	for i := len(fds) - 2; i >= 0 && err == nil; i-- {
		ts[1].Nsec = int64(i)
		err = unix.UtimesNanoAt(fds[i], name, ts, unix.AT_SYMLINK_NOFOLLOW)
	}
	b.fail("make deep path", filepath.Join(path, strings.Repeat(name+"/", 2)), err)
}
