package testfuse

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// File is a file of the mount. Its functions may block, each in a goroutine of its own.
type File struct {
	Size int64 // what the kernel is told
	Stat func() error
	Open func() error
	Read func(off int64, n int) ([]byte, error) // nothing at the end; errors are unix.Errno
	// Changed is its mtime and ctime, in whole seconds since 1970; 0: 10^9.
	Changed uint64
	Plain   bool   // the kernel may cache: it reads only within the size
	Inode   uint64 // 0: one of its own; else it is said to be one of two names
}

// Bytes is a file that behaves.
func Bytes(data []byte) File {
	return File{Size: int64(len(data)), Plain: true, Read: reader(data)}
}

// Unsized is a file that says it is empty, and is not.
func Unsized(data []byte) File { return File{Read: reader(data)} }

func reader(data []byte) func(int64, int) ([]byte, error) {
	return func(off int64, n int) ([]byte, error) {
		off = min(off, int64(len(data)))
		return data[off:min(off+int64(n), int64(len(data)))], nil
	}
}

// Mount is a mounted file system.
type Mount struct {
	Dir    string
	Polled atomic.Bool // somebody waited for a file to be ready, which blocks in Go's runtime

	names []string
	files map[string]File
	once  sync.Once
	end   chan struct{} // closed by Die
	ended chan struct{}

	write sync.Mutex
	fd    int // -1: closed

	mu      sync.Mutex
	stalled chan struct{} // closed when requests are taken again; nil: they are
}

const rootNode = 1

// New is Make until the test ends.
func New(t testing.TB, dir string, files map[string]File) *Mount {
	t.Helper()
	m, err := Make(dir, files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Unmount)
	return m
}

// Make mounts files, by name, at a new directory.
func Make(dir string, files map[string]File) (*Mount, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	m := &Mount{Dir: dir, files: files, fd: -1, end: make(chan struct{}), ended: make(chan struct{})}
	for name := range files {
		m.names = append(m.names, name)
	}
	slices.Sort(m.names)
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err == nil {
		m.fd = fd
		err = unix.Mount("testfuse", dir, "fuse.testfuse", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd))
	}
	if err != nil {
		return nil, fmt.Errorf("mount by /dev/fuse, which needs root and the fuse module: %w", err)
	}
	go m.serve()
	return m, nil
}

// Die ends the file system as if its program had crashed: everything that waits for it,
// or uses it later, gets ENOTCONN. It may be called more than once.
func (m *Mount) Die() {
	m.once.Do(func() { close(m.end) })
	m.Resume()
	<-m.ended
}

// Unmount ends it all.
func (m *Mount) Unmount() {
	m.Die()
	_ = unix.Unmount(m.Dir, unix.MNT_DETACH)
}

// Stall has the file system take no requests, as if its program was stopped, until
// Resume. Who waits for it then can be killed, unlike one whose request a function
// of a File has taken: a test in whose process that blocks for ever cannot even end.
func (m *Mount) Stall() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stalled == nil {
		m.stalled = make(chan struct{})
	}
}

// Resume ends Stall.
func (m *Mount) Resume() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stalled != nil {
		close(m.stalled)
		m.stalled = nil
	}
}

func (m *Mount) wait() {
	m.mu.Lock()
	ch := m.stalled
	m.mu.Unlock()
	if ch != nil {
		<-ch
	}
}

func (m *Mount) serve() {
	defer func() {
		m.write.Lock()
		defer m.write.Unlock()
		_ = unix.Close(m.fd)
		m.fd = -1
		close(m.ended)
	}()
	buf := make([]byte, 1<<20+4096)
	for {
		m.wait()
		select {
		case <-m.end:
			return
		default:
		}
		n, err := unix.Read(m.fd, buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(m.fd), Events: unix.POLLIN}}, 5) //nolint:gosec // a descriptor
			continue
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOENT): // the latter: who asked has gone
			continue
		case err != nil:
			return // ENODEV: unmounted
		}
		var h inHeader
		if _, err := binary.Decode(buf[:n], binary.NativeEndian, &h); err != nil {
			return
		}
		body := bytes.Clone(buf[binary.Size(h):n])
		switch h.Op {
		case opForget, opForgets, opInterrupt: // want no answer
		case opRead, opOpen, opGetattr, opLookup:
			go m.reply(&h, body)
		default:
			m.reply(&h, body)
		}
	}
}

