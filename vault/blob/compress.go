package blob

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

const (
	// SmallChunk is the size in bytes from which a chunk gets a frame of its own.
	SmallChunk = 128 << 10
	// FrameTarget is how many raw bytes of small chunks share a frame.
	FrameTarget = 1 << 20
	// MaxFrameRaw is how many raw bytes a reader accepts in one frame.
	MaxFrameRaw = 16 << 20

	// maxFrameComp is more than zstd makes of MaxFrameRaw bytes that do not compress.
	maxFrameComp = MaxFrameRaw + MaxFrameRaw/256 + 64
)

// window is how far back a match may lie, in bytes. An encoder keeps as much
// history. Frames are mostly 1 to 2 MiB, where more gains nothing; on 4 MiB of
// source text 4 MiB gain 0.6 %, 1 MiB lose 1 %.
const window = 2 << 20

// Compressor makes frames. It belongs to one goroutine. From its first frames of text
// and of random bytes on it takes CompressorMemory.
type Compressor struct {
	enc *zstd.Encoder
	// random is for frames of random bytes, or nil if enc is for them too. It finds
	// what repeats in them, but counts no bytes where nothing does: 4 GB/s, not 1.8.
	random *zstd.Encoder
}

// NewCompressor takes a level of the zstd program, 1 to 19; 0 is the default, 3.
// Levels outside are taken as the nearest. There are four grades: the fastest is
// 1.4 times faster than the default and 6 % larger on source text, the next
// better 1.5 times slower and 5 % smaller.
func NewCompressor(level int) *Compressor {
	grade := gradeOf(level)
	c := &Compressor{enc: newEncoder(grade, true)}
	// The better grades search so long that counting bytes is not worth another encoder.
	if grade <= zstd.SpeedDefault {
		c.random = newEncoder(grade, false)
	}
	return c
}

func gradeOf(level int) zstd.EncoderLevel {
	if level == 0 {
		level = 3
	}
	return zstd.EncoderLevelFromZstd(level)
}

// CompressorMemory is how many bytes a compressor of a level takes at most, on the
// collector's heap.
func CompressorMemory(level int) int64 {
	switch gradeOf(level) {
	case zstd.SpeedFastest:
		return 2 * (3 << 20)
	case zstd.SpeedDefault:
		return 2 * (9 << 19)
	case zstd.SpeedBetterCompression:
		return 7 << 20
	default:
		return 38 << 20
	}
}

// newEncoder makes an encoder. With literals, text in which nothing repeats, like
// base64, shrinks too, by the frequencies of its bytes.
func newEncoder(grade zstd.EncoderLevel, literals bool) *zstd.Encoder {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(grade),
		zstd.WithAllLitEntropyCompression(literals),
		zstd.WithWindowSize(window),
		zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true),
		zstd.WithZeroFrames(true),
		zstd.WithSingleSegment(true), // else frames under 256 bytes lack their content size
	)
	if err != nil {
		panic(err) // only options out of their range
	}
	return enc
}

// Frame appends raw as one frame to dst. Nothing is allocated if dst has room
// for MaxCompressed of len(raw).
func (c *Compressor) Frame(dst, raw []byte) []byte {
	if c.random != nil && looksRandom(raw) {
		return c.random.EncodeAll(raw, dst)
	}
	return c.enc.EncodeAll(raw, dst)
}

// looksRandom reports whether all values are about as frequent as each other in
// samples of raw, as in what is compressed or encrypted already. That takes a few
// hundredths of the time in which random bytes are encoded.
func looksRandom(raw []byte) bool {
	const (
		every  = 64 << 10 // bytes; less text than that gains nothing in a block of 128 KiB
		sample = 256      // bytes, from the middle: files often begin with a legible header
	)
	for at := 0; at < len(raw); at += every {
		part := raw[at:min(at+every, len(raw))]
		middle := max(0, len(part)-sample) / 2
		part = part[middle:min(middle+sample, len(part))]
		var seen [256]uint16
		equal := 0 // pairs of equal bytes: of random ones, one pair in 256
		for _, b := range part {
			equal += int(seen[b])
			seen[b]++
		}
		// Half as many again are five and a half standard deviations, and base64 has
		// four times as many.
		if pairs := len(part) * (len(part) - 1) / 2; 256*equal > pairs+pairs/2 {
			return false
		}
	}
	return true
}

