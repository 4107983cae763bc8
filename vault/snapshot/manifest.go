package snapshot

import (
	"errors"
	"fmt"
	"time"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

const (
	manifestType      = "manifest"
	manifestNamespace = "manifest@vaultik"
)

// Needs are the objects that something in a store cannot do without. One
// signature over it pins them all, since every name and sum is a SHA-256.
type Needs struct {
	Keys  []KeyRef   `json:"keys"`  // of the epochs that the blobs are sealed to
	Lists []ListRef  `json:"lists"` // most of the blobs, in the order they were made
	Blobs []BlobSize `json:"blobs"` // those after the last list
	Count int64      `json:"count"` // blobs, those in lists included
	Bytes int64      `json:"bytes"` // of these blobs
}

// KeyRef pins the sealed key of an epoch.
type KeyRef struct {
	Epoch  layout.Epoch `json:"epoch"`
	N      int          `json:"n"` // which wrapping
	Size   int64        `json:"size"`
	SHA256 Sum          `json:"sha256"`
}

// ListRef pins a blob list.
type ListRef struct {
	Name  Sum   `json:"name"` // its SHA-256
	Size  int64 `json:"size"`
	Count int64 `json:"count"` // blobs in it
}

// RootRef pins a snapshot's root.
type RootRef struct {
	Name Sum   `json:"name"` // its SHA-256
	Size int64 `json:"size"`
}

// GCSeen names the newest gc object that a host has verified and heeded.
type GCSeen struct {
	Seq    uint64 `json:"seq"`
	SHA256 Sum    `json:"sha256"`
}

// Manifest is the public list of what a snapshot needs. Writing it commits the snapshot.
type Manifest struct {
	Header
	Store    layout.StoreID `json:"store"`
	Host     layout.HostID  `json:"host"`
	Set      layout.SetID   `json:"set"`
	Seq      uint64         `json:"seq"`           // 1, 2, 3... of this set
	Prev     Sum            `json:"prev,omitzero"` // of the manifest object before; none at seq 1
	Time     time.Time      `json:"time"`          // by the host's clock
	Complete bool           `json:"complete"`      // nothing that was asked for is missing
	Tags     []TagID        `json:"tags"`
	GC       *GCSeen        `json:"gc,omitempty"`
	Root     RootRef        `json:"root"`
	// Recipients is the sum of those for whom the snapshot is encrypted; none in manifests
	// of older versions.
	Recipients Sum `json:"recipients,omitzero"`
	Needs
}

// Check reports whether the manifest is what its name says: [ErrDamaged] if not.
func (m *Manifest) Check(store layout.StoreID, host layout.HostID, set layout.SetID, seq uint64) error {
	if m.Store != store || m.Host != host || m.Set != set || m.Seq != seq {
		return damaged("this name holds a manifest of another store, host, set or seq")
	}
	return nil
}

func (m *Manifest) check() error {
	if m.Store.IsZero() || m.Host.IsZero() || m.Set.IsZero() || m.Root.Name.IsZero() {
		return errors.New("store, host, set or root is missing")
	}
	if err := checkSeq(m.Seq, m.Prev); err != nil {
		return err
	}
	if !whole(m.Root.Size) {
		return fmt.Errorf("root of %d bytes", m.Root.Size)
	}
	if m.GC != nil && (m.GC.Seq < 1 || m.GC.Seq > layout.MaxSeq || m.GC.SHA256.IsZero()) {
		return errors.New("malformed gc")
	}
	if err := checkTags(m.Tags); err != nil {
		return err
	}
	return m.Needs.check()
}

// MaxTags is how many tags a manifest or a note has at most.
const MaxTags = 1000

func checkTags(tags []TagID) error {
	if len(tags) > MaxTags {
		return fmt.Errorf("too many tags, %d", len(tags))
	}
	return nil
}

func (n *Needs) check() error {
	epochs := make(map[layout.Epoch]bool)
	for _, k := range n.Keys {
		if k.Epoch.IsZero() || k.SHA256.IsZero() || !whole(k.Size) || k.N < 0 || k.N > layout.MaxEpochCopy {
			return errors.New("malformed key")
		}
		if epochs[k.Epoch] {
			return fmt.Errorf("epoch %s occurs twice", k.Epoch)
		}
		epochs[k.Epoch] = true
	}
	count := int64(len(n.Blobs))
	names := make(map[Sum]bool)
	for _, l := range n.Lists {
		if l.Name.IsZero() || !whole(l.Size) || l.Count < 1 || l.Count > MaxListed {
			return errors.New("malformed list")
		}
		if names[l.Name] {
			return fmt.Errorf("list %s occurs twice", l.Name)
		}
		names[l.Name] = true
		count += l.Count
	}
	if len(n.Blobs) > MaxListed {
		return fmt.Errorf("%d blobs are not in a list, more than %d", len(n.Blobs), MaxListed)
	}
	if err := checkBlobs(n.Blobs); err != nil {
		return err
	}
	if count != n.Count {
		return fmt.Errorf("count is %d, but %d blobs are named", n.Count, count)
	}
	if inline := TotalSize(n.Blobs); n.Bytes < inline || n.Bytes > maxInt || len(n.Lists) == 0 && n.Bytes != inline {
		return fmt.Errorf("bytes is %d, but %d are named", n.Bytes, inline)
	}
	return nil
}

func (n Needs) normal() Needs {
	n.Keys, n.Lists, n.Blobs = list(n.Keys), list(n.Lists), list(n.Blobs)
	return n
}

// EncodeManifest writes a manifest, to be stored under layout.Manifest or
// [layout.Weak] of it.
func EncodeManifest(m *Manifest, signer *keys.Signer) ([]byte, error) {
	c := *m
	c.Header, c.Time = newHeader(manifestType), seconds(m.Time)
	c.Tags, c.Needs = list(m.Tags), m.normal()
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("encode manifest: %w: %w", ErrInvalid, err)
	}
	b, err := encodeSigned(&c, manifestNamespace, MaxManifest, signer)
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return b, nil
}

// DecodeManifest reads a manifest that pub signed. The caller then calls Check.
func DecodeManifest(b []byte, pub keys.PublicKey) (*Manifest, error) {
	line, err := decodeSigned(b, manifestNamespace, MaxManifest, pub)
	if err == nil {
		var m *Manifest
		if m, err = parseManifest(line); err == nil {
			return m, nil
		}
	}
	return nil, fmt.Errorf("decode manifest: %w", err)
}

func parseManifest(line []byte) (*Manifest, error) {
	m := new(Manifest)
	if err := unmarshal(line, manifestType, m); err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, damaged("%w", err)
	}
	return m, nil
}