func (m *Mount) reply(h *inHeader, body []byte) {
	out, err := m.handle(h, body)
	errno := unix.Errno(0)
	if err != nil {
		out = nil
		if !errors.As(err, &errno) {
			errno = unix.EIO
		}
	}
	m.write.Lock()
	defer m.write.Unlock()
	if m.fd < 0 {
		return
	}
	_, _ = unix.Write(m.fd, answer(h.Unique, errno, out)) // the one who asked may be gone
}

func (m *Mount) handle(h *inHeader, body []byte) (any, error) {
	switch h.Op {
	case opInit:
		return initOut{Major: 7, Minor: 31, Readahead: 128 << 10, Background: 16, Congestion: 12, MaxWrite: 128 << 10, Granularity: 1}, nil
	case opLookup:
		name, _, _ := bytes.Cut(body, []byte{0})
		i, found := slices.BinarySearch(m.names, string(name))
		if !found {
			return nil, unix.ENOENT
		}
		node := uint64(i + 2) //nolint:gosec // small
		a, err := m.attr(node)
		return entryOut{Node: node, Attr: a}, err
	case opGetattr:
		a, err := m.attr(h.Node)
		return attrOut{Attr: a}, err
	case opOpendir:
		return openOut{}, nil
	case opReaddir:
		return m.list(body), nil
	case opOpen:
		f := m.file(h.Node)
		if f.Open != nil {
			if err := f.Open(); err != nil {
				return nil, err
			}
		}
		if f.Plain {
			return openOut{Flags: noFlush}, nil
		}
		return openOut{Flags: directIO | noFlush}, nil
	case opRead:
		var in readIn
		if _, err := binary.Decode(body, binary.NativeEndian, &in); err != nil {
			return nil, unix.EINVAL
		}
		return m.file(h.Node).Read(int64(in.Offset), int(in.Size)) //nolint:gosec // of the kernel
	case opRelease, opReleasedir, opFlush:
		return nil, nil
	case opPoll:
		m.Polled.Store(true)
	}
	return nil, unix.ENOSYS
}

func (m *Mount) file(node uint64) File { return m.files[m.names[node-2]] }

func (m *Mount) attr(node uint64) (attr, error) {
	a := attr{Ino: node, Mode: unix.S_IFDIR | 0o755, Nlink: 2, Mtime: 1e9, Ctime: 1e9, BlockSize: 4096}
	if node == rootNode {
		return a, nil
	}
	f := m.file(node)
	links := uint32(1)
	if f.Inode != 0 {
		a.Ino, links = f.Inode, 2
	}
	a.Mode, a.Nlink, a.Size = unix.S_IFREG|0o644, links, uint64(f.Size) //nolint:gosec // of a test
	if f.Changed != 0 {
		a.Mtime, a.Ctime = f.Changed, f.Changed
	}
	if f.Stat != nil {
		return a, f.Stat()
	}
	return a, nil
}

// list is what a directory has from an offset on; everything at once.
func (m *Mount) list(body []byte) []byte {
	var in readIn
	_, _ = binary.Decode(body, binary.NativeEndian, &in)
	out := []byte{}
	for i := int(in.Offset); i < len(m.names); i++ { //nolint:gosec // small
		out = dirent(out, uint64(i+2), uint64(i+1), unix.DT_REG, m.names[i]) //nolint:gosec // small
	}
	return out
}
