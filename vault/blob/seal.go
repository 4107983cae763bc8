package blob

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"

	"vaultik/vault/keys"
)

const (
	// MaxSize is how large a sealed blob may be, in bytes. Writers stay far below.
	MaxSize = 256 << 20

	ageChunk     = 64 << 10 // plaintext bytes that age authenticates together
	ageTag       = 16       // bytes it adds to each
	ageEncChunk  = ageChunk + ageTag
	ageNonce     = 16
	maxHeader    = 256 << 10 // of age, with room for more stanzas than keys.MaxRecipients
	stanzaBound  = 2 << 10   // bytes of the largest stanza, a post-quantum tag's
	ageMACPrefix = "\n--- "
)

// Sealed is a blob as it is stored.
type Sealed struct {
	Info
	Bytes []byte // the complete age file
}

// Seal encrypts a plaintext to the recipients and the epoch. The result aliases
// dst if that has room for SealedSize; dst and plaintext may not overlap.
func Seal(dst, plaintext []byte, r keys.Recipients, epoch keys.EpochKey) (Sealed, error) {
	return seal(dst[:0], nil, plaintext, r, epoch)
}

// SealedSize bounds the size in bytes of a sealed plaintext.
func SealedSize(plaintext int, r keys.Recipients) int {
	return 256 + stanzaBound*(len(r.Strings())+1) + plaintext + ageTag*ageChunks(plaintext)
}

func ageChunks(plaintext int) int { return max(1, (plaintext+ageChunk-1)/ageChunk) }

// seal writes the age header to dst. If whole is given, dst is its beginning,
// cut off before the plaintext, and whole ends with the plaintext. Where header
// and tags fit before the plaintext, all goes to whole: age copies 64 KiB before
// it writes them, so what is written never overtakes what is still to be read.
func seal(dst, whole, plaintext []byte, r keys.Recipients, epoch keys.EpochKey) (Sealed, error) {
	if len(plaintext) > MaxSize/2 {
		return Sealed{}, fmt.Errorf("seal blob: %w: %d bytes", ErrTooLarge, len(plaintext))
	}
	out := &sealWriter{buf: dst, sum: sha256.New()}
	w, err := keys.EncryptTo(out, r, epoch.Recipient)
	if err != nil {
		return Sealed{}, fmt.Errorf("seal blob: %w", err)
	}
	need := len(out.buf) + ageTag*ageChunks(len(plaintext))
	if need <= len(whole)-len(plaintext) {
		out.buf = whole[:len(out.buf)]
	} else {
		need += len(plaintext)
		if cap(out.buf) < need {
			out.buf = append(make([]byte, 0, need), out.buf...)
		}
	}
	if _, err := w.Write(plaintext); err != nil {
		return Sealed{}, fmt.Errorf("seal blob: %w", err)
	}
	if err := w.Close(); err != nil {
		return Sealed{}, fmt.Errorf("seal blob: %w", err)
	}
	hdr, _, err := HeaderSum(out.buf)
	if err != nil {
		return Sealed{}, fmt.Errorf("seal blob: %w", err)
	}
	s := Sealed{Info{Hdr: hdr, Size: int64(len(out.buf)), Epoch: epoch.ID}, out.buf}
	out.sum.Sum(s.Name[:0])
	return s, nil
}

// sealWriter hashes what it appends, while it is in the processor's cache.
type sealWriter struct {
	buf []byte
	sum hash.Hash
}

func (w *sealWriter) Write(p []byte) (int, error) {
	w.buf = append(w.buf, p...)
	return w.sum.Write(p)
}

// HeaderSum returns Info.Hdr of an age file that begins with head: the SHA-256
// through the newline of the MAC line and the 16-byte nonce, and how many bytes
// that is. The error is ErrDamaged if head does not hold as much.
func HeaderSum(head []byte) (sum [32]byte, n int, err error) {
	n = headerLen(head)
	if n == 0 {
		return sum, 0, damaged("no complete age header")
	}
	return sha256.Sum256(head[:n]), n, nil
}

// headerLen is the length of header and nonce, or 0 if head does not hold them.
func headerLen(head []byte) int {
	if len(head) > maxHeader {
		head = head[:maxHeader]
	}
	mac := bytes.Index(head, []byte(ageMACPrefix)) // "-" is not in base64, so no stanza body looks like it
	if mac < 0 {
		return 0
	}
	line := mac + 1
	end := bytes.IndexByte(head[line:], '\n')
	if end < 0 || line+end+1+ageNonce > len(head) {
		return 0
	}
	return line + end + 1 + ageNonce
}
