package page

import (
	"errors"
	"io/fs"

	"vaultik/vault/blob"
	"vaultik/vault/chunk"
)

// Limits of format version 1.
const (
	MaxItems        = 1024     // entries, items or references of one page
	MaxInlineRefs   = 16       // references of one entry; more go to list pages
	MaxInlineXattrs = 4 << 10  // bytes of JSON of one entry's xattrs; more go to chunks
	MaxXattrs       = 16 << 20 // bytes of JSON of one entry's xattrs in chunks
	MaxPage         = 16 << 20 // bytes of one page
	MaxPath         = 64 << 10 // bytes of one path, and of a link's target
	MaxOwner        = 4 << 10  // bytes of the name of a user or group
	MaxLevel        = 31       // of a branch: a path's hash has bits for no more
	MaxListLevel    = 7        // of a list page: 64^8 references
	maxFrame        = blob.MaxFrameRaw
	maxInt          = 1<<53 - 1
)

var (
	// ErrDamaged means that the bytes of a page are not what a correct writer writes.
	// Everything that the page does not hold is unharmed.
	ErrDamaged = errors.New("page is damaged")
	// ErrNewerFormat means that the page requires something that this version does not know;
	// use a newer one.
	ErrNewerFormat = errors.New("page needs a newer version of vaultik")
	// ErrInvalid means that an entry, item or reference cannot be written; skip and
	// report it.
	ErrInvalid = errors.New("not valid in a page")
	// ErrTooLarge means a page of more than MaxPage bytes.
	ErrTooLarge = errors.New("page is too large")
	// ErrNotFound means that the tree has no entry of that path. It is an fs.ErrNotExist.
	ErrNotFound error = notFound{}
)

// SkipSubtree is not a failure: returned for a directory's entry, it makes a walk skip
// what is below it.
var SkipSubtree = errors.New("skip this subtree") //nolint:revive,staticcheck // named as in io/fs

// SkipAll is not a failure: returned by any callback, it ends a walk early and without an error.
var SkipAll = fs.SkipAll

type notFound struct{}

func (notFound) Error() string        { return "no such path in the snapshot" }
func (notFound) Is(target error) bool { return target == fs.ErrNotExist }

// Ref says where the bytes of one chunk are, or that there are none (a hole).
type Ref struct {
	Hole int64      // over 0: this many bytes of zeros; nothing else is set
	Blob *blob.Info // nil: self, the blob that holds the page with this reference
	Span blob.Span
	ID   chunk.ID
}

// Length is the number of bytes that the reference stands for.
func (r *Ref) Length() int64 {
	if r.Hole > 0 {
		return r.Hole
	}
	return int64(r.Span.Len)
}

// Type is the kind of thing that an entry describes.
type Type string

// The types of entries.
const (
	File    Type = "file"
	Dir     Type = "dir"
	Symlink Type = "symlink"
	FIFO    Type = "fifo"
	Char    Type = "char"
	Block   Type = "block"
	Socket  Type = "socket"
)

// Xattr is one extended attribute; ACLs and capabilities are such.
type Xattr struct {
	Name  string // raw bytes
	Value []byte // nil if empty
}

// Entry is one file, directory, link or device with its metadata.
// Empty slices are nil.
type Entry struct {
	Path         string // raw bytes, no leading slash; "." is the top
	Type         Type
	Mode         uint32 // permissions, setuid, setgid, sticky: 07777 at most
	UID, GID     uint32
	User, Group  string // names, if known
	Size         int64  // bytes; of a file: the sum of its references
	Mtime, Btime Time
	Flags        uint32 // inode flags (FS_IOC_GETFLAGS)
	Target       string // of a symlink, raw bytes
	Major, Minor uint32 // of a char or block device
	HL           string // 16 hex digits: equal in all hard links to one file; or ""
	Xattrs       []Xattr
	XattrRefs    []Ref  // chunks with the JSON of the xattrs, when Xattrs would be too long
	Refs         []Ref  // of a file: content (ListLevel 0), or list pages of level ListLevel-1
	ListLevel    int    // 0: Refs are content
	SHA256       string // of a whole file, 64 hex digits; or ""
	Implied      bool   // a directory above the sources: attributes, no contents
}

// Item is one line of a branch: a page of the level below.
type Item struct {
	Last    string // last path in the page
	Ref     Ref    // the page
	Entries int64  // in the page and all pages below it
}

// Kind is what the lines of a page are.
type Kind string

// The kinds of pages.
const (
	Leaf   Kind = "leaf"   // entries
	Branch Kind = "branch" // items
	List   Kind = "list"   // references
)

// Page is a decoded page. One of Entries, Items and Refs is set, as Kind says.
type Page struct {
	Kind    Kind
	Level   int // leaf 0; branch and list: see the package comment
	Entries []Entry
	Items   []Item
	Refs    []Ref
	Blobs   []*blob.Info // that the header names, self left out
	Self    bool         // a reference names self: the page cannot be carried over to another blob
}

// Last is the last path of a leaf or branch, and "" for a list.
func (p *Page) Last() string {
	switch p.Kind {
	case Leaf:
		return p.Entries[len(p.Entries)-1].Path
	case Branch:
		return p.Items[len(p.Items)-1].Last
	}
	return ""
}

// First is the first path of a leaf, or the last path of a branch's first item.
func (p *Page) First() string {
	switch p.Kind {
	case Leaf:
		return p.Entries[0].Path
	case Branch:
		return p.Items[0].Last
	}
	return ""
}

// Count is the number of entries in the page and all pages below it; 0 for a list.
func (p *Page) Count() int64 {
	n := int64(len(p.Entries))
	for i := range p.Items {
		n += p.Items[i].Entries
	}
	return n
}
