package keys

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"vaultik/vault/layout"
)

// EpochLife is how long a host seals to one epoch key.
const EpochLife = 30 * 24 * time.Hour

// Bounds of a sealed epoch object and of the line inside.
const (
	maxSealedEpoch = 1 << 20
	maxEpochLine   = 1 << 10
)

// EpochKey is what a host keeps of an epoch: enough to seal to it and to name
// its object in manifests, nothing that opens anything.
type EpochKey struct {
	ID            layout.Epoch `json:"id"`             // first 8 bytes of the SHA-256 of Recipient
	Recipient     string       `json:"recipient"`      // age1... or age1pq1...
	Born          time.Time    `json:"born"`           // when it was made, by this host's clock
	RecipientsSum string       `json:"recipients_sum"` // hex of Recipients.Sum it is sealed to
	Sum           string       `json:"sum"`            // hex SHA-256 of the sealed object
	Size          int64        `json:"size"`           // bytes of the sealed object
}

// EpochID returns the id of the epoch with this recipient.
func EpochID(recipient string) layout.Epoch {
	sum := sha256.Sum256([]byte(recipient))
	return layout.Epoch(sum[:len(layout.Epoch{})])
}

// NewEpoch makes an epoch and returns what the host keeps of it, and the
// object to store as its wrapping 0: one line with the epoch's identity, sealed
// to the recipients. The identity exists nowhere else.
func NewEpoch(rs Recipients, now time.Time) (EpochKey, []byte, error) {
	secret, recipient, err := Generate(!rs.PostQuantum())
	if err != nil {
		return EpochKey{}, nil, fmt.Errorf("make epoch key: %w", err)
	}
	sealed, err := SealEpoch(rs, secret)
	if err != nil {
		return EpochKey{}, nil, fmt.Errorf("make epoch key: %w", err)
	}
	sum, rsum := sha256.Sum256(sealed), rs.Sum()
	return EpochKey{
		ID:            EpochID(recipient),
		Recipient:     recipient,
		Born:          now.UTC().Truncate(time.Second),
		RecipientsSum: hex.EncodeToString(rsum[:]),
		Sum:           hex.EncodeToString(sum[:]),
		Size:          int64(len(sealed)),
	}, sealed, nil
}

// SealEpoch seals an epoch's identity to recipients: a new wrapping of it.
func SealEpoch(rs Recipients, secret string) ([]byte, error) {
	var buf bytes.Buffer
	w, err := EncryptTo(&buf, rs, "")
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, secret+"\n"); err != nil {
		return nil, fmt.Errorf("seal epoch key: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal epoch key: %w", err)
	}
	return buf.Bytes(), nil
}

// Fresh reports whether a host may go on sealing to this epoch: it is younger
// than [EpochLife], not from the future, and the recipients are the same.
func (e EpochKey) Fresh(rs Recipients, now time.Time) bool {
	sum, age := rs.Sum(), now.Sub(e.Born)
	return e.Recipient != "" && e.ID == EpochID(e.Recipient) &&
		e.RecipientsSum == hex.EncodeToString(sum[:]) &&
		age > -time.Hour && age < EpochLife
}

// OpenEpoch opens a sealed epoch object. It returns [ErrWrongIdentity] if id
// does not open it, [ErrDamaged] if it is not the epoch key of want.
func OpenEpoch(sealed []byte, id *Identity, want layout.Epoch) (age.Identity, error) {
	secret, err := openEpoch(sealed, id, want)
	if err != nil {
		return nil, fmt.Errorf("open epoch key %s: %w", want, err)
	}
	return &opaque{unwrap: secret.Unwrap, epoch: want}, nil
}

// ForEpoch returns the identities with the key of an epoch in front, if it is among them: a
// host that has been there for years has a hundred, and each that does not fit takes time.
func ForEpoch(ids []age.Identity, epoch layout.Epoch) []age.Identity {
	i := slices.IndexFunc(ids, func(id age.Identity) bool {
		o, ok := id.(*opaque)
		return ok && !epoch.IsZero() && o.epoch == epoch
	})
	if i <= 0 {
		return ids
	}
	return slices.Concat(ids[i:i+1], ids[:i], ids[i+1:])
}

// RewrapEpoch opens a sealed epoch object as OpenEpoch does, and seals the identity inside to
// recipients: another wrapping of it.
func RewrapEpoch(sealed []byte, id *Identity, want layout.Epoch, rs Recipients) ([]byte, error) {
	secret, err := epochSecret(sealed, id)
	if err == nil {
		_, err = parseEpoch(secret, want)
	}
	if err != nil {
		return nil, fmt.Errorf("open epoch key %s: %w", want, err)
	}
	return SealEpoch(rs, secret)
}

func openEpoch(sealed []byte, id *Identity, want layout.Epoch) (age.Identity, error) {
	secret, err := epochSecret(sealed, id)
	if err != nil {
		return nil, err
	}
	return parseEpoch(secret, want)
}

// epochSecret is the line inside of a sealed epoch object.
func epochSecret(sealed []byte, id *Identity) (string, error) {
	if len(sealed) > maxSealedEpoch {
		return "", fmt.Errorf("%w: too large, %d bytes", ErrDamaged, len(sealed))
	}
	text, err := Decrypt(sealed, id.Age(), maxEpochLine)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(string(text), "\n"), nil
}

func parseEpoch(secret string, want layout.Epoch) (age.Identity, error) {
	inner, recipient, err := parseNative(secret)
	if err != nil {
		return nil, fmt.Errorf("%w: no identity inside", ErrDamaged)
	}
	if EpochID(recipient) != want {
		return nil, fmt.Errorf("%w: the identity inside belongs to another epoch", ErrDamaged)
	}
	return inner, nil
}

// Decrypt opens a small sealed object of at most limit bytes inside. Errors are
// [ErrWrongIdentity], [ErrDamaged] and [ErrPlugin]. It tries the identities one
// at a time, since age gives up at the first that fails in another way than not
// matching. It reads to the end, without
// which nothing is authenticated.
func Decrypt(sealed []byte, ids []age.Identity, limit int) ([]byte, error) {
	var first error
	for _, id := range ids {
		r, err := age.Decrypt(bytes.NewReader(sealed), id)
		var none *age.NoIdentityMatchError
		switch {
		case errors.As(err, &none):
			continue
		case errors.Is(err, ErrPlugin):
			if first == nil {
				first = err
			}
			continue
		case err != nil:
			if first == nil {
				first = fmt.Errorf("%w: %w", ErrDamaged, err)
			}
			continue
		}
		text, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		case len(text) > limit:
			return nil, fmt.Errorf("%w: more than %d bytes inside", ErrDamaged, limit)
		}
		return text, nil
	}
	if first != nil {
		return nil, first
	}
	return nil, ErrWrongIdentity
}
