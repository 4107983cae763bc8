// Package checked remembers when objects of a store were checked, over many runs: one file of
// 24 bytes an object. What a run notes is there for the next one, however the run ends. A file
// that is missing or damaged costs nothing but work: what it does not say is checked again.
package checked

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"vaultik/internal/atomicfile"
)

// Mark stands for an object.
type Mark [16]byte

// MarkOf is the mark of an object with this SHA-256.
func MarkOf(sum [32]byte) Mark { return Mark(sum[:16]) }

const (
	magic      = "vaultikC" // begins the file
	recordSize = 24         // mark, time, CRC-32C; the head: magic, zeros, time, CRC-32C
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type record struct {
	mark Mark
	at   uint32 // seconds since 1970
}

// Log is what is remembered of one store. Note is for many goroutines, the rest for one.
type Log struct {
	path  string
	known []record // sorted by mark, each once; as it was when it was loaded
	since time.Time
	last  time.Time

	mu sync.Mutex
	f  *os.File // nil: not begun
}

// Load reads what was remembered in a file. The error is one of the system.
func Load(path string) (*Log, error) {
	l := &Log{path: path}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was checked: %w", err)
	}
	l.parse(b)
	return l, nil
}

func (l *Log) parse(b []byte) {
	if len(b) < recordSize || !bytes.HasPrefix(b, []byte(magic)) || !intact(b[:recordSize]) {
		return
	}
	be := binary.BigEndian
	l.since = fromSeconds(be.Uint32(b[16:]))
	for b = b[recordSize:]; len(b) >= recordSize; b = b[recordSize:] {
		switch r := (record{Mark(b[:16]), be.Uint32(b[16:])}); {
		case !intact(b[:recordSize]):
		case r.mark == Mark{}:
			l.last = fromSeconds(r.at)
		default:
			l.known = append(l.known, r)
		}
	}
	slices.SortFunc(l.known, func(a, b record) int {
		return cmp.Or(bytes.Compare(a.mark[:], b.mark[:]), cmp.Compare(b.at, a.at))
	})
	l.known = slices.CompactFunc(l.known, func(a, b record) bool { return a.mark == b.mark })
}

func intact(b []byte) bool {
	return binary.BigEndian.Uint32(b[recordSize-4:]) == crc32.Checksum(b[:recordSize-4], castagnoli)
}

func sealed(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func fromSeconds(s uint32) time.Time { return time.Unix(int64(s), 0) }

// Since is when the first run began, Last when the last that was finished did; zero: none.
func (l *Log) Since() time.Time { return l.since }

// Last is described at Since.
func (l *Log) Last() time.Time { return l.last }

// At is when an object was checked, as far as was known when the log was loaded.
func (l *Log) At(m Mark) (time.Time, bool) {
	i, ok := l.find(m)
	if !ok {
		return time.Time{}, false
	}
	return fromSeconds(l.known[i].at), true
}

func (l *Log) find(m Mark) (int, bool) {
	return slices.BinarySearchFunc(l.known, m, func(r record, m Mark) int {
		return bytes.Compare(r.mark[:], m[:])
	})
}

// Begin begins a run: it writes the file anew without objects that are no longer there, and
// opens it for Note. The directory must exist. Errors are those of the system.
func (l *Log) Begin(since time.Time, there iter.Seq[Mark]) error {
	keep := make([]bool, len(l.known))
	for m := range there {
		if i, ok := l.find(m); ok {
			keep[i] = true
		}
	}
	b := make([]byte, 0, recordSize*(2+len(l.known)))
	head := record{at: uint32(since.Unix())}
	copy(head.mark[:], magic)
	b = append(b, head.bytes()...)
	if !l.last.IsZero() {
		b = append(b, record{at: uint32(l.last.Unix())}.bytes()...)
	}
	for i, r := range l.known {
		if keep[i] {
			b = append(b, r.bytes()...)
		}
	}
	if err := atomicfile.WriteFile(l.path, b, 0o600); err != nil {
		return fmt.Errorf("remember what was checked: %w", err)
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("remember what was checked: %w", err)
	}
	l.f = f
	return nil
}

func (r record) bytes() []byte {
	b := append(make([]byte, 0, recordSize), r.mark[:]...)
	return sealed(binary.BigEndian.AppendUint32(b, r.at))
}

// Note notes that an object was checked. It reaches the file at once, though not the disk.
func (l *Log) Note(m Mark, at time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.f.Write(record{m, uint32(at.Unix())}.bytes()); err != nil {
		return fmt.Errorf("remember what was checked in %s: %w", filepath.Base(l.path), err)
	}
	return nil
}

// Finish notes that a run which began at that time has come to its end.
func (l *Log) Finish(at time.Time) error { return l.Note(Mark{}, at) }

// Close ends a run; one that has not begun has nothing to close.
func (l *Log) Close() error {
	if l.f == nil {
		return nil
	}
	return l.f.Close()
}

// Marks are those of all objects that were remembered when the log was loaded.
func (l *Log) Marks() iter.Seq[Mark] {
	return func(yield func(Mark) bool) {
		for _, r := range l.known {
			if !yield(r.mark) {
				return
			}
		}
	}
}
