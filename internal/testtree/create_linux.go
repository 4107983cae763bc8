package testtree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Make parses text and makes the tree in dir, which must exist. It fails the
// test on errors and logs what the system or user does not allow.
func Make(tb testing.TB, dir, text string) Tree {
	tb.Helper()
	t, err := Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	t.Make(tb, dir)
	return t
}

// Make is Create for tests.
func (t Tree) Make(tb testing.TB, dir string) []Missing {
	tb.Helper()
	missing, err := t.Create(dir)
	if err != nil {
		tb.Fatal(err)
	}
	if len(missing) > 0 {
		tb.Logf("not in the tree, nor %d others: %v", len(missing)-1, missing[0])
	}
	return missing
}

// Missing is what could not be made or set.
type Missing struct {
	Path string
	What string // "device" (not there at all), "owner", "flags", or the name of an attribute
	Err  error
}

func (m Missing) String() string { return fmt.Sprintf("%s of %q: %v", m.What, m.Path, m.Err) }

// Create makes the tree in dir, which must exist. What the file system does not
// have or the user may not do (devices, owners, trusted attributes) is left
// out and returned. Paths may be longer than the kernel takes at once.
func (t Tree) Create(dir string) (missing []Missing, err error) {
	top, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer func() { _ = unix.Close(top) }()
	c := creator{top: top}
	for i := range t {
		if err := c.at(&t[i], c.make); err != nil {
			return nil, fmt.Errorf("make %s: %w", &t[i], err)
		}
	}
	// Attributes from the last to the first, so that nothing changes an mtime or is
	// kept out of a directory after it is set.
	for i := len(t) - 1; i >= 0; i-- {
		if err := c.at(&t[i], c.dress); err != nil {
			return nil, fmt.Errorf("dress %s: %w", &t[i], err)
		}
	}
	return c.missing, nil
}

type creator struct {
	top     int
	missing []Missing
}

// at calls fn with a short path to the node.
func (c *creator) at(n *Node, fn func(*Node, string) error) error {
	fd, err := c.open(path.Dir(n.Path))
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return fn(n, "/proc/self/fd/"+strconv.Itoa(fd)+"/"+path.Base(n.Path))
}

func (c *creator) open(dir string) (int, error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(c.top, ".", flags, 0)
	for name := range strings.SplitSeq(dir, "/") {
		if err != nil {
			return -1, err
		}
		var next int
		next, err = unix.Openat(fd, name, flags, 0)
		_ = unix.Close(fd)
		fd = next
	}
	return fd, err
}

func (c *creator) make(n *Node, at string) error {
	switch n.Kind {
	case Dir:
		if n.Path == "." {
			return nil
		}
		return unix.Mkdir(at, 0o700)
	case File:
		return n.write(at)
	case Symlink:
		return unix.Symlink(n.Target, at)
	case Hardlink:
		fd, err := c.open(path.Dir(n.Target))
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		return unix.Linkat(fd, path.Base(n.Target), unix.AT_FDCWD, at, 0)
	case FIFO:
		return unix.Mknod(at, unix.S_IFIFO|0o600, 0)
	case Socket:
		return unix.Mknod(at, unix.S_IFSOCK|0o600, 0)
	case Char:
		return c.allow(n, "device", unix.Mknod(at, unix.S_IFCHR|0o600, int(unix.Mkdev(n.Major, n.Minor))))
	case Block:
		return c.allow(n, "device", unix.Mknod(at, unix.S_IFBLK|0o600, int(unix.Mkdev(n.Major, n.Minor))))
	}
	return fmt.Errorf("unknown kind %q", n.Kind)
}

// allow notes what is not possible here, and passes on other errors.
func (c *creator) allow(n *Node, what string, err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) {
		c.missing = append(c.missing, Missing{n.Path, what, err})
		return nil
	}
	return err
}

func (n *Node) write(at string) (err error) {
	f, err := os.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	if n.Text != "" {
		_, err = f.WriteString(n.Text)
		return err
	}
	for _, d := range n.Data {
		if _, err := f.WriteAt(Bytes(d.Seed, d.Len), d.Off); err != nil {
			return err
		}
	}
	return f.Truncate(n.Size)
}

// Bytes returns n pseudo-random bytes, always the same for one seed.
func Bytes(seed uint64, n int64) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// dress gives the node its attributes, mtime last.
func (c *creator) dress(n *Node, at string) error {
	if n.Kind == Hardlink {
		return nil
	}
	if err := unix.Access(at, unix.F_OK); err == unix.ENOENT && n.Kind != Symlink {
		return nil // a device that could not be made
	}
	if n.UID >= 0 || n.GID >= 0 {
		if err := c.allow(n, "owner", unix.Lchown(at, n.UID, n.GID)); err != nil {
			return err
		}
	}
	for _, x := range n.Xattrs {
		if err := c.allow(n, x.Name, unix.Lsetxattr(at, x.Name, []byte(x.Value), 0)); err != nil {
			return err
		}
	}
	if n.Kind != Symlink {
		if err := unix.Chmod(at, n.Mode); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"system.posix_acl_access": n.ACL, "system.posix_acl_default": n.DefACL} {
		if text == "" {
			continue
		}
		value, err := encodeACL(text)
		if err == nil {
			err = c.allow(n, name, unix.Lsetxattr(at, name, value, 0))
		}
		if err != nil {
			return err
		}
	}
	times := []unix.Timespec{unix.NsecToTimespec(n.Sec*1e9 + n.Nsec), unix.NsecToTimespec(n.Sec*1e9 + n.Nsec)}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, at, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if n.Flags == 0 {
		return nil
	}
	f, err := os.Open(at)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return c.allow(n, "flags", setFlags(int(f.Fd()), n.Flags))
}

// setFlags adds inode flags.
func setFlags(fd int, flags uint32) error {
	now, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(int32(now|flags)))
}

// encodeACL turns text into the value of a system.posix_acl attribute.
func encodeACL(text string) ([]byte, error) {
	b := binary.LittleEndian.AppendUint32(nil, 2) // version
	for entry := range strings.SplitSeq(text, ",") {
		f := strings.Split(entry, ":")
		if len(f) != 3 || len(f[2]) != 3 {
			return nil, fmt.Errorf("ACL entry %q is not KIND:ID:rwx", entry)
		}
		tag := map[string]uint16{"u": 0x01, "g": 0x04, "m": 0x10, "o": 0x20}[f[0]]
		id := uint64(1<<32 - 1)
		if f[1] != "" {
			tag *= 2 // named user or group
			var err error
			if id, err = strconv.ParseUint(f[1], 10, 32); err != nil {
				return nil, fmt.Errorf("ACL entry %q: %w", entry, err)
			}
		}
		var perm uint16
		for i, c := range "rwx" {
			if rune(f[2][i]) == c {
				perm |= 4 >> i
			}
		}
		b = binary.LittleEndian.AppendUint16(b, tag)
		b = binary.LittleEndian.AppendUint16(b, perm)
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	return b, nil
}
