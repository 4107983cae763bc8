package keys

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/tag"
)

// MaxRecipients bounds the header that every blob carries: 64 post-quantum
// stanzas are 100 KB.
const MaxRecipients = 64

// Recipients are the public keys that every object is sealed to. The zero
// value holds none. It is immutable and may be shared.
type Recipients struct {
	list []age.Recipient
	text []string
	pq   bool
}

// ParseRecipients reads native recipients: age1... (X25519), age1pq1...
// (hybrid), age1tag1... and age1tagpq1... (hardware keys). Repetitions are
// dropped. Recipients of plugins and of ssh, and passphrases are refused.
func ParseRecipients(list []string) (Recipients, error) {
	var rs Recipients
	for i, s := range list {
		s = strings.TrimSpace(s)
		r, pq, err := parseRecipient(s)
		if err != nil {
			return Recipients{}, fmt.Errorf("recipient %d: %w", i+1, err)
		}
		if slices.Contains(rs.text, s) {
			continue
		}
		if len(rs.list) > 0 && pq != rs.pq {
			return Recipients{}, fmt.Errorf("recipient %d: %w", i+1, ErrMixedRecipients)
		}
		rs.list, rs.text, rs.pq = append(rs.list, r), append(rs.text, s), pq
	}
	switch {
	case len(rs.list) == 0:
		return Recipients{}, ErrNoRecipients
	case len(rs.list) > MaxRecipients:
		return Recipients{}, fmt.Errorf("%w: more than %d", ErrBadRecipient, MaxRecipients)
	}
	// Some keys parse and yet cannot be encrypted to, such as points of low order.
	w, err := age.Encrypt(io.Discard, rs.list...)
	if err != nil {
		return Recipients{}, fmt.Errorf("%w: cannot be encrypted to", ErrBadRecipient)
	}
	return rs, w.Close()
}

// parseRecipient never returns age's own errors, since they repeat the input.
func parseRecipient(s string) (r age.Recipient, pq bool, err error) {
	bad := func(why string) error { return fmt.Errorf("%w: %s", ErrBadRecipient, why) }
	if looksSecret(s) {
		return nil, false, ErrSecretAsRecipient
	}
	switch {
	case s == "":
		return nil, false, bad("it is empty")
	case strings.HasPrefix(s, "ssh-") || strings.HasPrefix(s, "ecdsa-") || strings.HasPrefix(s, "sk-"):
		return nil, false, bad("ssh keys mark every object with a hash of the key; make an age key with: vaultik keygen")
	case !strings.HasPrefix(s, "age1"):
		return nil, false, bad("it does not begin with age1")
	}
	// Bech32 ends its prefix at the last 1: "age", or "age1" and a name.
	name := strings.TrimPrefix(s[:strings.LastIndexByte(s, '1')], "age")
	switch name {
	case "":
		r, err = age.ParseX25519Recipient(s)
	case "1pq":
		r, err = age.ParseHybridRecipient(s)
	case "1tag", "1tagpq":
		r, err = tag.ParseRecipient(s)
	default:
		return nil, false, bad("recipients of other plugins would start the plugin for every object; " +
			"use the age1tag1... recipient of a hardware key")
	}
	if err != nil {
		return nil, false, bad("it is damaged or incomplete (its checksum does not match)")
	}
	if s2, ok := r.(fmt.Stringer); !ok || s2.String() != s {
		return nil, false, bad("it is not in its usual form")
	}
	return r, name == "1pq" || name == "1tagpq", nil
}

// Strings returns the recipients as they were given, in that order.
func (rs Recipients) Strings() []string { return slices.Clone(rs.text) }

// Age returns the recipients for package age.
func (rs Recipients) Age() []age.Recipient { return slices.Clone(rs.list) }

// PostQuantum reports whether the recipients are hybrid ones.
func (rs Recipients) PostQuantum() bool { return rs.pq }

// IsZero reports whether there are no recipients.
func (rs Recipients) IsZero() bool { return len(rs.list) == 0 }

// Sum returns the SHA-256 of the sorted recipients, a newline after each.
func (rs Recipients) Sum() [32]byte {
	h := sha256.New()
	for _, s := range slices.Sorted(slices.Values(rs.text)) {
		_, _ = io.WriteString(h, s+"\n")
	}
	return [32]byte(h.Sum(nil))
}

// EncryptTo returns a writer that seals what is written to the recipients
// and, if it is not empty, to the recipient of the epoch. The age header is
// written at once. Close ends the file and its error counts; it does not close dst.
func EncryptTo(dst io.Writer, rs Recipients, epochRecipient string) (io.WriteCloser, error) {
	if rs.IsZero() {
		return nil, ErrNoRecipients
	}
	list := rs.list
	if epochRecipient != "" {
		r, pq, err := parseRecipient(epochRecipient)
		if err != nil {
			return nil, fmt.Errorf("epoch recipient: %w", err)
		}
		if pq != rs.pq {
			return nil, fmt.Errorf("epoch recipient: %w", ErrMixedRecipients)
		}
		list = append(slices.Clone(list), r)
	}
	w, err := age.Encrypt(dst, list...)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return w, nil
}
