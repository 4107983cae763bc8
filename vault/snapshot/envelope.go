package snapshot

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"vaultik/vault/keys"
)

// Bounds of objects, in bytes: of what is stored as well as of what it
// decompresses to.
const (
	MaxManifest   = 64 << 20
	MaxCheckpoint = 64 << 20
	MaxGC         = 8 << 20
	MaxTrust      = 16 << 20
	MaxStoreDoc   = 64 << 10
	MaxBlobList   = 1 << 20

	MaxCondemnedList = 8 << 20
	MaxRoot          = 16 << 20
)

// window is how far back a match may lie in what is written, in bytes, and
// maxWindow in what is read: that of the zstd program up to level 19.
const (
	window    = 1 << 20
	maxWindow = 8 << 20
)

// maxRatio is how much an object may shrink, beyond its first 64 KiB. Random names
// and sums are most of a manifest: they shrink to a half, their punctuation to
// nothing, and a bomb to a thousandth.
const maxRatio = 16

// signed returns the line of v and the signature over it.
func signed(v any, namespace string, signer *keys.Signer) ([]byte, error) {
	line, err := marshal(v)
	if err != nil {
		return nil, err
	}
	sig, err := signer.Sign(namespace, line)
	if err != nil {
		return nil, err
	}
	return append(line, sig...), nil
}

// splitSigned separates a line, with its newline, from the signature behind it.
func splitSigned(b []byte) (line, sig []byte, err error) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return nil, nil, damaged("it has no signature")
	}
	return b[:end+1], b[end+1:], nil
}

// verified returns the line of a signed object, if one of the keys signed it.
func verified(b []byte, namespace string, pubs ...keys.PublicKey) ([]byte, error) {
	line, sig, err := splitSigned(b)
	if err != nil {
		return nil, err
	}
	for _, pub := range pubs {
		if err = keys.Verify(pub, namespace, line, sig); err == nil {
			return line, nil
		}
	}
	if err == nil {
		err = ErrUntrusted
	}
	return nil, err
}

// compress makes one frame. It is not a single segment, as blobs have it: a
// decoder would need memory for all of a large manifest at once.
func compress(b []byte) []byte {
	enc, err := zstd.NewWriter(nil, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true), zstd.WithSingleSegment(false),
		zstd.WithAllLitEntropyCompression(true)) // in one or two random names nothing repeats
	if err != nil {
		panic(err) // only options out of their range
	}
	return enc.EncodeAll(b, nil)
}

// compressNames is compress for what decompressNames reads. Data that shrinks too well,
// which data of random names never does, gets a skippable frame appended.
func compressNames(b []byte) []byte {
	out := compress(b)
	if more := (len(b)-64<<10)/maxRatio + 1 - len(out); more > 0 {
		out = skippable(out, more)
	}
	return out
}

// decoders are made once, since that takes longer than to read a small object. Each takes some
// MiB while it works: more of them would not be faster than stores are.
var decoders = func() chan *zstd.Decoder {
	free := make(chan *zstd.Decoder, 4)
	for range cap(free) {
		free <- newDecoder(window)
	}
	return free
}()

// newDecoder keeps memory for objects with windows up to window, of which we write no larger
// ones. It has no goroutines, so that it may be forgotten without being closed.
func newDecoder(window uint64) *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(window), zstd.WithDecoderMaxMemory(MaxManifest))
	if err != nil {
		panic(err) // only options out of their range
	}
	return d
}

// decompress reads zstd and stops beyond limit, before it has taken more memory.
func decompress(b []byte, limit int) ([]byte, error) {
	if len(b) > limit {
		return nil, damaged("too large, %d bytes", len(b))
	}
	var out []byte
	err := decoded(b, limit, func(r io.Reader) (err error) {
		out, err = io.ReadAll(r)
		return err
	})
	switch {
	case err != nil:
		return nil, damaged("decompress: %w", err)
	case len(out) > limit:
		return nil, damaged("it decompresses to more than %d bytes", limit)
	}
	return out, nil
}

// beginsCompressed tells whether b may be the beginning of an object that decompress takes.
func beginsCompressed(b []byte, limit int) error {
	err := decoded(b, limit, func(r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged("decompress: %w", err)
	}
	return nil
}

// decoded has read take what b decompresses to, up to one byte more than limit; twice where
// that takes another decoder.
func decoded(b []byte, limit int, read func(io.Reader) error) error {
	d, whole := <-decoders, false
	defer func() {
		if !whole { // it has panicked
			d = newDecoder(window)
		}
		decoders <- d
	}()
	err := decodedBy(d, b, limit, read)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		err = decodedBy(newDecoder(maxWindow), b, limit, read)
	}
	whole = true
	return err
}

func decodedBy(d *zstd.Decoder, b []byte, limit int, read func(io.Reader) error) error {
	if err := d.Reset(bytes.NewReader(b)); err != nil {
		return err
	}
	err := read(io.LimitReader(d, int64(limit)+1))
	_ = d.Reset(nil) // which keeps b no longer, and cannot fail
	return err
}

// decompressNames is decompress for what consists of names and sums: a store
// full of small objects cannot make a reader take much more than it has sent.
func decompressNames(b []byte, limit int) ([]byte, error) {
	return decompress(b, min(limit, 64<<10+maxRatio*len(b)))
}

// encodeSigned makes a compressed signed object.
func encodeSigned(v any, namespace string, limit int, signer *keys.Signer) ([]byte, error) {
	b, err := signed(v, namespace, signer)
	if err != nil {
		return nil, err
	}
	if len(b) > limit {
		return nil, fmt.Errorf("%w: too large, %d bytes", ErrInvalid, len(b))
	}
	return compressNames(b), nil
}

// decodeSigned returns the line of a compressed signed object.
func decodeSigned(b []byte, namespace string, limit int, pubs ...keys.PublicKey) ([]byte, error) {
	plain, err := decompressNames(b, limit)
	if err != nil {
		return nil, err
	}
	return verified(plain, namespace, pubs...)
}

func sumOf(b []byte) Sum { return sha256.Sum256(b) }
