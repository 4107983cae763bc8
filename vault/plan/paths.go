package plan

import (
	"encoding/binary"
	"slices"
)

// pathList numbers paths, and takes little memory where they come about in order:
// each is stored as what it has more than the one before it (front coding, as in the
// blocks of a sorted string table). Every pathBlock-th is stored as a whole, so that
// none is far from the beginning of its block.
type pathList struct {
	blocks [][]byte // for each path: bytes it shares with the one before, bytes that follow, these
	n      uint32
	last   string
	bytes  int64 // about what is taken
}

const pathBlock = 16

func (l *pathList) add(path string) (number uint32) {
	number = l.n
	shared := 0
	if number%pathBlock == 0 {
		if n := len(l.blocks); n > 0 {
			l.bytes -= int64(cap(l.blocks[n-1]))
			l.blocks[n-1] = slices.Clone(l.blocks[n-1]) // without the room to grow
			l.bytes += int64(cap(l.blocks[n-1]))
		}
		l.blocks = append(l.blocks, nil)
		l.bytes += 32 // the slice in blocks, with what that leaves free
	} else {
		for shared < min(len(path), len(l.last)) && path[shared] == l.last[shared] {
			shared++
		}
	}
	b := &l.blocks[len(l.blocks)-1]
	l.bytes -= int64(cap(*b))
	*b = binary.AppendUvarint(*b, uint64(shared))
	*b = binary.AppendUvarint(*b, uint64(len(path)-shared))
	*b = append(*b, path[shared:]...)
	l.bytes += int64(cap(*b))
	l.n++
	l.last = path
	return number
}

// at returns the path that got a number.
func (l *pathList) at(number uint32) string {
	b := l.blocks[number/pathBlock]
	var path []byte
	for range number%pathBlock + 1 {
		shared, n := binary.Uvarint(b)
		b = b[n:]
		more, n := binary.Uvarint(b)
		b = b[n:]
		path = append(path[:shared], b[:more]...)
		b = b[more:]
	}
	return string(path)
}
