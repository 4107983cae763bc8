package blob

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"mime/quotedprintable"
	"testing"
)

// seeded is a source that is the same in each run: bounds of sizes need one.
func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 8)) }

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	return b[:n]
}

func base64Text(r *rand.Rand, n int) []byte {
	return base64.StdEncoding.AppendEncode(nil, randomBytes(r, n))[:n]
}

// base64Lines is how mail carries files.
func base64Lines(r *rand.Rand, n int) []byte {
	var b []byte
	for len(b) < n {
		b = append(append(b, base64Text(r, 76)...), "\r\n"...)
	}
	return b[:n]
}

func hexText(r *rand.Rand, n int) []byte { return hex.AppendEncode(nil, randomBytes(r, n))[:n] }

func quotedText(r *rand.Rand, n int) []byte {
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	w.Binary = true
	_, _ = w.Write(randomBytes(r, n)) // a bytes.Buffer takes everything
	_ = w.Close()
	return b.Bytes()[:n]
}

// randomWords is text of words that do not come again.
func randomWords(r *rand.Rand, n int) []byte {
	const letters = "eeeeeeeettttttaaaaaooooooiiiiinnnnnsssshhhhrrrrddlllcuumwfgypbvk"
	b := make([]byte, 0, n+16)
	for len(b) < n {
		for range 3 + r.IntN(8) {
			b = append(b, letters[r.IntN(len(letters))])
		}
		b = append(b, ' ')
	}
	return b[:n]
}

func numbersText(r *rand.Rand, n int) []byte {
	var b []byte
	for len(b) < n {
		b = fmt.Appendf(b, "%.6f\n", 1000*r.NormFloat64())
	}
	return b[:n]
}

// samplesOfSound is noise in numbers of 16 bits, a tenth as loud as it could be.
func samplesOfSound(r *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+2)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint16(b, uint16(int16(r.NormFloat64()*math.MaxInt16/30)))
	}
	return b[:n]
}

// mailText is messages, most of which carry a file.
func mailText(r *rand.Rand, n int) []byte {
	var b []byte
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "Message-ID: <%x@example.org>\r\nSubject: letter %d\r\n\r\n", r.Uint64(), i)
		b = append(b, randomWords(r, 500+r.IntN(3000))...)
		b = append(b, "\r\n\r\n"...)
		b = append(b, base64Lines(r, r.IntN(40_000))...)
	}
	return b[:n]
}

// Text shrinks by the frequencies of its letters even if nothing in it repeats.
func TestFrame_TextWithoutRepeats(t *testing.T) {
	d := NewDecompressor()
	for name, c := range map[string]struct {
		text func(r *rand.Rand, n int) []byte
		most float64 // size of the frame by that of the text
	}{
		"base64":           {base64Text, 0.76},
		"lines of base64":  {base64Lines, 0.77},
		"hex":              {hexText, 0.53},
		"quoted-printable": {quotedText, 0.59},
		"words":            {randomWords, 0.60},
		"numbers":          {numbersText, 0.50},
		"sound":            {samplesOfSound, 0.91},
		"mail":             {mailText, 0.78},
	} {
		for seed, n := range []int{8 << 10, 128 << 10, FrameTarget} {
			raw := c.text(seeded(uint64(seed)), n)
			for _, level := range []int{1, 0, 6, 10} {
				frame := NewCompressor(level).Frame(nil, raw)
				if got := float64(len(frame)) / float64(n); got > c.most {
					t.Errorf("%s, %d bytes at level %d: %.3f, want at most %.2f", name, n, level, got, c.most)
				}
				if back, err := d.Frame(nil, frame, n); err != nil || !bytes.Equal(back, raw) {
					t.Errorf("%s, %d bytes at level %d: %v", name, n, level, err)
				}
			}
		}
	}
}

// Among what is compressed already, a text is not missed.
func TestFrame_TextAmongRandom(t *testing.T) {
	r, z := seeded(1), NewCompressor(0)
	raw := randomBytes(r, FrameTarget)
	copy(raw[300_000:], base64Text(r, 256<<10)) // a block of 128 KiB lies within
	if saved := len(raw) - len(z.Frame(nil, raw)); saved < 31<<10 {
		t.Errorf("%d bytes saved of 256 KiB of base64", saved)
	}
}

func TestFrame_RandomStaysRaw(t *testing.T) {
	z := NewCompressor(0)
	for seed, n := range []int{100, 8 << 10, 128 << 10, FrameTarget, 4 << 20} {
		raw := randomBytes(seeded(uint64(seed)), n)
		if frame := z.Frame(nil, raw); len(frame) < n || !bytes.Contains(frame, raw[:min(n, 64<<10)]) {
			t.Errorf("%d random bytes: a frame of %d, not as they are", n, len(frame))
		}
	}
	// What repeats is found in random bytes as well.
	half := randomBytes(seeded(9), FrameTarget/2)
	if n := len(z.Frame(nil, append(half, half...))); n > FrameTarget*51/100 {
		t.Errorf("random bytes twice: %d of %d bytes", n, FrameTarget)
	}
}

// Frames that look random pass through the encoder without being counted.
func TestLooksRandom(t *testing.T) {
	for seed := range uint64(20) {
		r := seeded(seed)
		if raw := randomBytes(r, FrameTarget); !looksRandom(raw) {
			t.Errorf("seed %d: random bytes do not look random", seed)
		}
		var packed bytes.Buffer
		w, err := flate.NewWriter(&packed, flate.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(base64Text(r, 256<<10)) // a bytes.Buffer takes everything
		_ = w.Close()
		if !looksRandom(packed.Bytes()) {
			t.Errorf("seed %d: compressed text does not look random", seed)
		}
	}
	for name, text := range map[string][]byte{
		"zeros":           make([]byte, 1<<10),
		"base64":          base64Text(seeded(1), FrameTarget),
		"base64 of 1 KiB": base64Text(seeded(2), 1<<10),
		"sound":           samplesOfSound(seeded(3), FrameTarget),
		"random, then base64": append(randomBytes(seeded(4), FrameTarget),
			base64Text(seeded(5), 64<<10)...),
	} {
		if looksRandom(text) {
			t.Errorf("%s looks random", name)
		}
	}
}
