package page

import (
	"fmt"
	"strings"

	"vaultik/vault/blob"
)

// Check reports why the entry cannot be in a page. The error is ErrInvalid. Encoding
// and decoding both apply it; a scanner calls it before it relies on an entry, so that
// one bad file does not fail a page.
func (e *Entry) Check() error {
	if err := CheckPath(e.Path); err != nil {
		return err
	}
	if problem := e.problem(); problem != "" {
		return fmt.Errorf("check entry %q: %s: %w", clip(e.Path), problem, ErrInvalid)
	}
	return nil
}

func (e *Entry) problem() string {
	device := e.Type == Char || e.Type == Block
	switch e.Type {
	case File, Dir, Symlink, FIFO, Char, Block, Socket:
	default:
		return fmt.Sprintf("unknown type %q", clip(string(e.Type)))
	}
	switch {
	case e.Mode > 0o7777:
		return fmt.Sprintf("mode %o", e.Mode)
	case e.Size < 0 || e.Size > maxInt:
		return fmt.Sprintf("size %d", e.Size)
	case !e.Mtime.valid() || !e.Btime.valid():
		return "time with too many nanoseconds"
	case strings.IndexByte(e.User, 0) >= 0 || strings.IndexByte(e.Group, 0) >= 0:
		return "owner with NUL"
	case len(e.User) > MaxOwner || len(e.Group) > MaxOwner:
		return fmt.Sprintf("name of an owner of %d bytes", max(len(e.User), len(e.Group)))
	case len(e.Target) > MaxPath:
		return fmt.Sprintf("link target of %d bytes", len(e.Target))
	case (e.Target != "") != (e.Type == Symlink) || strings.IndexByte(e.Target, 0) >= 0:
		return "link target does not fit the type"
	case !device && (e.Major != 0 || e.Minor != 0):
		return "device number does not fit the type"
	case e.HL != "" && !isHex(e.HL, 16):
		return "hard link group is not 16 hex digits"
	case e.SHA256 != "" && (e.Type != File || !isHex(e.SHA256, 64)):
		return "sha256 is not 64 hex digits of a file"
	case e.Implied && e.Type != Dir:
		return "implied, but not a directory"
	}
	if problem := e.xattrProblem(); problem != "" {
		return problem
	}
	return e.refProblem()
}

func (e *Entry) xattrProblem() string {
	if len(e.Xattrs) > 0 {
		if len(e.XattrRefs) > 0 {
			return "xattrs both here and in chunks"
		}
		if !XattrsFit(e.Xattrs) {
			return "xattrs are too long for a page"
		}
		return xattrsProblem(e.Xattrs)
	}
	return refsProblem(e.XattrRefs, MaxInlineRefs, false)
}

func (e *Entry) refProblem() string {
	switch {
	case e.Type != File:
		if len(e.Refs) > 0 || e.ListLevel != 0 {
			return "content, but not a file"
		}
		return ""
	case e.ListLevel < 0 || e.ListLevel > MaxListLevel+1:
		return fmt.Sprintf("list level %d", e.ListLevel)
	case e.ListLevel > 0 && len(e.Refs) == 0:
		return "no list pages"
	}
	if problem := refsProblem(e.Refs, MaxInlineRefs, e.ListLevel == 0); problem != "" {
		return problem
	}
	if e.ListLevel == 0 {
		if sum := total(e.Refs); sum != e.Size {
			return fmt.Sprintf("size %d, but references to %d bytes", e.Size, sum)
		}
	}
	return ""
}

// total cannot overflow: at most MaxItems lengths under 2^53 each.
func total(refs []Ref) (n int64) {
	for i := range refs {
		n += refs[i].Length()
	}
	return n
}

func refsProblem(refs []Ref, limit int, holes bool) string {
	if len(refs) > limit {
		return fmt.Sprintf("%d references, more than %d", len(refs), limit)
	}
	for i := range refs {
		if refs[i].Hole != 0 && !holes {
			return "hole where a chunk belongs"
		}
		if problem := refs[i].problem(); problem != "" {
			return problem
		}
	}
	return ""
}

func (r *Ref) problem() string {
	if r.Hole != 0 {
		if r.Hole < 0 || r.Hole > maxInt || (*r != Ref{Hole: r.Hole}) {
			return "malformed hole"
		}
		return ""
	}
	s := r.Span
	switch {
	case s.Len == 0 || s.FrameLen == 0:
		return "reference to nothing"
	case int64(s.Off)+int64(s.Len) > maxFrame:
		return "reference past the end of a frame"
	case int64(s.FrameOff)+int64(s.FrameLen) > 1<<32:
		return "reference past the end of a blob"
	}
	return ""
}

// blobProblem looks at a reference and the blob that it names, if that is not self.
func blobProblem(r *Ref, info *blob.Info) string {
	if int64(r.Span.FrameOff)+int64(r.Span.FrameLen) > info.Size {
		return "reference past the end of its blob"
	}
	return ""
}

func infoProblem(info *blob.Info) string {
	if info.Name == (blob.Name{}) || info.Size <= 0 || info.Size > maxInt {
		return "blob without name or size"
	}
	return ""
}

func (it *Item) problem() string {
	if it.Entries < 1 || it.Entries > maxInt {
		return fmt.Sprintf("item of %d entries", it.Entries)
	}
	if it.Ref.Hole != 0 {
		return "item without a page"
	}
	return it.Ref.problem()
}

func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if unhex[s[i]] > 15 {
			return false
		}
	}
	return true
}
