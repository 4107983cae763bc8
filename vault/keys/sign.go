package keys

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// The SSH signature format, as ssh-keygen -Y sign writes it:
// PROTOCOL.sshsig in the sources of OpenSSH.
const (
	sigMagic   = "SSHSIG"
	sigVersion = 1
	sigHash    = "sha512"
	sigBegin   = "-----BEGIN SSH SIGNATURE-----\n"
	sigEnd     = "-----END SSH SIGNATURE-----\n"
	sigColumns = 70
)

// Signer is an Ed25519 signing key. It never prints itself.
type Signer struct {
	key func() ed25519.PrivateKey // fmt finds no way into a function
}

// NewSigner makes a random key.
func NewSigner() *Signer {
	var seed [ed25519.SeedSize]byte
	_, _ = rand.Read(seed[:])
	return newSigner(seed[:])
}

func newSigner(seed []byte) *Signer {
	key := ed25519.NewKeyFromSeed(seed)
	return &Signer{func() ed25519.PrivateKey { return key }}
}

// Public returns the key that verifies what the signer signs.
func (s *Signer) Public() PublicKey {
	return PublicKey{[ed25519.PublicKeySize]byte(s.key().Public().(ed25519.PublicKey))}
}

// MarshalText writes the secret seed, in standard base64.
func (s Signer) MarshalText() ([]byte, error) {
	if s.key == nil {
		return nil, fmt.Errorf("write signing key: %w: it is empty", ErrBadKey)
	}
	return base64.StdEncoding.AppendEncode(nil, s.key().Seed()), nil
}

// UnmarshalText reads what MarshalText wrote. The error does not repeat it.
func (s *Signer) UnmarshalText(text []byte) error {
	seed, err := decodeSecret(text, ed25519.SeedSize)
	if err != nil {
		return fmt.Errorf("parse signing key: %w: want 32 bytes in base64", ErrBadKey)
	}
	*s = *newSigner(seed)
	return nil
}

// Sign returns an armored SSH signature of msg, the same bytes each time:
// those of ssh-keygen -Y sign -n namespace.
func (s *Signer) Sign(namespace string, msg []byte) ([]byte, error) {
	if s == nil || s.key == nil {
		return nil, fmt.Errorf("sign: %w: there is none", ErrBadKey)
	}
	if namespace == "" {
		return nil, errors.New("sign: empty namespace")
	}
	sig := ed25519.Sign(s.key(), signedBytes(namespace, msg))
	return armor(s.Public(), namespace, sig), nil
}

// Verify checks an armored SSH signature of msg by pub. Only the bytes that
// Sign would have made are accepted, so that a signed object cannot be changed into
// another valid one. The error is [ErrSignature].
func Verify(pub PublicKey, namespace string, msg, armored []byte) error {
	sig, ok := disarm(pub, namespace, armored)
	if !ok || !ed25519.Verify(pub.key[:], signedBytes(namespace, msg), sig) {
		return fmt.Errorf("verify with key %s: %w", pub.Fingerprint(), ErrSignature)
	}
	return nil
}

// signedBytes are what the Ed25519 signature is over.
func signedBytes(namespace string, msg []byte) []byte {
	sum := sha512.Sum512(msg)
	b := appendString([]byte(sigMagic), namespace)
	b = appendString(b, "") // reserved
	b = appendString(b, sigHash)
	return appendString(b, string(sum[:]))
}

// envelope is the signature blob without the signature at its end.
func envelope(pub PublicKey, namespace string) []byte {
	b := binary.BigEndian.AppendUint32([]byte(sigMagic), sigVersion)
	b = appendString(b, string(pub.wire()))
	b = appendString(b, namespace)
	b = appendString(b, "") // reserved
	b = appendString(b, sigHash)
	inner := appendString(nil, sshKeyType)
	b = binary.BigEndian.AppendUint32(b, uint32(len(inner)+4+ed25519.SignatureSize))
	b = append(b, inner...)
	return binary.BigEndian.AppendUint32(b, ed25519.SignatureSize)
}

func armor(pub PublicKey, namespace string, sig []byte) []byte {
	text := base64.StdEncoding.EncodeToString(append(envelope(pub, namespace), sig...))
	var b strings.Builder
	b.WriteString(sigBegin)
	for len(text) > 0 {
		n := min(sigColumns, len(text))
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	b.WriteString(sigEnd)
	return []byte(b.String())
}

// disarm returns the raw signature. Everything else in the armor is known
// beforehand, so it is compared, not parsed.
func disarm(pub PublicKey, namespace string, armored []byte) (sig []byte, ok bool) {
	zero := make([]byte, ed25519.SignatureSize)
	if len(armored) != len(armor(pub, namespace, zero)) {
		return nil, false
	}
	text, ok := strings.CutPrefix(string(armored), sigBegin)
	if !ok {
		return nil, false
	}
	text, ok = strings.CutSuffix(text, sigEnd)
	if !ok {
		return nil, false
	}
	wire, err := base64.StdEncoding.Strict().DecodeString(strings.ReplaceAll(text, "\n", ""))
	if err != nil || len(wire) < ed25519.SignatureSize {
		return nil, false
	}
	sig = wire[len(wire)-ed25519.SignatureSize:]
	return sig, string(armor(pub, namespace, sig)) == string(armored)
}

// SignedBy returns the key that made an armored SSH signature of msg, which the signature
// itself names. That somebody signed something says nothing about who it was: it is for
// finding keys, not for trusting them. The error is [ErrSignature].
func SignedBy(namespace string, msg, armored []byte) (PublicKey, error) {
	var pub PublicKey
	text, _ := strings.CutPrefix(string(armored), sigBegin)
	text, _ = strings.CutSuffix(text, sigEnd)
	wire, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(text, "\n", ""))
	end := len(sigMagic) + 4 + 4 + len(pub.wire()) // magic, version, length, key
	if err != nil || len(wire) < end {
		return pub, fmt.Errorf("find the signing key: %w", ErrSignature)
	}
	copy(pub.key[:], wire[end-len(pub.key):])
	return pub, Verify(pub, namespace, msg, armored)
}
