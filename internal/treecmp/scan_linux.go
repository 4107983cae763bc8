package treecmp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// tree is what scan found: entries by path relative to the top, which is ".".
type tree struct {
	mu      sync.Mutex
	entries map[string]*entry
	bytes   int64
}

// hashJob hands an open file to the goroutines that read contents.
type hashJob struct {
	f    *os.File
	path string
	e    *entry
}

// scan reads the whole tree under top. Directories are walked by descriptor, so
// paths may be longer than the kernel takes at once. It stops at the first
// thing that it cannot read: a comparison that left something out is worthless.
func scan(ctx context.Context, top string, workers int) (*tree, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := &tree{entries: map[string]*entry{}}
	jobs := make(chan hashJob, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			buf := make([]byte, 1<<20)
			for j := range jobs {
				err := context.Cause(ctx)
				if err == nil {
					err = readFile(j.f, j.e, buf)
				}
				_ = j.f.Close() // only read from
				if err != nil {
					cancel(fmt.Errorf("read %q: %w", filepath.Join(top, j.path), err))
					continue
				}
				t.mu.Lock()
				t.bytes += j.e.size
				t.mu.Unlock()
			}
		})
	}
	s := scanner{ctx: ctx, tree: t, jobs: jobs}
	// The directory that holds the top is opened by name; all below it by descriptor.
	abs, err := filepath.Abs(top)
	if err == nil {
		var dir *os.File
		if dir, err = os.Open(filepath.Dir(abs)); err == nil {
			name := filepath.Base(abs)
			if abs == "/" {
				name = "."
			}
			err = s.visit(dir, name, ".")
			_ = dir.Close() // only read from
		}
	}
	close(jobs)
	wg.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("scan %q: %w", top, err)
	}
	return t, nil
}

type scanner struct {
	ctx  context.Context
	tree *tree
	jobs chan<- hashJob
}

// visit records the entry name of dir under path, and everything below it.
func (s *scanner) visit(dir *os.File, name, path string) error {
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	fd := int(dir.Fd())
	var st unix.Stat_t
	if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("stat %q: %w", path, err)
	}
	e := &entry{
		typ:   typeOf(st.Mode),
		mode:  st.Mode & 0o7777,
		uid:   st.Uid,
		gid:   st.Gid,
		mtime: timespec{st.Mtim.Sec, st.Mtim.Nsec},
		block: max(st.Blksize, 4096),
		inode: inode{st.Dev, st.Ino},
		nlink: uint64(st.Nlink),
	}
	// The only path to an entry of an open directory that calls without an *at form take.
	at := "/proc/self/fd/" + strconv.Itoa(fd) + "/" + name
	var err error
	if e.xattrs, err = readXattrs(at); err != nil {
		return fmt.Errorf("read attributes of %q: %w", path, err)
	}
	s.tree.mu.Lock()
	s.tree.entries[path] = e
	s.tree.mu.Unlock()

	switch e.typ {
	case "symlink":
		if e.target, err = readlink(fd, name); err != nil {
			return fmt.Errorf("read link %q: %w", path, err)
		}
	case "char", "block":
		e.rdev = st.Rdev
	case "file":
		return s.file(fd, name, path, e, &st)
	case "dir":
		return s.dir(fd, name, path, e)
	}
	return nil
}

func (s *scanner) file(fd int, name, path string, e *entry, st *unix.Stat_t) error {
	f, err := openAt(fd, name, path, 0)
	if err != nil {
		return err
	}
	var now unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &now); err != nil || now.Ino != st.Ino || now.Dev != st.Dev {
		_ = f.Close() // only read from
		return errors.Join(fmt.Errorf("open %q: it is another file now", path), err)
	}
	e.size = now.Size
	e.flags = readFlags(int(f.Fd()))
	s.jobs <- hashJob{f, path, e} // who takes it closes the file, cancelled or not
	return nil
}

func (s *scanner) dir(fd int, name, path string, e *entry) error {
	d, err := openAt(fd, name, path, unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer d.Close()
	e.flags = readFlags(int(d.Fd()))
	names, err := d.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("list %q: %w", path, err)
	}
	sort.Strings(names)
	for _, n := range names {
		p := n
		if path != "." {
			p = path + "/" + n
		}
		if err := s.visit(d, n, p); err != nil {
			return err
		}
	}
	return nil
}

func openAt(fd int, name, path string, flags int) (*os.File, error) {
	flags |= unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	n, err := unix.Openat(fd, name, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) { // O_NOATIME is for owners only
		n, err = unix.Openat(fd, name, flags, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", path, err)
	}
	return os.NewFile(uintptr(n), path), nil
}

func readlink(fd int, name string) (string, error) {
	buf := make([]byte, 64<<10)
	n, err := unix.Readlinkat(fd, name, buf)
	if err != nil {
		return "", err
	}
	if n == len(buf) {
		return "", unix.ENAMETOOLONG
	}
	return string(buf[:n]), nil
}

func typeOf(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "dir"
	case unix.S_IFLNK:
		return "symlink"
	case unix.S_IFIFO:
		return "fifo"
	case unix.S_IFCHR:
		return "char"
	case unix.S_IFBLK:
		return "block"
	case unix.S_IFSOCK:
		return "socket"
	}
	return fmt.Sprintf("type %o", mode&unix.S_IFMT)
}
