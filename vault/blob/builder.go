package blob

import (
	"encoding/binary"

	"vaultik/vault/keys"
)

// headroom is kept free before the plaintext, so that Seal can encrypt in place:
// the age header with its stanzas (1.6 KB a post-quantum recipient) and 16 bytes
// for each 64 KiB have their place there.
const headroom = 32 << 10

// Builder gathers the plaintext of one open blob in one buffer. It belongs to
// one goroutine.
type Builder struct {
	buf  []byte // headroom, then the plaintext
	rows []Row
	done bool
}

// NewBuilder uses buf's array as far as it goes; BufferSize says how much is enough.
func NewBuilder(buf []byte) *Builder {
	b := &Builder{buf: buf}
	b.Reset()
	return b
}

// BufferSize is how large a buffer must be for a blob of up to n bytes, as Len
// counts them, to be built and sealed without allocation.
func BufferSize(n int) int { return headroom + int(Padme(int64(n)+skipHeader)) }

// Reset empties the builder. The buffer is used again, the rows are not.
func (b *Builder) Reset() {
	if cap(b.buf) < headroom {
		b.buf = make([]byte, headroom)
	}
	*b = Builder{buf: b.buf[:headroom]}
}

// AddFrame copies one frame into the blob and sets FrameOff and FrameLen of its
// rows, which it copies too. It panics after Finish or Seal.
func (b *Builder) AddFrame(comp []byte, rows []Row) (frameOff, frameLen uint32) {
	if b.done {
		panic("blob: frame added to a finished blob")
	}
	frameOff, frameLen = uint32(len(b.buf)-headroom), uint32(len(comp))
	b.buf = append(b.buf, comp...)
	for i := range rows {
		rows[i].FrameOff, rows[i].FrameLen = frameOff, frameLen
	}
	b.rows = append(b.rows, rows...)
	return frameOff, frameLen
}

// Len is the size of the plaintext in bytes, table included, padding not.
func (b *Builder) Len() int {
	if b.done {
		return len(b.buf) - headroom
	}
	return len(b.buf) - headroom + tableEmpty + rowSize*len(b.rows)
}

// Empty reports whether no frame was added.
func (b *Builder) Empty() bool { return len(b.buf) == headroom }

// Rows returns what was added, in order. They stay valid after Reset.
func (b *Builder) Rows() []Row { return b.rows }

// Finish adds padding and table and returns the plaintext, which aliases the
// buffer. A second call returns the same.
func (b *Builder) Finish() []byte {
	if !b.done {
		n := int64(b.Len()) + skipHeader
		pad := int(Padme(n) - n)
		b.buf = binary.LittleEndian.AppendUint32(b.buf, magicPadding)
		b.buf = binary.LittleEndian.AppendUint32(b.buf, uint32(pad))
		b.buf = append(b.buf, make([]byte, pad)...) // compiled to growing and clearing in place
		b.buf = appendTable(b.buf, b.rows)
		b.done = true
	}
	return b.buf[headroom:]
}

// Seal finishes the blob and encrypts it in place: the sealed bytes alias the
// builder's buffer, and until they are done with, the builder can neither be
// used nor Reset. It saves a second buffer of a blob's size. On error the blob
// is lost.
func (b *Builder) Seal(r keys.Recipients, epoch keys.EpochKey) (Sealed, error) {
	plain := b.Finish()
	return seal(b.buf[:0:headroom], b.buf, plain, r, epoch)
}

// Frame returns n bytes of the plaintext, a frame that AddFrame placed at off.
func (b *Builder) Frame(off, n uint32) []byte {
	return b.buf[headroom+int(off) : headroom+int(off)+int(n)]
}
