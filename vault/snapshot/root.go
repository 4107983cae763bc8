package snapshot

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"filippo.io/age"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/page"
)

const rootType = "root"

// MaxRootErrors is how many errors a root lists; Counts.Errors has them all.
const MaxRootErrors = 1000

// padMagic begins the padding: a skippable zstd frame, RFC 8878 section 3.1.2.
const (
	padMagic  = 0x184D2A50
	padHeader = 8
)

// Root is the encrypted head of a snapshot: everything that a manifest must not reveal.
type Root struct {
	Header
	Store    layout.StoreID `json:"store"`
	Owner    string         `json:"owner"` // fingerprint
	Host     layout.HostID  `json:"host"`
	Hostname Text           `json:"hostname"`
	Set      layout.SetID   `json:"set"`
	SetName  Text           `json:"setname"`
	Seq      uint64         `json:"seq"`
	Paths    []Text         `json:"paths"` // absolute, as backed up
	Excludes []Text         `json:"excludes"`
	Filters  *Filters       `json:"filters,omitempty"` // nil: no others than excludes
	Tags     []Tag          `json:"tags"`
	Tool     string         `json:"tool"` // name and version of what made it
	Started  time.Time      `json:"started"`
	Finished time.Time      `json:"finished"`
	Counts   Counts         `json:"counts"`
	Errors   []RootError    `json:"errors"` // the first MaxRootErrors
	Complete bool           `json:"complete"`

	Secret     keys.HostSecret `json:"secret"`
	Chunker    chunk.Params    `json:"chunker"`
	Frames     FrameParams     `json:"frames"`
	Recipients []string        `json:"recipients"`

	Top *Top `json:"top"` // nil: the snapshot holds nothing
}

// Filters say what a backup excluded by rules other than excludes. A restore with
// --delete keeps everything that the backup's rules excluded.
type Filters struct {
	IExcludes     []Text `json:"iexcludes,omitempty"`      // patterns that ignore case
	ExcludesLast  int    `json:"excludes_last,omitempty"`  // how many of excludes, at their end, decide over ignore files
	IExcludesLast int    `json:"iexcludes_last,omitempty"` // how many of iexcludes do
	Tags          []Text `json:"tags,omitempty"`           // NAME[:HEADER]: contents of directories that hold one
	LargerThan    *int64 `json:"larger_than,omitempty"`
	OneFileSystem bool   `json:"one_file_system,omitempty"`
	IgnoreFile    string `json:"ignore_file,omitempty"` // name of files with patterns that were obeyed
	LeftOut       []Text `json:"left_out,omitempty"`    // absolute: store, mirrors and index of the backup, and where other file systems were mounted
	Cut           bool   `json:"cut,omitempty"`         // it was too much: excludes, or something here, is not complete
}

// Tag is the name of a tag.
type Tag struct {
	ID   TagID `json:"id"`
	Name Text  `json:"name"`
}

// Counts are of entries in the snapshot, and of errors while it was made.
type Counts struct {
	Files    int64 `json:"files"`
	Dirs     int64 `json:"dirs"`
	Symlinks int64 `json:"symlinks"`
	Other    int64 `json:"other"`
	Bytes    int64 `json:"bytes"` // of files, holes included
	Errors   int64 `json:"errors"`
}

// RootError is something that could not be saved.
type RootError struct {
	Path   Text   `json:"path"`
	Reason string `json:"reason"`
}

// FrameParams say how chunks were put into frames, in bytes.
type FrameParams struct {
	Small  int `json:"small"`  // chunks below share a frame
	Target int `json:"target"` // of raw data in a shared frame
}

// Top is the place of the top page. JSON has blob as [name, hdr, size, epoch]
// and ref as [frame offset, frame length, offset in frame, length, id].
type Top struct {
	Blob blob.Info
	Span blob.Span
	ID   chunk.ID
}

