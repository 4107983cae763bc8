package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"filippo.io/age"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

const (
	noteType      = "note"
	noteNamespace = "note@vaultik"
)

// Note says something about a snapshot after it was made: tags, and whether it is pinned, so
// that no rule of retention removes it. Notes are added up, in no order: what any of them takes
// away is gone, whatever others say. [Notes] does that.
type Note struct {
	Header
	Store  layout.StoreID `json:"store"`
	Host   layout.HostID  `json:"host"` // whose snapshot it is
	ID     string         `json:"id"`   // a ULID: its name
	Time   time.Time      `json:"time"` // by the writer's clock; for people
	Set    layout.SetID   `json:"set"`
	Seq    uint64         `json:"seq"`
	Sum    Sum            `json:"sum"`    // of the manifest
	Tags   []TagID        `json:"tags"`   // that the snapshot gets
	Untags []TagID        `json:"untags"` // that it loses
	Pin    bool           `json:"pin,omitempty"`
	Unpins []string       `json:"unpins"` // ids of notes whose pin is lifted
	// Sealed are the names of Tags, an age file for the recipients, as [SealTags] makes it.
	Sealed []byte `json:"sealed,omitempty"`
}

// MaxNote is the bound of a note, in bytes.
const MaxNote = 1 << 20

// Check reports whether the note is what its name says: [ErrDamaged] if not.
func (n *Note) Check(store layout.StoreID, host layout.HostID, id string) error {
	if n.Store != store || n.Host != host || n.ID != id {
		return damaged("this name holds a note of another store, host or id")
	}
	return nil
}

func (n *Note) check() error {
	if n.Store.IsZero() || n.Host.IsZero() || n.Set.IsZero() || n.Sum.IsZero() || !layout.ValidULID(n.ID) {
		return errors.New("store, host, set, sum or id is missing")
	}
	if n.Seq < 1 || n.Seq > layout.MaxSeq {
		return fmt.Errorf("seq %d is out of range", n.Seq)
	}
	if max(len(n.Tags), len(n.Untags), len(n.Unpins)) > MaxTags {
		return fmt.Errorf("more than %d tags, or pins", MaxTags)
	}
	if !sortedIDs(n.Tags) || !sortedIDs(n.Untags) {
		return errors.New("tags are not sorted, or twice")
	}
	for i, id := range n.Unpins {
		if !layout.ValidULID(id) || i > 0 && n.Unpins[i-1] >= id {
			return errors.New("unpins are no ids of notes, not sorted, or twice")
		}
	}
	if (len(n.Tags) > 0) != (len(n.Sealed) > 0) {
		return errors.New("tags without names, or names without tags")
	}
	if len(n.Tags)+len(n.Untags)+len(n.Unpins) == 0 && !n.Pin {
		return errors.New("it says nothing")
	}
	return nil
}

func sortedIDs(ids []TagID) bool {
	for i := 1; i < len(ids); i++ {
		if bytes.Compare(ids[i-1][:], ids[i][:]) >= 0 {
			return false
		}
	}
	return true
}

// EncodeNote writes a note, to be stored under layout.Note(n.Host, n.ID).
func EncodeNote(n *Note, signer *keys.Signer) ([]byte, error) {
	c := *n
	c.Header, c.Time = newHeader(noteType), seconds(n.Time)
	c.Tags, c.Untags, c.Unpins = list(n.Tags), list(n.Untags), list(n.Unpins)
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("encode note: %w: %w", ErrInvalid, err)
	}
	b, err := encodeSigned(&c, noteNamespace, MaxNote, signer)
	if err != nil {
		return nil, fmt.Errorf("encode note: %w", err)
	}
	return b, nil
}

// DecodeNote reads a note that one of the keys signed. The caller then calls Check.
func DecodeNote(b []byte, signers []keys.PublicKey) (*Note, error) {
	line, err := decodeSigned(b, noteNamespace, MaxNote, signers...)
	if err == nil {
		var n *Note
		if n, err = parseNote(line); err == nil {
			return n, nil
		}
	}
	return nil, fmt.Errorf("decode note: %w", err)
}

func parseNote(line []byte) (*Note, error) {
	n := new(Note)
	if err := unmarshal(line, noteType, n); err != nil {
		return nil, err
	}
	if err := n.check(); err != nil {
		return nil, damaged("%w", err)
	}
	return n, nil
}

// maxTagNames is how many bytes the names of a note's tags take at most.
const maxTagNames = MaxNote / 2

// tagNames is what is sealed in a note.
type tagNames struct {
	Header
	Tags []Tag `json:"tags"`
}

const tagNamesType = "tagnames"

// SealTags seals names for [Note.Sealed], to the recipients and the epoch, which may be "".
// Spaces make it longer, so that its size tells little.
func SealTags(tags []Tag, rs keys.Recipients, epoch string) ([]byte, error) {
	line, err := marshal(tagNames{newHeader(tagNamesType), tags})
	if err != nil {
		return nil, fmt.Errorf("seal tags: %w", err)
	}
	const step = 256
	padded := append(line[:len(line)-1], bytes.Repeat([]byte{' '}, step-len(line)%step)...)
	padded = append(padded, '\n')
	if len(padded) > maxTagNames {
		return nil, fmt.Errorf("seal tags: %w: their names have %d bytes, at most %d can be kept",
			ErrInvalid, len(padded), maxTagNames)
	}
	var buf bytes.Buffer
	w, err := keys.EncryptTo(&buf, rs, epoch)
	if err != nil {
		return nil, fmt.Errorf("seal tags: %w", err)
	}
	if _, err = w.Write(padded); err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("seal tags: %w", err)
	}
	return buf.Bytes(), nil
}

// OpenTags opens the names of the note's tags. Errors are those of [OpenRoot].
func (n *Note) OpenTags(ids []age.Identity) ([]Tag, error) {
	plain, err := keys.Decrypt(n.Sealed, ids, maxTagNames)
	if err != nil {
		return nil, fmt.Errorf("open tags: %w", err)
	}
	tags, err := parseTagNames(plain)
	if err != nil {
		return nil, fmt.Errorf("open tags: %w", err)
	}
	return slices.DeleteFunc(tags, func(t Tag) bool { return !slices.Contains(n.Tags, t.ID) }), nil
}

func parseTagNames(line []byte) ([]Tag, error) {
	var t tagNames
	if err := unmarshal(line, tagNamesType, &t); err != nil {
		return nil, err
	}
	return t.Tags, nil
}
