// Package parity computes bytes from a blob with which it can be healed after parts of it have
// changed. They are kept beside the blob, and say nothing that the blob does not: neither
// making them nor healing needs a key.
//
// A blob is cut into sectors of 4 KiB, the last one filled up with zeros. Sector i belongs to
// stripe i mod stripes, so that a burst is spread over all of them. A stripe has at most 128
// sectors of data, and by the Reed-Solomon code over GF(2^8) with the polynomial 0x11D as many
// of parity as are asked for; any of its sectors can be missing, as long as there are not more
// of them than sectors of parity.
//
//	head    "vaultikx", then numbers of 32 bits, little-endian: version 1, sectors of data in a
//	        stripe, of parity, stripes; size of the blob in 64 bits; its SHA-256
//	        for each sector of the blob, then of parity, the first 8 bytes of its SHA-256
//	        SHA-256 of all of this
//	parity  stripe by stripe
//	head    again
//	length of the head, 32 bits
package parity

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/reedsolomon"
)

const (
	sector    = 4096
	maxData   = 128 // sectors of data in a stripe
	sumLen    = 8
	magic     = "vaultikx"
	fixedLen  = len(magic) + 4*4 + 8 + sha256.Size
	version   = 1
	maxBlob   = 256 << 20
	maxStripe = (maxBlob/sector + maxData - 1) / maxData
)

// MaxSize is how long the parity of a blob may be, in bytes.
const MaxSize = 2 * maxBlob

// MaxPercent is the most parity that there can be, in hundredths of the blob.
const MaxPercent = 100

var (
	// ErrDamaged means that the parity itself cannot be used.
	ErrDamaged = errors.New("the parity is damaged, or not of this blob")
	// ErrTooMuch means that more of the blob is damaged than its parity can heal.
	ErrTooMuch = errors.New("more is damaged than the parity can heal")
)

// shape is how a blob is divided.
type shape struct {
	size                  int64
	data, parity, stripes int
}

// shapeOf divides a blob of this size. The parity of small blobs is more than is asked for,
// since it is at least one sector.
func shapeOf(size int64, percent int) shape {
	n := int((size + sector - 1) / sector)
	s := shape{size: size, stripes: (n + maxData - 1) / maxData}
	s.data = (n + s.stripes - 1) / s.stripes
	s.parity = (s.data*percent + 99) / 100
	return s
}

func (s shape) sectors() int { return int((s.size + sector - 1) / sector) }
func (s shape) headLen() int {
	return fixedLen + (s.sectors()+s.stripes*s.parity)*sumLen + sha256.Size
}

// valid reports whether the numbers are those of some blob.
func (s shape) valid() bool {
	return s.size > 0 && s.size <= maxBlob && s.stripes > 0 && s.stripes <= maxStripe &&
		s.parity > 0 && s.parity <= s.data && s.data <= maxData &&
		s.stripes == (s.sectors()+maxData-1)/maxData &&
		s.data == (s.sectors()+s.stripes-1)/s.stripes
}

// Size is how long the parity of a blob is.
func Size(blob int64, percent int) int64 {
	s := shapeOf(blob, percent)
	return int64(2*s.headLen()+s.stripes*s.parity*sector) + 4
}

// Coder makes parity. It keeps the matrices of the shapes that it has met: those of large
// blobs are nearly all the same. It is not safe for concurrent use.
type Coder struct {
	codes map[[2]int]reedsolomon.Encoder
}

func (c *Coder) code(s shape) (reedsolomon.Encoder, error) {
	key := [2]int{s.data, s.parity}
	if e := c.codes[key]; e != nil {
		return e, nil
	}
	e, err := reedsolomon.New(s.data, s.parity, reedsolomon.WithMaxGoroutines(1),
		reedsolomon.WithInversionCache(false))
	if err != nil {
		return nil, err
	}
	if c.codes == nil || len(c.codes) >= 16 {
		c.codes = map[[2]int]reedsolomon.Encoder{}
	}
	c.codes[key] = e
	return e, nil
}

