package config

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

const hostFile = "host.json"

// Host is who this machine is in its store. It holds secrets: the host secret
// (ids, cuts) and the signing key, never anything that decrypts a backup. A machine that only
// prunes has no host secret.
type Host struct {
	V        int             `json:"v"`
	Store    layout.StoreID  `json:"store"`
	StoreURL string          `json:"store_url"` // where init made it, for messages
	Owner    keys.PublicKey  `json:"owner"`
	ID       layout.HostID   `json:"host"`
	Secret   keys.HostSecret `json:"secret,omitzero"`
	Signer   *keys.Signer    `json:"signing_key"`
	Epoch    *keys.EpochKey  `json:"epoch,omitempty"`   // the key of now; nil before the first backup
	Machine  string          `json:"machine,omitempty"` // keyed hash of the machine id; "" where there is none
	Kit      Text            `json:"kit,omitempty"`     // where init put the recovery kit

	// Roles are what this machine has asked the owner for; none if it has made the store itself.
	// Which it has, the trust list says.
	Roles []string `json:"roles,omitempty"`

	// Recipients is the sum of those of the first backup, in hex, until the owner signs some.
	Recipients string `json:"recipients_sum,omitempty"`
}

// LoadHost reads host.json; a missing one is ErrMissing.
func (s State) LoadHost() (*Host, error) {
	hint := "put back a copy of this file; without one, begin as a new host: mv " + Quote(s.dir) + " " +
		Quote(s.dir+".broken") + " && vaultik init --store URL"
	var h Host
	switch err := s.load(hostFile, hint, &h); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Error{File: s.Path(hostFile), Msg: "is missing: it holds this host's id and keys", Hint: hint, Err: ErrMissing}
	case err != nil:
		return nil, err
	case h.Store.IsZero() || h.ID.IsZero() || h.Signer == nil || h.Owner.IsZero() || h.Secret.IsZero() == h.BacksUp():
		return nil, &Error{File: s.Path(hostFile), Msg: "is damaged: ids or keys are missing", Hint: hint, Err: ErrInvalid}
	}
	return &h, nil
}

// BacksUp reports whether the machine is one that backs up, and not one that only prunes.
func (h *Host) BacksUp() bool {
	return len(h.Roles) == 0 || slices.Contains(h.Roles, snapshot.RoleWrite)
}

// HostFile is the path of host.json.
func (s State) HostFile() string { return s.Path(hostFile) }

// CreateHost writes host.json, which must not exist: of several at once one wins.
func (s State) CreateHost(h *Host) error {
	h.V = stateVersion
	return s.locked(func() error {
		if _, err := os.Lstat(s.HostFile()); !errors.Is(err, fs.ErrNotExist) {
			return &Error{File: s.HostFile(), Msg: "exists already", Err: fs.ErrExist}
		}
		return s.save(hostFile, h)
	})
}

// RemoveHost undoes CreateHost.
func (s State) RemoveHost() error {
	return s.locked(func() error { return os.Remove(s.HostFile()) })
}

// UpdateHost reads host.json, lets fn change it, and writes it, with no other
// process in between.
func (s State) UpdateHost(fn func(*Host) error) error {
	return s.locked(func() error {
		h, err := s.LoadHost()
		if err != nil {
			return err
		}
		if err := fn(h); err != nil {
			return err
		}
		return s.save(hostFile, h)
	})
}

// Moved reports whether host.json was made on another machine: a clone, whose
// backups would collide with those of the original. Machines without an id never are.
func (h *Host) Moved() bool {
	now := MachineHash(h.Secret)
	return h.Machine != "" && now != "" && h.Machine != now
}

// machineFiles hold the machine id; the first that has one counts.
var machineFiles = []string{"/etc/machine-id", "/var/lib/dbus/machine-id"}

// MachineHash is a keyed hash of the operating system's machine id, so that the id
// itself is written nowhere; "" if the system has none.
func MachineHash(secret keys.HostSecret) string {
	for _, f := range machineFiles {
		if b, err := os.ReadFile(f); err == nil {
			if id := strings.TrimSpace(string(b)); len(id) >= 32 { // "uninitialized" and the like are no ids
				key := secret.MachineID()
				m := hmac.New(sha256.New, key[:])
				m.Write([]byte(id))
				return hex.EncodeToString(m.Sum(nil)[:16])
			}
		}
	}
	return ""
}
