package layout

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// letters are the kinds of objects that prune condemns: what a host writes and nothing but its
// manifests and checkpoints refers to.
var letters = map[Kind]string{KindBlob: "b", KindEpochKey: "k", KindBlobList: "l", KindNote: "n",
	KindCheckpoint: "p", KindRoot: "r", KindParity: "x"}

// Name returns what names an object among those of its host that prune may condemn: "b/<sha256>",
// "k/<epoch>/<n>", "p/<ulid>". It is empty for those that it may not: manifests, and what does
// not belong to a host.
func (o Object) Name() string {
	letter, ok := letters[o.Kind]
	switch {
	case !ok:
		return ""
	case o.Kind == KindEpochKey:
		return letter + "/" + o.Epoch.String() + "/" + strconv.Itoa(o.N)
	case o.Kind == KindCheckpoint || o.Kind == KindNote:
		return letter + "/" + o.Short
	}
	return letter + "/" + hex.EncodeToString(o.Sum[:])
}

// ParseName takes apart what [Object.Name] made, or returns [ErrUnknownName].
func ParseName(host HostID, name string) (Object, error) {
	o := Object{Host: host}
	if len(name) <= maxKey && o.parseName(name) {
		return o, nil
	}
	return Object{}, fmt.Errorf("parse name %.100q: %w", name, ErrUnknownName)
}

func (o *Object) parseName(name string) bool {
	letter, rest, _ := strings.Cut(name, "/")
	switch letter {
	case "b":
		o.Kind = KindBlob
	case "l":
		o.Kind = KindBlobList
	case "r":
		o.Kind = KindRoot
	case "x":
		o.Kind = KindParity
	case "p":
		o.Kind, o.Short = KindCheckpoint, rest
		return ValidULID(rest)
	case "n":
		o.Kind, o.Short = KindNote, rest
		return ValidULID(rest)
	case "k":
		o.Kind = KindEpochKey
		epoch, n, ok := strings.Cut(rest, "/")
		return ok && parseHex("", epoch, o.Epoch[:]) == nil && o.parseN(n)
	default:
		return false
	}
	return parseHex("", rest, o.Sum[:]) == nil
}

// Mark stands for the name of an object of one host, where there may be millions: the first
// half of its SHA-256.
type Mark [16]byte

// Mark returns the mark of an object that has a [Object.Name].
func (o Object) Mark() (m Mark) {
	sum := sha256.Sum256([]byte(o.Name()))
	copy(m[:], sum[:])
	return m
}

// Marks is a set of objects of one host, in 16 bytes each. The zero value is empty.
type Marks struct{ sorted []Mark }

// NewMarks returns a set of these marks, which it keeps and sorts.
func NewMarks(marks []Mark) Marks {
	slices.SortFunc(marks, Mark.compare)
	return Marks{slices.Compact(marks)}
}

func (m Mark) compare(o Mark) int { return bytes.Compare(m[:], o[:]) }

// Len is how many objects are in the set.
func (m Marks) Len() int { return len(m.sorted) }

// Has reports whether the object of this key, which is of the host of the set, is in it.
func (m Marks) Has(key string) bool {
	if len(m.sorted) == 0 {
		return false
	}
	o, err := Parse(key)
	if err != nil || o.Name() == "" {
		return false
	}
	_, ok := slices.BinarySearchFunc(m.sorted, o.Mark(), Mark.compare)
	return ok
}
