package layout

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrUnknownName means that this version does not write such a key. Unknown objects are
// ignored.
var ErrUnknownName = errors.New("not the name of an object of this format")

// Kind says what an object is, as far as its name tells.
type Kind int

// The kinds of objects.
const (
	KindStore Kind = iota + 1
	KindTrust
	KindBlob
	KindEpochKey
	KindRoot
	KindBlobList
	KindManifest
	KindCheckpoint
	KindGC
	KindCondemned
	KindNote
	KindParity
)

var kindNames = [...]string{
	KindStore: "store", KindTrust: "trust list", KindBlob: "blob", KindEpochKey: "epoch key",
	KindRoot: "root", KindBlobList: "blob list", KindManifest: "manifest",
	KindCheckpoint: "checkpoint", KindGC: "gc object",
	KindCondemned: "condemned list", KindNote: "note", KindParity: "parity",
}

// String returns the word that messages use for the kind.
func (k Kind) String() string {
	if k <= 0 || int(k) >= len(kindNames) {
		return "unknown object"
	}
	return kindNames[k]
}

// Object is what a key tells. Only the fields that its kind has are set.
type Object struct {
	Kind  Kind
	Host  HostID
	Set   SetID
	Epoch Epoch
	Seq   uint64
	N     int      // which wrapping of an epoch key
	Sum   [32]byte // SHA-256 of the object: blobs, roots, lists; of its blob: parity
	Short string   // checkpoint, note: its id; in a weak store see [Weak]: 16 hex digits
}

// Key returns the key that o was parsed from.
func (o Object) Key() string {
	switch o.Kind {
	case KindStore:
		return StoreJSON
	case KindTrust:
		return TrustPrefix + numbered(o.Seq, o.Short)
	case KindBlob:
		return Blob(o.Host, o.Sum)
	case KindEpochKey:
		return EpochKey(o.Host, o.Epoch, o.N)
	case KindRoot:
		return Root(o.Host, o.Sum)
	case KindBlobList:
		return BlobList(o.Host, o.Sum)
	case KindManifest:
		return ManifestSetPrefix(o.Host, o.Set) + numbered(o.Seq, o.Short)
	case KindCheckpoint:
		return Checkpoint(o.Host, o.Short)
	case KindGC:
		return GCPrefix(o.Host) + numbered(o.Seq, o.Short)
	case KindCondemned:
		return CondemnedList(o.Host, o.Sum)
	case KindNote:
		return Note(o.Host, o.Short)
	case KindParity:
		return Parity(o.Host, o.Sum)
	}
	return ""
}

// maxKey is longer than every key of this format, in bytes. A store may list any other.
const maxKey = 200

// Parse takes a key apart, or returns [ErrUnknownName].
func Parse(key string) (Object, error) {
	if len(key) > maxKey {
		return Object{}, fmt.Errorf("parse key %q...: %w", key[:maxKey], ErrUnknownName)
	}
	if o, ok := parse(key); ok {
		return o, nil
	}
	return Object{}, fmt.Errorf("parse key %q: %w", key, ErrUnknownName)
}

func parse(key string) (o Object, ok bool) {
	p := strings.Split(key, "/")
	switch {
	case key == StoreJSON:
		return Object{Kind: KindStore}, true
	case p[0] == "trust" && len(p) == 2:
		o.Kind = KindTrust
		return o, o.parseSeq(p[1])
	case p[0] == "gc" && len(p) == 3:
		if parseHex("", p[1], o.Host[:]) != nil {
			return o, false
		}
		if o.parseSum(p[2], ".zst") {
			o.Kind = KindCondemned
			return o, true
		}
		o = Object{Kind: KindGC, Host: o.Host} // without what the sum left
		return o, o.parseSeq(p[2])
	case p[0] == "h" && len(p) >= 4 && parseHex("", p[1], o.Host[:]) == nil:
		return o, o.parseOfHost(p[2], p[3:])
	}
	return o, false
}

func (o *Object) parseOfHost(kind string, rest []string) bool {
	last := rest[len(rest)-1]
	switch {
	case kind == "b" && len(rest) == 2:
		o.Kind = KindBlob
		return parseHex("", last, o.Sum[:]) == nil && rest[0] == last[:2]
	case kind == "k" && len(rest) == 2:
		o.Kind = KindEpochKey
		return parseHex("", rest[0], o.Epoch[:]) == nil && o.parseCopy(last)
	case kind == "r" && len(rest) == 1:
		o.Kind = KindRoot
		return o.parseSum(last, ".age")
	case kind == "l" && len(rest) == 1:
		o.Kind = KindBlobList
		return o.parseSum(last, ".zst")
	case kind == "m" && len(rest) == 2:
		o.Kind = KindManifest
		return parseHex("", rest[0], o.Set[:]) == nil && o.parseSeq(last)
	case kind == "p" && len(rest) == 1:
		o.Kind = KindCheckpoint
		return o.parseID(last)
	case kind == "n" && len(rest) == 1:
		o.Kind = KindNote
		return o.parseID(last)
	case kind == "x" && len(rest) == 2:
		o.Kind = KindParity
		return parseHex("", last, o.Sum[:]) == nil && rest[0] == last[:2]
	}
	return false
}

func (o *Object) parseID(s string) bool {
	id, ok := strings.CutSuffix(s, ".json.zst")
	o.Short = id
	return ok && ValidULID(id)
}

func (o *Object) parseSum(s, suffix string) bool {
	s, ok := strings.CutSuffix(s, suffix)
	return ok && parseHex("", s, o.Sum[:]) == nil
}

func (o *Object) parseCopy(s string) bool {
	s, ok := strings.CutSuffix(s, ".age")
	if !ok {
		return false
	}
	return o.parseN(s)
}

func (o *Object) parseN(s string) bool {
	n, err := strconv.Atoi(s)
	o.N = n
	return err == nil && n >= 0 && n <= MaxEpochCopy && strconv.Itoa(n) == s
}

// parseSeq reads "<ten digits>[-<16 hex>].json.zst".
func (o *Object) parseSeq(s string) bool {
	s, ok := strings.CutSuffix(s, signedSuffix)
	if !ok {
		return false
	}
	s, short, weak := strings.Cut(s, "-")
	if weak {
		var sum [8]byte
		if parseHex("", short, sum[:]) != nil {
			return false
		}
		o.Short = short
	}
	if len(s) != 10 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	o.Seq = n
	return err == nil && n > 0
}
