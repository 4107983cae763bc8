package plan

import (
	"cmp"
	"container/list"
	"slices"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/page"
)

// Piece is one chunk of something of type T, such as a file.
type Piece[T any] struct {
	To  T
	At  int64  // byte offset in To
	Off uint32 // in the decoded frame
	Len uint32
	ID  chunk.ID
}

// Frame is one frame of a blob, and what is wanted of it.
type Frame[T any] struct {
	Off, Len uint32     // in the blob's plaintext
	Pieces   []Piece[T] // by Off, then in the order of Add
}

// Lease is one blob, and what is wanted of it.
type Lease[T any] struct {
	Info   *blob.Info
	Frames []Frame[T] // by Off
	Pieces int        // in all frames
	Bytes  int64      // of all pieces
}

// Blobs gathers pieces by blob. The zero value is empty.
type Blobs[T any] struct {
	order  list.List // of *open[T], the last used at the back
	byInfo map[blob.Info]*list.Element
	pieces int
	bytes  int64
}

type open[T any] struct {
	info   *blob.Info
	frames map[[2]uint32]int // index in list
	list   []Frame[T]
	pieces int
	bytes  int64
}

// Pieces is how many pieces wait.
func (b *Blobs[T]) Pieces() int { return b.pieces }

// Bytes is how many bytes the pieces that wait have together.
func (b *Blobs[T]) Bytes() int64 { return b.bytes }

// Add wants the chunk that ref names, which is no hole, at offset at of to. Two
// infos that share a name and differ otherwise count as two blobs: one of them is wrong.
func (b *Blobs[T]) Add(ref *page.Ref, to T, at int64) {
	e := b.byInfo[*ref.Blob]
	if e == nil {
		if b.byInfo == nil {
			b.byInfo = map[blob.Info]*list.Element{}
		}
		e = b.order.PushBack(&open[T]{info: ref.Blob, frames: map[[2]uint32]int{}})
		b.byInfo[*ref.Blob] = e
	} else {
		b.order.MoveToBack(e)
	}
	o, s := e.Value.(*open[T]), &ref.Span
	key := [2]uint32{s.FrameOff, s.FrameLen}
	i, ok := o.frames[key]
	if !ok {
		i = len(o.list)
		o.frames[key] = i
		o.list = append(o.list, Frame[T]{Off: s.FrameOff, Len: s.FrameLen})
	}
	o.list[i].Pieces = append(
		o.list[i].Pieces,
		Piece[T]{To: to, At: at, Off: s.Off, Len: s.Len, ID: ref.ID},
	)
	o.pieces++
	o.bytes += int64(s.Len)
	b.pieces++
	b.bytes += int64(s.Len)
}

// Take removes the blob whose last addition is the oldest; nil if there is none.
func (b *Blobs[T]) Take() *Lease[T] {
	e := b.order.Front()
	if e == nil {
		return nil
	}
	o := b.order.Remove(e).(*open[T])
	delete(b.byInfo, *o.info)
	b.pieces -= o.pieces
	b.bytes -= o.bytes
	slices.SortFunc(o.list, func(x, y Frame[T]) int {
		return cmp.Or(cmp.Compare(x.Off, y.Off), cmp.Compare(x.Len, y.Len))
	})
	for i := range o.list {
		slices.SortStableFunc(
			o.list[i].Pieces,
			func(x, y Piece[T]) int { return cmp.Compare(x.Off, y.Off) },
		)
	}
	return &Lease[T]{Info: o.info, Frames: o.list, Pieces: o.pieces, Bytes: o.bytes}
}
