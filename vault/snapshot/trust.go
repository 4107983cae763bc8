package snapshot

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

const (
	trustType      = "trust"
	trustNamespace = "trust@vaultik"
)

// Roles of a key. Unknown roles grant nothing.
const (
	RoleWrite = "write" // may write manifests and checkpoints of its host
	RolePrune = "prune" // may write gc objects of all hosts
)

// Trust is the list of keys that are trusted in a store.
type Trust struct {
	Header
	Store layout.StoreID `json:"store"`
	Seq   uint64         `json:"seq"`           // 1, 2, 3...
	Prev  Sum            `json:"prev,omitzero"` // of the object before; none at seq 1
	Time  time.Time      `json:"time"`
	Hosts []TrustHost    `json:"hosts"`
	Lost  []Lost         `json:"lost,omitempty"` // sorted and joined

	LostGC []LostGC `json:"lost_gc,omitempty"` // sorted by host, one each
}

// TrustHost is one signing key. A host whose key is replaced becomes a new host.
type TrustHost struct {
	Host    layout.HostID  `json:"host"`
	Key     keys.PublicKey `json:"key"`
	Roles   []string       `json:"roles"`
	Since   time.Time      `json:"since,omitzero"`   // when it was added, by the owner's clock; for people
	Revoked time.Time      `json:"revoked,omitzero"` // when, by the owner's clock; for people
	Until   *Until         `json:"until,omitempty"`  // of a revoked key: what stands
	// Recipients are the sums of all sets of recipients that the owner has signed for this
	// host, oldest first: the last one is in force. None: the owner has not said.
	Recipients []Sum `json:"recipients,omitempty"`
}

// Has reports whether the key has a role.
func (h TrustHost) Has(role string) bool { return slices.Contains(h.Roles, role) }

// SignedFor returns for whom the owner wants a host's snapshots encrypted; false if the owner
// has not said.
func (h TrustHost) SignedFor() (Sum, bool) {
	if len(h.Recipients) == 0 {
		return Sum{}, false
	}
	return h.Recipients[len(h.Recipients)-1], true
}

// Sign puts the sum of a host's recipients in force; false if the list has no such host.
func (t *Trust) Sign(host layout.HostID, recipients Sum) bool {
	t.Hosts = slices.Clone(t.Hosts)
	for i := range t.Hosts {
		if h := &t.Hosts[i]; h.Host == host {
			h.Recipients = append(slices.DeleteFunc(slices.Clone(h.Recipients), func(s Sum) bool {
				return s == recipients
			}), recipients)
			return true
		}
	}
	return false
}

// Add adds a key. The error is [ErrTaken] where its host or the key itself is in the list, be it
// that it was revoked: a host whose key is replaced becomes a new host.
func (t *Trust) Add(h TrustHost) error {
	for _, old := range t.Hosts {
		if old.Host == h.Host || old.Key == h.Key {
			return fmt.Errorf("%w: host %s", ErrTaken, old.Host)
		}
	}
	t.Hosts = append(slices.Clone(t.Hosts), h)
	return nil
}

// Revoke revokes the key of a host; until says what stands. False if the list has no such host.
func (t *Trust) Revoke(host layout.HostID, at time.Time, until *Until) bool {
	t.Hosts = slices.Clone(t.Hosts)
	for i := range t.Hosts {
		if h := &t.Hosts[i]; h.Host == host {
			h.Revoked, h.Until = at, until
			return true
		}
	}
	return false
}

// Host returns the entry of a host.
func (t *Trust) Host(id layout.HostID) (TrustHost, bool) {
	for _, h := range t.Hosts {
		if h.Host == id {
			return h, true
		}
	}
	return TrustHost{}, false
}

// pruners returns the entries that may sign gc objects, revoked or not.
func (t *Trust) pruners(revoked bool) []TrustHost {
	return slices.DeleteFunc(slices.Clone(t.Hosts),
		func(h TrustHost) bool { return !h.Has(RolePrune) || h.revoked() != revoked })
}

func (t *Trust) check() error {
	if t.Store.IsZero() {
		return errors.New("store is missing")
	}
	if err := checkSeq(t.Seq, t.Prev); err != nil {
		return err
	}
	seen := make(map[layout.HostID]bool)
	for _, h := range t.Hosts {
		if h.Host.IsZero() || h.Key.IsZero() {
			return errors.New("host or key is missing")
		}
		if seen[h.Host] {
			return fmt.Errorf("host %s occurs twice", h.Host)
		}
		seen[h.Host] = true
		if err := h.checkUntil(); err != nil {
			return fmt.Errorf("host %s: %w", h.Host, err)
		}
	}
	merged, err := MergeLost(t.Lost)
	if err == nil && !slices.Equal(merged, t.Lost) {
		err = errors.New("records of what is lost are not sorted and joined")
	}
	if err == nil {
		err = checkLostGC(t.LostGC)
	}
	return err
}

// checkSeq checks that exactly the first of a chain has no predecessor.
func checkSeq(seq uint64, prev Sum) error {
	switch {
	case seq < 1 || seq > layout.MaxSeq:
		return fmt.Errorf("seq %d is out of range", seq)
	case (seq == 1) != prev.IsZero():
		return fmt.Errorf("seq %d with prev %s", seq, prev)
	}
	return nil
}

// EncodeTrust writes a trust list, to be stored under layout.Trust(t.Seq).
func EncodeTrust(t Trust, owner *keys.Signer) ([]byte, error) {
	t.Header, t.Time = newHeader(trustType), seconds(t.Time)
	t.Hosts = list(slices.Clone(t.Hosts))
	for i := range t.Hosts {
		t.Hosts[i].Roles = list(t.Hosts[i].Roles)
		if !t.Hosts[i].Since.IsZero() {
			t.Hosts[i].Since = seconds(t.Hosts[i].Since)
		}
		if !t.Hosts[i].Revoked.IsZero() {
			t.Hosts[i].Revoked = seconds(t.Hosts[i].Revoked)
		}
		if u := t.Hosts[i].Until; u != nil {
			t.Hosts[i].Until = &Until{Sets: list(u.Sets), GC: list(u.GC)}
		}
	}
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("encode trust list: %w: %w", ErrInvalid, err)
	}
	b, err := encodeSigned(t, trustNamespace, MaxTrust, owner)
	if err != nil {
		return nil, fmt.Errorf("encode trust list: %w", err)
	}
	return b, nil
}

// DecodeTrust reads a trust list that owner signed. The caller checks store and seq.
func DecodeTrust(b []byte, owner keys.PublicKey) (Trust, error) {
	var t Trust
	line, err := decodeSigned(b, trustNamespace, MaxTrust, owner)
	if err == nil {
		t, err = parseTrust(line)
	}
	if err != nil {
		return Trust{}, fmt.Errorf("decode trust list: %w", err)
	}
	return t, nil
}

func parseTrust(line []byte) (t Trust, err error) {
	if err := unmarshal(line, trustType, &t); err != nil {
		return t, err
	}
	if err := t.check(); err != nil {
		return t, damaged("%w", err)
	}
	return t, nil
}