// MaxCompressed is the most bytes that a frame of n raw bytes takes.
func MaxCompressed(n int) int {
	return n + 3*(n/(64<<10)+1) + 32 // a block of 64 KiB or more costs 3 bytes; header and checksum
}

// Decompressor reads frames. It belongs to one goroutine.
type Decompressor struct {
	dec *zstd.Decoder
	buf []byte // a compressed frame, for Reader
}

// NewDecompressor returns a decompressor that refuses more than MaxFrameRaw bytes a frame.
func NewDecompressor() *Decompressor {
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxMemory(MaxFrameRaw),
		zstd.WithDecoderMaxWindow(MaxFrameRaw),
		zstd.WithDecoderLowmem(true),
	)
	if err != nil {
		panic(err) // only options out of their range
	}
	return &Decompressor{dec: dec}
}

// Frame returns the content of comp, which must be exactly one frame that
// declares its size: rawLen bytes, or, with rawLen below zero, any size up to
// MaxFrameRaw. dst's array is overwritten and reused if it is large enough.
// Sizes are checked before anything is allocated.
func (d *Decompressor) Frame(dst, comp []byte, rawLen int) ([]byte, error) {
	size, err := frameSize(comp)
	if err != nil {
		return nil, fmt.Errorf("decompress frame: %w", err)
	}
	if rawLen >= 0 && size != rawLen {
		return nil, fmt.Errorf("decompress frame: %w", damaged("%d bytes declared, %d expected", size, rawLen))
	}
	const slack = 64 // the decoder is faster when it may write past the end
	if cap(dst) < size+slack {
		dst = make([]byte, 0, size+slack)
	}
	out, err := d.dec.DecodeAll(comp, dst[:0])
	if err != nil {
		return nil, fmt.Errorf("decompress frame: %w", damaged("%w", err))
	}
	if len(out) != size {
		return nil, fmt.Errorf("decompress frame: %w", damaged("%d bytes inside, %d declared", len(out), size))
	}
	return out, nil
}

// frameSize walks over the headers of the only frame in comp and returns how
// much it declares to hold. RFC 8878, section 3.1.1.
func frameSize(comp []byte) (int, error) {
	var h zstd.Header
	if len(comp) > maxFrameComp {
		return 0, fmt.Errorf("%w: frame of %d bytes", ErrTooLarge, len(comp))
	}
	if err := h.Decode(comp); err != nil {
		return 0, damaged("%w", err)
	}
	switch {
	case h.Skippable || !h.HasFCS || h.DictionaryID != 0:
		return 0, damaged("not a frame of known size")
	case h.FrameContentSize > MaxFrameRaw:
		return 0, fmt.Errorf("%w: frame of %d bytes", ErrTooLarge, h.FrameContentSize)
	}
	rest := comp[h.HeaderSize:]
	for last := false; !last; {
		if len(rest) < 3 {
			return 0, damaged("frame ends early")
		}
		block := int(rest[0]) | int(rest[1])<<8 | int(rest[2])<<16
		n := block >> 3
		if block>>1&3 == 1 { // one byte repeated n times
			n = 1
		}
		if last = block&1 != 0; len(rest) < 3+n {
			return 0, damaged("frame ends early")
		}
		rest = rest[3+n:]
	}
	want := 0
	if h.HasCheckSum {
		want = 4
	}
	if len(rest) != want {
		return 0, damaged("%d bytes after the frame", len(rest)-want)
	}
	return int(h.FrameContentSize), nil
}
