package s3

import (
	"crypto/sha256"
	"fmt"
	"time"

	"vaultik/internal/platform"
)

// Secrets are read into memory of their own, outside of Go's heap and stacks,
// which move and copy; derived from there; and overwritten. What stays in the
// process is a grant: keys that each sign for one day.

// scratchSize bounds what a secret is read from: a file, the output of a command.
const scratchSize = 1 << 20 // bytes

// withScratch runs fn with memory that is overwritten and given back afterwards.
func withScratch(fn func(page []byte) error) (err error) {
	page, err := platform.Map(scratchSize)
	if err != nil {
		return fmt.Errorf("take memory for a secret: %w", err)
	}
	platform.WithoutSignals(func() {
		defer func() {
			clear(page)
			// Copying and comparing use vector registers. A copy of this length
			// goes through all sixteen, which then hold zeros.
			copy(page[256:512], page[:256])
			_ = platform.Unmap(page) // cannot fail for what Map returned
		}()
		err = fn(page)
	})
	return err
}

// need is what a key is needed for.
type need struct {
	now    time.Time
	region string
}

// grant is what is kept of an access key: signing keys of one region, of a day each.
type grant struct {
	id, token string
	expires   time.Time // zero: never
	again     bool      // the source can be asked once more
	from      time.Time // the day of keys[0], UTC
	keys      [][sha256.Size]byte
}

// String says nothing of the keys.
func (g *grant) String() string { return "access key " + g.id }

// newGrant derives the keys of days days from now on, and the one before, for
// clocks that are corrected backwards. scratch is at least hmacScratch bytes.
func newGrant(secret, scratch []byte, n need, days int) *grant {
	g := &grant{from: dayOf(n.now).AddDate(0, 0, -1)}
	for i := range days + 1 {
		day := g.from.AddDate(0, 0, i).Format(dayForm)
		g.keys = append(g.keys, signingKey(dayKey(secret, day, scratch), n.region))
	}
	return g
}

// dayOf is the beginning of the day of t, UTC.
func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// until is when the last key ends.
func (g *grant) until() time.Time { return g.from.AddDate(0, 0, len(g.keys)) }

// on returns the key of the day of now, false if there is none.
func (g *grant) on(now time.Time) (day string, key [sha256.Size]byte, ok bool) {
	i := int(now.UTC().Sub(g.from) / (24 * time.Hour))
	if now.Before(g.from) || i >= len(g.keys) {
		return "", key, false
	}
	return g.from.AddDate(0, 0, i).Format(dayForm), g.keys[i], true
}

// hmacScratch is how many bytes dayKey works in: a block of SHA-256.
const hmacScratch = sha256.BlockSize

// dayKey is HMAC-SHA-256 of a day under "AWS4" and the secret. It is written out
// because the one of the standard library copies its key to memory that nobody
// can clear. Only scratch ever holds the secret or what gives it away.
func dayKey(secret []byte, day string, scratch []byte) [sha256.Size]byte {
	block := scratch[:hmacScratch]
	clear(block)
	defer clear(block)
	h := sha256.New()
	if len("AWS4")+len(secret) > len(block) {
		h.Write([]byte("AWS4"))
		h.Write(secret)
		hashed := h.Sum(block[:0])
		clear(block[len(hashed):])
		// The hash has kept the last bytes that did not fill a block, and Sum a
		// copy of it on the stack, where this one leaves another.
		h.Reset()
		h.Write(make([]byte, sha256.BlockSize-1))
		_ = h.Sum(nil)
	} else {
		copy(block[copy(block, "AWS4"):], secret)
	}
	const inner, outer = 0x36, 0x5c // the pads of RFC 2104
	for i := range block {
		block[i] ^= inner
	}
	h.Reset()
	h.Write(block) // a whole block is hashed in place, without a copy
	h.Write([]byte(day))
	sum := h.Sum(nil)
	for i := range block {
		block[i] ^= inner ^ outer
	}
	h.Reset()
	h.Write(block)
	h.Write(sum)
	return [sha256.Size]byte(h.Sum(nil))
}