// Ref returns the place of the top page as pages name it.
func (t *Top) Ref() page.Ref {
	info := t.Blob
	return page.Ref{Blob: &info, Span: t.Span, ID: t.ID}
}

// TopOf returns the place that a reference names; the blob must not be self.
func TopOf(r page.Ref) (*Top, error) {
	if r.Blob == nil || r.Hole != 0 {
		return nil, fmt.Errorf("%w: the top page is in no blob", ErrInvalid)
	}
	return &Top{Blob: *r.Blob, Span: r.Span, ID: r.ID}, nil
}

type topJSON struct {
	Blob topBlob `json:"blob"`
	Ref  topRef  `json:"ref"`
}

type topBlob blob.Info

type topRef struct {
	blob.Span
	ID chunk.ID
}

// MarshalJSON implements json.Marshaler.
func (t Top) MarshalJSON() ([]byte, error) {
	b, s := t.Blob, t.Span
	return fmt.Appendf(nil, `{"blob":[%q,%q,%d,%q],"ref":[%d,%d,%d,%d,%q]}`,
		b.Name.String(), Sum(b.Hdr).String(), b.Size, b.Epoch.String(),
		s.FrameOff, s.FrameLen, s.Off, s.Len, t.ID.String()), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Top) UnmarshalJSON(b []byte) error {
	x := topJSON{}
	if err := json.Unmarshal(b, &x); err != nil {
		return err
	}
	*t = Top{Blob: blob.Info(x.Blob), Span: x.Ref.Span, ID: x.Ref.ID}
	return nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (i *topBlob) UnmarshalJSON(b []byte) error {
	return tuple(b, (*Sum)(&i.Name), (*Sum)(&i.Hdr), &i.Size, &i.Epoch)
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *topRef) UnmarshalJSON(b []byte) error {
	return tuple(b, &r.FrameOff, &r.FrameLen, &r.Off, &r.Len, (*Sum)(&r.ID))
}

func (t *Top) check() error {
	if t.Blob.Name == (blob.Name{}) || !whole(t.Blob.Size) || t.Span.FrameLen == 0 || t.Span.Len == 0 || t.ID == (chunk.ID{}) {
		return errors.New("malformed top")
	}
	return nil
}

func (r *Root) check() error {
	switch {
	case r.Store.IsZero() || r.Host.IsZero() || r.Set.IsZero():
		return errors.New("store, host or set is missing")
	case r.Seq < 1 || r.Seq > layout.MaxSeq:
		return fmt.Errorf("seq %d is out of range", r.Seq)
	case !keys.ValidFingerprint(r.Owner):
		return errors.New("malformed owner")
	case r.Secret.IsZero():
		return errors.New("host secret is missing")
	case len(r.Errors) > MaxRootErrors:
		return fmt.Errorf("%d errors are too many", len(r.Errors))
	}
	if f := r.Filters; f != nil && (f.ExcludesLast < 0 || f.ExcludesLast > len(r.Excludes) || f.IExcludesLast < 0 || f.IExcludesLast > len(f.IExcludes)) {
		return errors.New("more patterns decide over ignore files than there are")
	}
	c := r.Counts
	if min(c.Files, c.Dirs, c.Symlinks, c.Other, c.Bytes, c.Errors) < 0 {
		return errors.New("negative count")
	}
	if r.Top != nil {
		return r.Top.check()
	}
	return nil
}

// Matches reports whether this is the root of m: [ErrDamaged] if not.
func (r *Root) Matches(m *Manifest) error {
	if r.Store != m.Store || r.Host != m.Host || r.Set != m.Set || r.Seq != m.Seq {
		return damaged("the root is of another snapshot")
	}
	return nil
}

// SealRoot seals a root like a blob: to the recipients and the epoch, and to a size
// that tells little. Inside is a zstd frame with one line of JSON, and padding. It is
// stored under layout.Root of name. Errors beyond MaxRootErrors are omitted.
func SealRoot(r *Root, rs keys.Recipients, epoch keys.EpochKey) (sealed []byte, name Sum, err error) {
	plain, err := encodeRoot(r)
	if err != nil {
		return nil, Sum{}, fmt.Errorf("seal root: %w", err)
	}
	var buf bytes.Buffer
	w, err := keys.EncryptTo(&buf, rs, epoch.Recipient)
	if err != nil {
		return nil, Sum{}, fmt.Errorf("seal root: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, Sum{}, fmt.Errorf("seal root: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, Sum{}, fmt.Errorf("seal root: %w", err)
	}
	return buf.Bytes(), sumOf(buf.Bytes()), nil
}

func encodeRoot(r *Root) ([]byte, error) {
	c := *r
	c.Header = newHeader(rootType)
	c.Started, c.Finished = seconds(r.Started), seconds(r.Finished)
	c.Errors = list(r.Errors[:min(len(r.Errors), MaxRootErrors)])
	c.Paths, c.Excludes, c.Tags, c.Recipients = list(r.Paths), list(r.Excludes), list(r.Tags), list(r.Recipients)
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	line, err := marshal(&c)
	for err == nil && len(line) > MaxRoot/2 && c.shorten() {
		line, err = marshal(&c)
	}
	if err != nil {
		return nil, err
	}
	if len(line) > MaxRoot/2 {
		return nil, fmt.Errorf("%w: too large, %d bytes", ErrInvalid, len(line))
	}
	return pad(compressNames(line)), nil
}

// shorten omits half of what is only informative, so that no list of errors, paths or
// patterns, however long, prevents a snapshot. It reports false if there is no more.
func (r *Root) shorten() bool {
	switch {
	case len(r.Errors) > 0:
		r.Errors = r.Errors[:len(r.Errors)/2]
	case len(r.Paths) > 0:
		r.Paths = r.Paths[:len(r.Paths)/2]
	case len(r.Excludes) > 0:
		r.Excludes = r.Excludes[:len(r.Excludes)/2]
		r.cut()
	case r.Filters != nil && len(r.Filters.IExcludes) > 0:
		r.cut().IExcludes = nil
	default:
		return false
	}
	return true
}

// cut notes that the rules are not complete.
func (r *Root) cut() *Filters {
	f := Filters{}
	if r.Filters != nil {
		f = *r.Filters
	}
	f.Cut, f.ExcludesLast, f.IExcludesLast = true, 0, 0
	r.Filters = &f
	return r.Filters
}

// pad appends a skippable frame, so that the whole has a Padmé size.
func pad(b []byte) []byte {
	n := int(blob.Padme(int64(len(b)+padHeader))) - len(b) - padHeader
	return skippable(b, n)
}

// skippable appends a frame of n zeros that decoders skip.
func skippable(b []byte, n int) []byte {
	b = binary.LittleEndian.AppendUint32(b, padMagic)
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	return append(b, make([]byte, n)...)
}

// OpenRoot opens a root. The caller has checked its SHA-256, and then calls Matches.
// Errors are [ErrDamaged], [ErrNewerFormat], keys.ErrWrongIdentity and keys.ErrPlugin.
func OpenRoot(sealed []byte, ids []age.Identity) (*Root, error) {
	r, err := openRoot(sealed, ids)
	if err != nil {
		return nil, fmt.Errorf("open root: %w", err)
	}
	return r, nil
}

func openRoot(sealed []byte, ids []age.Identity) (*Root, error) {
	if len(sealed) > MaxRoot {
		return nil, damaged("too large, %d bytes", len(sealed))
	}
	plain, err := keys.Decrypt(sealed, ids, MaxRoot)
	if err != nil {
		return nil, err
	}
	line, err := decompressNames(plain, MaxRoot)
	if err != nil {
		return nil, err
	}
	return parseRoot(line)
}

func parseRoot(line []byte) (*Root, error) {
	r := new(Root)
	if err := unmarshal(line, rootType, r); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, damaged("%w", err)
	}
	return r, nil
}
