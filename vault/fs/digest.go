package fs

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/blake3"

	"vaultik/vault/page"
)

// StatSum is a keyed digest of what decides whether an entry is unchanged. Zero
// means that it may not be relied on.
type StatSum [16]byte

// IsZero reports whether the sum says nothing.
func (s StatSum) IsZero() bool { return s == StatSum{} }

// Ignore are what may differ though a file is the same, a set of bits.
type Ignore uint8

// IgnoreInode is for file systems that number their files anew at each mount, IgnoreCtime
// for trees whose modes or owners are set again and again.
const (
	IgnoreInode Ignore = 1 << iota
	IgnoreCtime
)

// StatHasher makes stat sums. It belongs to one goroutine.
type StatHasher struct {
	h      *blake3.Hasher
	Ignore Ignore
}

// NewStatHasher is keyed by the host, so that sums say nothing to others.
func NewStatHasher(key [32]byte) *StatHasher {
	h, err := blake3.NewKeyed(key[:])
	if err != nil {
		panic(fmt.Sprintf("stat hasher: %v", err)) // a key of 32 bytes is always taken
	}
	return &StatHasher{h: h}
}

// racyWindow is how close to its reading, in seconds, a change may be before
// timestamps can hide the next one: FAT counts in steps of two.
const racyWindow = 2

// clockError is how far the clock of a file system may be from this machine's, in seconds,
// as far as sums allow for it. Time zones are in it.
const clockError = 24 * 60 * 60

// Moment is when an entry was looked at.
type Moment struct {
	Clock time.Time // by this machine
	// Newest is the newest change that had been seen on its file system, in seconds since
	// 1970, so that the clock there was at least as far: it may be another machine's.
	Newest int64
}

// racy reports whether a change at t may be followed by another one, after the reading, that
// the same time stamp hides: if t is about now by this clock; or if the file system counts in
// whole seconds, and nothing proves that its own clock had gone on.
func (m *Moment) racy(t, ctime page.Time) bool {
	ago := m.Clock.Unix() - t.Sec
	if ago >= -racyWindow && ago <= racyWindow {
		return true
	}
	return ctime.Nsec == 0 && ago > -clockError && ago < clockError && m.Newest <= t.Sec+racyWindow
}

// Clocks are those of the file systems that are looked at, as far as their entries tell. Its
// methods may be called by many goroutines; the zero value knows nothing yet.
type Clocks struct {
	last  atomic.Pointer[deviceClock] // most entries are on the device of the one before
	mu    sync.Mutex
	byDev map[uint64]*deviceClock
}

// deviceClock is that of one file system.
type deviceClock struct {
	dev    uint64
	newest atomic.Int64 // change that was seen there, in seconds since 1970
}

func (c *Clocks) of(dev uint64) *deviceClock {
	if d := c.last.Load(); d != nil && d.dev == dev {
		return d
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.byDev[dev]
	if d == nil {
		if c.byDev == nil {
			c.byDev = map[uint64]*deviceClock{}
		}
		d = &deviceClock{dev: dev}
		c.byDev[dev] = d
	}
	c.last.Store(d)
	return d
}

// Saw takes an entry. What is far in the future says nothing about a clock.
func (c *Clocks) Saw(st *Stat, now time.Time) {
	t, d := st.Ctime.Sec, c.of(st.Dev)
	if t >= now.Unix()+clockError {
		return
	}
	for old := d.newest.Load(); t > old && !d.newest.CompareAndSwap(old, t); {
		old = d.newest.Load()
	}
}

// Moment is now, for an entry of a device.
func (c *Clocks) Moment(dev uint64, now time.Time) Moment {
	return Moment{Clock: now, Newest: c.of(dev).newest.Load()}
}

// Sum covers path, type, mode, owner, size, mtime, ctime, inode and links, but for what is
// ignored. It is zero if mtime or ctime may be too close to when the entry was read to show
// the next change.
func (s *StatHasher) Sum(path string, st *Stat, read Moment) (sum StatSum) {
	if read.racy(st.Mtime, st.Ctime) ||
		s.Ignore&IgnoreCtime == 0 && read.racy(st.Ctime, st.Ctime) {
		return sum
	}
	return s.sum(path, st, s.Ignore)
}

// Vouches reports whether the sum of an earlier run says that an entry, whose sum is now, is
// the same: also one that ignores less than this run, so that ignoring something does not
// mean to read everything again. One that ignores more says too little.
func (s *StatHasher) Vouches(then, now StatSum, path string, st *Stat) bool {
	if now.IsZero() || then == now {
		return !now.IsZero()
	}
	for less := range s.Ignore {
		if less&^s.Ignore == 0 && s.sum(path, st, less) == then {
			return true
		}
	}
	return false
}

func (s *StatHasher) sum(path string, st *Stat, ignore Ignore) (sum StatSum) {
	var b [8 * 9]byte
	le := binary.LittleEndian
	le.PutUint32(b[0:], st.Mode)
	copy(b[4:8], st.Type) // the first letters tell the types apart
	le.PutUint64(b[8:], uint64(st.UID)<<32|uint64(st.GID))
	le.PutUint64(b[16:], uint64(st.Size))
	le.PutUint64(b[24:], uint64(st.Mtime.Sec))
	le.PutUint64(b[32:], uint64(st.Ctime.Sec))
	le.PutUint64(b[40:], uint64(uint32(st.Mtime.Nsec))<<32|uint64(uint32(st.Ctime.Nsec)))
	le.PutUint64(b[48:], st.Ino)
	le.PutUint64(b[56:], st.Nlink)
	le.PutUint64(b[64:], uint64(st.Major)<<32|uint64(st.Minor))
	if ignore&IgnoreInode != 0 {
		clear(b[48:56])
	}
	if ignore&IgnoreCtime != 0 {
		clear(b[32:40])
		clear(b[40:44]) // the lower half: its nanoseconds
	}
	s.h.Reset()
	_, _ = s.h.Write(b[:]) // a hash takes everything
	if ignore != 0 {
		_, _ = s.h.Write([]byte{0, byte(ignore)}) // no path begins so
	}
	_, _ = s.h.WriteString(path)
	var full [32]byte
	s.h.Sum(full[:0])
	copy(sum[:], full[:])
	return sum
}

// Leaf covers the entries of a leaf page, by path key, stat sum and hard-link id; zero if one
// of the sums is. The ids are not in the sums, so that files are not read again where only
// the file system got another identity; but a page with ids of then must not stand beside one
// with those of now.
func (s *StatHasher) Leaf(keys [][16]byte, sums []StatSum, links []string) (d [32]byte) {
	s.h.Reset()
	for i := range keys {
		if sums[i].IsZero() {
			return [32]byte{}
		}
		_, _ = s.h.Write(keys[i][:])
		_, _ = s.h.Write(sums[i][:])
		if links[i] != "" {
			_, _ = s.h.WriteString(links[i])
		}
	}
	s.h.Sum(d[:0])
	return d
}

// HardLink is equal for all names of one file, and says nothing else: a keyed hash of the
// identity of its file system (FileSystems.Of) and of its inode, as 16 hex digits.
func HardLink(key [32]byte, fileSystem string, st *Stat) string {
	h := NewStatHasher(key).h
	var n [16]byte
	binary.LittleEndian.PutUint64(n[:], st.Ino)
	binary.LittleEndian.PutUint64(n[8:], st.Subvol)
	_, _ = h.WriteString(fileSystem)
	_, _ = h.Write(n[:])
	var full [32]byte
	h.Sum(full[:0])
	return hex.EncodeToString(full[:8])
}
