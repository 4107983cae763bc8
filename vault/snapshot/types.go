package snapshot

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"vaultik/vault/blob"
)

// Sum is a SHA-256. Its text is 64 lowercase hex digits.
type Sum [32]byte

func (s Sum) String() string { return hex.EncodeToString(s[:]) }

func (s Sum) compare(o Sum) int { return bytes.Compare(s[:], o[:]) }

// IsZero reports whether there is no hash.
func (s Sum) IsZero() bool { return s == Sum{} }

// MarshalText writes lowercase hex.
func (s Sum) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText reads lowercase hex.
func (s *Sum) UnmarshalText(text []byte) error { return parseHex(text, s[:]) }

// TagID stands for a tag where names are public. The root, or a note, has its name.
type TagID [8]byte

func (t TagID) String() string { return hex.EncodeToString(t[:]) }

// MarshalText writes lowercase hex.
func (t TagID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, t[:]), nil }

// UnmarshalText reads lowercase hex.
func (t *TagID) UnmarshalText(text []byte) error { return parseHex(text, t[:]) }

func parseHex(text, dst []byte) error {
	if len(text) != 2*len(dst) {
		return fmt.Errorf("want %d hex digits", 2*len(dst))
	}
	if _, err := hex.Decode(dst, text); err != nil || bytes.ContainsAny(text, "ABCDEF") {
		return errors.New("want lowercase hex digits")
	}
	return nil
}

// Text is a name that a file system or a person gave, of any bytes. JSON has it
// as a string, or as {"b64": "..."} if it is not UTF-8.
type Text string

// Texts makes texts of names or paths.
func Texts(list []string) []Text {
	out := make([]Text, len(list))
	for i, s := range list {
		out[i] = Text(s)
	}
	return out
}

type text64 struct {
	B64 *string `json:"b64"`
}

// MarshalJSON implements json.Marshaler.
func (t Text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	s := base64.StdEncoding.EncodeToString([]byte(t))
	return json.Marshal(text64{&s})
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	var x text64
	if err := json.Unmarshal(b, &x); err != nil || x.B64 == nil {
		return errors.New(`want a string or {"b64": "..."}`)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(*x.B64)
	if err != nil {
		return errors.New("malformed base64")
	}
	*t = Text(raw)
	return nil
}

// BlobSize names a blob that is needed. JSON has it as ["<name>",<size>].
type BlobSize struct {
	Name blob.Name
	Size int64 // bytes of the object
}

// blobSizeLen is the length of the shortest JSON of a BlobSize.
const blobSizeLen = len(`["",1]`) + 64

// MarshalJSON implements json.Marshaler.
func (s BlobSize) MarshalJSON() ([]byte, error) { return s.append(nil), nil }

func (s BlobSize) append(b []byte) []byte {
	b = append(b, `["`...)
	b = hex.AppendEncode(b, s.Name[:])
	b = append(b, `",`...)
	b = strconv.AppendInt(b, s.Size, 10)
	return append(b, ']')
}

// UnmarshalJSON implements json.Unmarshaler. It accepts only the spelling that is
// written.
func (s *BlobSize) UnmarshalJSON(b []byte) error {
	if len(b) < blobSizeLen || parseHex(b[2:66], s.Name[:]) != nil {
		return errBlobSize
	}
	n, err := strconv.ParseInt(string(b[68:len(b)-1]), 10, 64)
	s.Size = n
	var written [blobSizeLen + 18]byte // a size has up to 19 digits
	if err != nil || !bytes.Equal(s.append(written[:0]), b) {
		return errBlobSize
	}
	return nil
}

var errBlobSize = errors.New(`want ["<name>",<size>]`)

// TotalSize returns the bytes of all blobs together.
func TotalSize(blobs []BlobSize) int64 {
	var n int64
	for i := range blobs {
		n += blobs[i].Size
	}
	return n
}
