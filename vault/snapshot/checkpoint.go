package snapshot

import (
	"errors"
	"fmt"
	"time"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

const (
	checkpointType      = "checkpoint"
	checkpointNamespace = "checkpoint@vaultik"
)

// CheckpointLife is how long a checkpoint is valid whose backup never ends, by the time that
// the store has for it.
const CheckpointLife = 30 * 24 * time.Hour

// Checkpoint pins what a backup that is still running has written and reuses, so that
// prune keeps it. It is not part of the chain of manifests.
type Checkpoint struct {
	Header
	Store layout.StoreID `json:"store"`
	Host  layout.HostID  `json:"host"`
	Set   layout.SetID   `json:"set"`
	Seq   uint64         `json:"seq"` // of the manifest that the backup leads to
	ID    string         `json:"id"`  // a ULID: its name
	Time  time.Time      `json:"time"`
	Needs
}

// Check reports whether the checkpoint is what its name says: [ErrDamaged] if not.
func (c *Checkpoint) Check(store layout.StoreID, host layout.HostID, id string) error {
	if c.Store != store || c.Host != host || c.ID != id {
		return damaged("this name holds a checkpoint of another store, host or backup")
	}
	return nil
}

func (c *Checkpoint) check() error {
	if c.Store.IsZero() || c.Host.IsZero() || c.Set.IsZero() || !layout.ValidULID(c.ID) {
		return errors.New("store, host, set or id is missing")
	}
	if c.Seq < 1 || c.Seq > layout.MaxSeq {
		return fmt.Errorf("seq %d is out of range", c.Seq)
	}
	return c.Needs.check()
}

// EncodeCheckpoint writes a checkpoint, to be stored under layout.Checkpoint(c.Host, c.ID).
func EncodeCheckpoint(c *Checkpoint, signer *keys.Signer) ([]byte, error) {
	d := *c
	d.Header, d.Time, d.Needs = newHeader(checkpointType), seconds(c.Time), c.normal()
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("encode checkpoint: %w: %w", ErrInvalid, err)
	}
	b, err := encodeSigned(&d, checkpointNamespace, MaxCheckpoint, signer)
	if err != nil {
		return nil, fmt.Errorf("encode checkpoint: %w", err)
	}
	return b, nil
}

// DecodeCheckpoint reads a checkpoint that pub signed. The caller then calls Check.
func DecodeCheckpoint(b []byte, pub keys.PublicKey) (*Checkpoint, error) {
	line, err := decodeSigned(b, checkpointNamespace, MaxCheckpoint, pub)
	if err == nil {
		var c *Checkpoint
		if c, err = parseCheckpoint(line); err == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("decode checkpoint: %w", err)
}

func parseCheckpoint(line []byte) (*Checkpoint, error) {
	c := new(Checkpoint)
	if err := unmarshal(line, checkpointType, c); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, damaged("%w", err)
	}
	return c, nil
}
