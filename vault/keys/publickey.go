package keys

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
)

const (
	sshKeyType        = "ssh-ed25519"
	fingerprintPrefix = "SHA256:"
)

// PublicKey is an Ed25519 key that verifies signatures. It is comparable.
type PublicKey struct {
	key [ed25519.PublicKeySize]byte
}

// ParsePublicKey reads "ssh-ed25519 AAAA...", as in authorized_keys and
// without options or comment. The error is [ErrBadKey].
func ParsePublicKey(s string) (PublicKey, error) {
	kind, text, _ := strings.Cut(s, " ")
	if kind != sshKeyType {
		return PublicKey{}, fmt.Errorf("parse public key: %w: want %s", ErrBadKey, sshKeyType)
	}
	var p PublicKey
	wire, err := base64.StdEncoding.Strict().DecodeString(text)
	if n := len(p.wire()); err == nil && len(wire) == n {
		copy(p.key[:], wire[n-len(p.key):])
		if p.String() == s {
			return p, nil
		}
	}
	return PublicKey{}, fmt.Errorf("parse public key: %w: it is damaged or incomplete", ErrBadKey)
}

// wire is the key as ssh sends it: RFC 8709 section 4.
func (p PublicKey) wire() []byte {
	return appendString(appendString(nil, sshKeyType), string(p.key[:]))
}

// IsZero reports whether the key was never set.
func (p PublicKey) IsZero() bool { return p == PublicKey{} }

// String returns the key as authorized_keys and allowed_signers have it.
func (p PublicKey) String() string {
	return sshKeyType + " " + base64.StdEncoding.EncodeToString(p.wire())
}

// Fingerprint returns "SHA256:..." as ssh-keygen -l prints it.
func (p PublicKey) Fingerprint() string {
	sum := sha256.Sum256(p.wire())
	return fingerprintPrefix + base64.RawStdEncoding.EncodeToString(sum[:])
}

// ValidFingerprint reports whether s has the form of a fingerprint.
func ValidFingerprint(s string) bool {
	text, ok := strings.CutPrefix(s, fingerprintPrefix)
	b, err := base64.RawStdEncoding.Strict().DecodeString(text)
	return ok && err == nil && len(b) == sha256.Size
}

// MarshalText writes the form of String.
func (p PublicKey) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the form of String.
func (p *PublicKey) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePublicKey(string(text))
	return err
}

// appendString appends a string as ssh's wire format has it: RFC 4251 section 5.
func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}