// Make returns the parity of a blob: percent of it, at most [MaxPercent]. The same blob and
// share always have the same parity. It is written over dst where that is large enough.
func (c *Coder) Make(dst, blob []byte, percent int) ([]byte, error) {
	if len(blob) == 0 || len(blob) > maxBlob || percent < 1 || percent > MaxPercent {
		return nil, fmt.Errorf("no parity of %d %% for %d bytes", percent, len(blob))
	}
	s := shapeOf(int64(len(blob)), percent)
	code, err := c.code(s)
	if err != nil {
		return nil, err
	}
	head := make([]byte, fixedLen, s.headLen())
	name := sha256.Sum256(blob)
	s.encode(head, name)
	n := int(Size(s.size, percent))
	if cap(dst) < n {
		dst = make([]byte, n)
	}
	out := dst[:n]
	body := out[s.headLen():][:s.stripes*s.parity*sector]
	for i := range s.sectors() {
		head = append(head, sum(s.dataSector(blob, i))...)
	}
	for i := range s.stripes {
		if err := code.Encode(s.stripe(blob, body, i)); err != nil {
			return nil, err
		}
	}
	for i := range s.stripes * s.parity {
		head = append(head, sum(body[i*sector:][:sector])...)
	}
	all := sha256.Sum256(head)
	head = append(head, all[:]...)
	copy(out, head)
	copy(out[len(head)+len(body):], head)
	binary.LittleEndian.PutUint32(out[len(out)-4:], uint32(len(head)))
	return out, nil
}

func (s shape) encode(head []byte, name [32]byte) {
	le := binary.LittleEndian
	copy(head, magic)
	for i, n := range []int{version, s.data, s.parity, s.stripes} {
		le.PutUint32(head[len(magic)+4*i:], uint32(n))
	}
	le.PutUint64(head[len(magic)+16:], uint64(s.size))
	copy(head[fixedLen-sha256.Size:], name[:])
}

// dataSector is a sector of the blob, filled up with zeros.
func (s shape) dataSector(blob []byte, i int) []byte {
	b := blob[min(len(blob), i*sector):min(len(blob), (i+1)*sector)]
	if len(b) < sector {
		b = append(make([]byte, 0, sector), b...)[:sector]
	}
	return b
}

// stripe are the sectors of a stripe, those of data first.
func (s shape) stripe(blob, body []byte, i int) [][]byte {
	shards := make([][]byte, s.data+s.parity)
	for j := range s.data {
		shards[j] = s.dataSector(blob, j*s.stripes+i)
	}
	for j := range s.parity {
		shards[s.data+j] = body[(i*s.parity+j)*sector:][:sector]
	}
	return shards
}

func sum(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:sumLen]
}

// Parity is what was made of a blob.
type Parity struct {
	shape
	name [32]byte
	sums []byte
	body []byte
	// Damaged is how many of its own sectors have changed; the others are used.
	Damaged int
}

// Open opens the parity of the blob of this name. One of its two heads has to be whole.
func Open(b []byte, name [32]byte) (*Parity, error) {
	head, ok := front(b, 0)
	if !ok && len(b) > 4 {
		n := int64(binary.LittleEndian.Uint32(b[len(b)-4:]))
		if at := int64(len(b)) - 4 - n; at >= 0 {
			head, ok = front(b, int(at))
		}
	}
	if !ok || head.name != name || len(head.body) < head.stripes*head.parity*sector {
		return nil, ErrDamaged
	}
	p := head
	sums := p.sums[p.sectors()*sumLen:]
	for i := range p.stripes * p.parity {
		if !bytes.Equal(sum(p.body[i*sector:][:sector]), sums[i*sumLen:][:sumLen]) {
			p.Damaged++
		}
	}
	return p, nil
}

