package blob

import (
	"fmt"
	"io"
	"slices"
	"sync"
)

// segments are the parts of a sealed blob that are in memory now. They serve
// age's reader, which cannot be given a context: whatever it will ask for is
// fetched before it is called.
type segments struct {
	mu   sync.Mutex
	list []*segment
}

type segment struct {
	off  int64
	data []byte
}

func (s *segments) add(off int64, data []byte) *segment {
	g := &segment{off, data}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, g)
	return g
}

// remove drops a segment; nil is fine.
func (s *segments) remove(g *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.list, g); i >= 0 {
		s.list = slices.Delete(s.list, i, i+1)
	}
}

// find returns the bytes of a range that one segment holds, or nil.
func (s *segments) find(from, to int64) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.list {
		if g.off <= from && to <= g.off+int64(len(g.data)) {
			return g.data[from-g.off : to-g.off]
		}
	}
	return nil
}

// ReadAt implements io.ReaderAt. Ranges that are not held are errors of this package.
func (s *segments) ReadAt(p []byte, off int64) (int, error) {
	data := s.find(off, off+int64(len(p)))
	if data == nil && len(p) > 0 {
		return 0, fmt.Errorf("read %d bytes at %d: not fetched: %w", len(p), off, io.ErrUnexpectedEOF)
	}
	return copy(p, data), nil
}
