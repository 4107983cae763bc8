package snapshot

import (
	"errors"
	"fmt"
	"time"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

const (
	storeType      = "store"
	storeNamespace = "store@vaultik"
)

// SafetyWeak marks a store that cannot create an object only if absent:
// manifests there carry a part of their hash in their name.
const SafetyWeak = "weak"

// StoreDoc is store.json: which store this is and who owns it. It never changes.
type StoreDoc struct {
	Header
	Store   layout.StoreID `json:"store"`
	Owner   keys.PublicKey `json:"owner"`
	Created time.Time      `json:"created"`
	Safety  string         `json:"safety"` // "" or SafetyWeak
}

func (d *StoreDoc) check() error {
	switch {
	case d.Store.IsZero() || d.Owner.IsZero():
		return errors.New("store or owner is missing")
	case d.Safety != "" && d.Safety != SafetyWeak:
		return fmt.Errorf("unknown safety %.40q", d.Safety)
	}
	return nil
}

// EncodeStore writes store.json: a line and its signature, not compressed.
func EncodeStore(d StoreDoc, owner *keys.Signer) ([]byte, error) {
	d.Header, d.Created = newHeader(storeType), seconds(d.Created)
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("encode store: %w: %w", ErrInvalid, err)
	}
	if owner == nil || owner.Public() != d.Owner {
		return nil, fmt.Errorf("encode store: %w: signer is not the owner", ErrInvalid)
	}
	b, err := signed(d, storeNamespace, owner)
	if err != nil {
		return nil, fmt.Errorf("encode store: %w", err)
	}
	return b, nil
}

// DecodeStore reads store.json and checks that the owner it names signed it. The caller
// decides whether that is the right owner.
func DecodeStore(b []byte) (StoreDoc, error) {
	d, err := decodeStore(b)
	if err != nil {
		return StoreDoc{}, fmt.Errorf("decode store: %w", err)
	}
	return d, nil
}

func decodeStore(b []byte) (StoreDoc, error) {
	var d StoreDoc
	if len(b) > MaxStoreDoc {
		return d, damaged("too large, %d bytes", len(b))
	}
	line, sig, err := splitSigned(b)
	if err != nil {
		return d, err
	}
	if err := unmarshal(line, storeType, &d); err != nil {
		return d, err
	}
	if err := d.check(); err != nil {
		return d, damaged("%w", err)
	}
	if err := keys.Verify(d.Owner, storeNamespace, line, sig); err != nil {
		return d, damaged("%w", err)
	}
	return d, nil
}