// Check reads parity to its end, and fails with [ErrDamaged] unless all of it is as it was
// made, of the blob of this name. Of large parity it holds the head only: 1/200 of the blob and
// as much of the parity.
func Check(in io.Reader, name [32]byte) error {
	r := bufio.NewReaderSize(in, 64<<10)
	head := make([]byte, fixedLen)
	if err := fill(r, head); err != nil {
		return err
	}
	p, ok := numbers(head)
	if !ok {
		return ErrDamaged
	}
	whole := make([]byte, p.headLen())
	copy(whole, head)
	if err := fill(r, whole[fixedLen:]); err != nil {
		return err
	}
	head = whole
	if p, ok = front(head, 0); !ok || p.name != name {
		return ErrDamaged
	}
	bad, one := 0, make([]byte, sector)
	for sums := p.sums[p.sectors()*sumLen:]; len(sums) > 0; sums = sums[sumLen:] {
		if err := fill(r, one); err != nil {
			return err
		}
		if !bytes.Equal(sum(one), sums[:sumLen]) {
			bad++
		}
	}
	rest, err := io.ReadAll(io.LimitReader(r, int64(len(head))+5))
	switch {
	case err != nil:
		return err
	case bad > 0:
		return fmt.Errorf("%w: %d of its %d sectors", ErrDamaged, bad, p.stripes*p.parity)
	case !bytes.Equal(rest, binary.LittleEndian.AppendUint32(head, uint32(len(head)))):
		return fmt.Errorf("%w: its end", ErrDamaged)
	}
	return nil
}

// fill reads so many bytes; that there are fewer is damage.
func fill(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is too short", ErrDamaged)
	}
	return err
}

// front reads the head that begins at a place.
func front(b []byte, at int) (*Parity, bool) {
	h := b[at:]
	p, ok := numbers(h)
	if !ok || len(h) < p.headLen() {
		return nil, false
	}
	h = h[:p.headLen()]
	end := len(h) - sha256.Size
	if all := sha256.Sum256(h[:end]); !bytes.Equal(all[:], h[end:]) {
		return nil, false
	}
	p.name = [32]byte(h[fixedLen-sha256.Size:])
	p.sums = h[fixedLen:end]
	first := p.headLen() // the body is behind the first head, whichever was read
	p.body = b[min(len(b), first):min(len(b), first+p.stripes*p.parity*sector)]
	return p, true
}

// numbers reads the shape at the beginning of a head.
func numbers(h []byte) (*Parity, bool) {
	le := binary.LittleEndian
	if len(h) < fixedLen || string(h[:len(magic)]) != magic || le.Uint32(h[len(magic):]) != version {
		return nil, false
	}
	var n [3]int
	for i := range n {
		v := le.Uint32(h[len(magic)+4*(i+1):])
		if v > maxStripe*maxData {
			return nil, false
		}
		n[i] = int(v)
	}
	size := le.Uint64(h[len(magic)+16:])
	if size > maxBlob {
		return nil, false
	}
	p := &Parity{shape: shape{size: int64(size), data: n[0], parity: n[1], stripes: n[2]}}
	return p, p.valid()
}

// BlobSize is how long the blob is.
func (p *Parity) BlobSize() int64 { return p.size }

// Heal returns the blob as it was made, and how many of its sectors had changed or were
// missing. Bytes after its end are ignored. It does not change what it is given.
// [ErrTooMuch]: it cannot be healed; nothing is returned.
func (p *Parity) Heal(blob []byte) (healed []byte, sectors int, err error) {
	healed = make([]byte, p.size)
	copy(healed, blob)
	var c Coder
	code, err := c.code(p.shape)
	if err != nil {
		return nil, 0, err
	}
	for i := range p.stripes {
		shards := p.stripe(healed, p.body, i)
		bad := 0
		for j, b := range shards {
			at := j*p.stripes + i
			switch {
			case j >= p.data:
				at = p.sectors() + i*p.parity + j - p.data
			case at >= p.sectors():
				continue // a stripe shorter than the first: zeros
			}
			if !bytes.Equal(sum(b), p.sums[at*sumLen:][:sumLen]) {
				shards[j] = nil
				if j < p.data {
					bad++
				}
			}
		}
		if bad == 0 {
			continue
		}
		if err := code.ReconstructData(shards); err != nil {
			if errors.Is(err, reedsolomon.ErrTooFewShards) {
				return nil, 0, ErrTooMuch
			}
			return nil, 0, err
		}
		for j := range p.data {
			if at := (j*p.stripes + i) * sector; at < len(healed) {
				copy(healed[at:min(len(healed), at+sector)], shards[j])
			}
		}
		sectors += bad
	}
	if sha256.Sum256(healed) != p.name {
		return nil, 0, ErrTooMuch
	}
	return healed, sectors, nil
}
