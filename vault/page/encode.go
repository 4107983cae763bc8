package page

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"

	"vaultik/vault/blob"
)

// Encoder writes pages. The zero value is ready; it keeps a table between pages
// and serves one goroutine.
type Encoder struct {
	// Self is the blob that will hold the pages, compared by pointer: references
	// to it are written as self, like those with a nil Blob. It need not be filled in yet.
	Self *blob.Info

	table  []*blob.Info // after self
	number map[blob.Name]uint64
	last   *blob.Info
	lastN  uint64
}

// EncodeLeaf appends a leaf page. See Encoder.Leaf.
func EncodeLeaf(dst []byte, entries []Entry) ([]byte, error) {
	return new(Encoder).Leaf(dst, entries)
}

// EncodeBranch appends a branch page. See Encoder.Branch.
func EncodeBranch(dst []byte, level int, items []Item) ([]byte, error) {
	return new(Encoder).Branch(dst, level, items)
}

// EncodeList appends a list page. See Encoder.List.
func EncodeList(dst []byte, level int, refs []Ref) ([]byte, error) {
	return new(Encoder).List(dst, level, refs)
}

// Leaf appends a page of 1 to MaxItems entries in strictly increasing order.
// Errors are ErrInvalid and ErrTooLarge; dst comes back as it was.
func (e *Encoder) Leaf(dst []byte, entries []Entry) ([]byte, error) {
	e.reset()
	if err := checkCount("leaf", len(entries)); err != nil {
		return dst, err
	}
	for i := range entries {
		x := &entries[i]
		if err := x.Check(); err != nil {
			return dst, fmt.Errorf("encode leaf: %w", err)
		}
		if i > 0 && Compare(entries[i-1].Path, x.Path) >= 0 {
			return dst, fmt.Errorf("encode leaf: %q is not after %q: %w", clip(x.Path), clip(entries[i-1].Path), ErrInvalid)
		}
		if i > 0 && entries[i-1].Type != Dir && below(entries[i-1].Path, x.Path) {
			return dst, fmt.Errorf("encode leaf: %q is below something that is not a directory: %w", clip(x.Path), ErrInvalid)
		}
		if err := e.use(x.XattrRefs); err != nil {
			return dst, fmt.Errorf("encode leaf: entry %q: %w", clip(x.Path), err)
		}
		if err := e.use(x.Refs); err != nil {
			return dst, fmt.Errorf("encode leaf: entry %q: %w", clip(x.Path), err)
		}
	}
	b := e.header(dst, Leaf, 0)
	for i := range entries {
		b = e.entry(b, &entries[i])
	}
	return fits(dst, b)
}

// Branch appends a page of 1 to MaxItems items, their last paths strictly
// increasing. The level is 1 above leaves. Errors as for Leaf.
func (e *Encoder) Branch(dst []byte, level int, items []Item) ([]byte, error) {
	e.reset()
	if err := checkCount("branch", len(items)); err != nil {
		return dst, err
	}
	if level < 1 || level > MaxLevel {
		return dst, fmt.Errorf("encode branch: level %d: %w", level, ErrInvalid)
	}
	for i := range items {
		it := &items[i]
		if err := CheckPath(it.Last); err != nil {
			return dst, fmt.Errorf("encode branch: %w", err)
		}
		if problem := it.problem(); problem != "" {
			return dst, fmt.Errorf("encode branch: %s: %w", problem, ErrInvalid)
		}
		if i > 0 && Compare(items[i-1].Last, it.Last) >= 0 {
			return dst, fmt.Errorf("encode branch: %q is not after %q: %w", clip(it.Last), clip(items[i-1].Last), ErrInvalid)
		}
		if err := e.useOne(&it.Ref); err != nil {
			return dst, fmt.Errorf("encode branch: %w", err)
		}
	}
	b := e.header(dst, Branch, level)
	for i := range items {
		b = append(b, '{')
		b = textField(b, "last", items[i].Last)
		b = e.ref(append(b, `,"r":`...), &items[i].Ref)
		b = strconv.AppendInt(append(b, `,"n":`...), items[i].Entries, 10)
		b = append(b, "}\n"...)
	}
	return fits(dst, b)
}

// List appends a page of 1 to MaxItems references: to content (level 0) or to
// list pages of the level below. Errors as for Leaf.
func (e *Encoder) List(dst []byte, level int, refs []Ref) ([]byte, error) {
	e.reset()
	if err := checkCount("list", len(refs)); err != nil {
		return dst, err
	}
	if level < 0 || level > MaxListLevel {
		return dst, fmt.Errorf("encode list: level %d: %w", level, ErrInvalid)
	}
	if problem := refsProblem(refs, MaxItems, level == 0); problem != "" {
		return dst, fmt.Errorf("encode list: %s: %w", problem, ErrInvalid)
	}
	if err := e.use(refs); err != nil {
		return dst, fmt.Errorf("encode list: %w", err)
	}
	b := e.header(dst, List, level)
	for i := range refs {
		b = append(e.ref(b, &refs[i]), '\n')
	}
	return fits(dst, b)
}

func checkCount(what string, n int) error {
	if n < 1 || n > MaxItems {
		return fmt.Errorf("encode %s: %d lines: %w", what, n, ErrInvalid)
	}
	return nil
}

func fits(dst, b []byte) ([]byte, error) {
	if n := len(b) - len(dst); n > MaxPage {
		return dst, fmt.Errorf("encode page: %d bytes: %w", n, ErrTooLarge)
	}
	return b, nil
}

func (e *Encoder) reset() {
	e.table, e.last = e.table[:0], nil
	clear(e.number)
}

// use enters the blobs of references into the header's table, in order of first use.
func (e *Encoder) use(refs []Ref) error {
	for i := range refs {
		if err := e.useOne(&refs[i]); err != nil {
			return err
		}
	}
	return nil
}

func (e *Encoder) useOne(r *Ref) error {
	info := r.Blob
	if info == nil || info == e.Self {
		return nil
	}
	if problem := blobProblem(r, info); problem != "" {
		return fmt.Errorf("%s: %w", problem, ErrInvalid)
	}
	if info == e.last {
		return nil
	}
	if n, ok := e.number[info.Name]; ok {
		if *e.table[n-1] != *info {
			return fmt.Errorf("two blobs of one name: %w", ErrInvalid)
		}
		e.last, e.lastN = info, n
		return nil
	}
	if problem := infoProblem(info); problem != "" {
		return fmt.Errorf("%s: %w", problem, ErrInvalid)
	}
	if e.number == nil {
		e.number = make(map[blob.Name]uint64)
	}
	e.table = append(e.table, info)
	e.last, e.lastN = info, uint64(len(e.table))
	e.number[info.Name] = e.lastN
	return nil
}

func (e *Encoder) header(b []byte, kind Kind, level int) []byte {
	b = append(append(b, `{"kind":"`...), kind...)
	b = strconv.AppendInt(append(b, `","v":1,"required":[],"level":`...), int64(level), 10)
	b = append(b, `,"blobs":["self"`...)
	for _, info := range e.table {
		b = hex.AppendEncode(append(b, `,["`...), info.Name[:])
		b = hex.AppendEncode(append(b, `","`...), info.Hdr[:])
		b = strconv.AppendInt(append(b, `",`...), info.Size, 10)
		b = hex.AppendEncode(append(b, `,"`...), info.Epoch[:])
		b = append(b, `"]`...)
	}
	return append(b, "]}\n"...)
}

func (e *Encoder) entry(b []byte, x *Entry) []byte {
	b = textField(append(b, '{'), "p", x.Path)
	b = append(append(append(b, `,"type":"`...), x.Type...), '"')
	b = strconv.AppendUint(append(b, `,"mode":`...), uint64(x.Mode), 10)
	b = strconv.AppendUint(append(b, `,"uid":`...), uint64(x.UID), 10)
	b = strconv.AppendUint(append(b, `,"gid":`...), uint64(x.GID), 10)
	if x.User != "" {
		b = textField(append(b, ','), "user", x.User)
	}
	if x.Group != "" {
		b = textField(append(b, ','), "group", x.Group)
	}
	if x.Size != 0 {
		b = strconv.AppendInt(append(b, `,"size":`...), x.Size, 10)
	}
	b = append(x.Mtime.append(append(b, `,"mtime":"`...)), '"')
	if !x.Btime.IsZero() {
		b = append(x.Btime.append(append(b, `,"btime":"`...)), '"')
	}
	if x.Flags != 0 {
		b = strconv.AppendUint(append(b, `,"flags":`...), uint64(x.Flags), 10)
	}
	if x.Target != "" {
		b = textField(append(b, ','), "target", x.Target)
	}
	if x.Type == Char || x.Type == Block { // 0,0 is a device too
		b = strconv.AppendUint(append(b, `,"dev":[`...), uint64(x.Major), 10)
		b = append(strconv.AppendUint(append(b, ','), uint64(x.Minor), 10), ']')
	}
	if x.HL != "" {
		b = append(append(append(b, `,"hl":"`...), x.HL...), '"')
	}
	if len(x.Xattrs) > 0 {
		b = EncodeXattrs(append(b, `,"x":`...), x.Xattrs)
	}
	b = e.refs(b, `,"xr":`, x.XattrRefs)
	b = e.refs(b, `,"c":`, x.Refs)
	if x.ListLevel != 0 {
		b = strconv.AppendInt(append(b, `,"ll":`...), int64(x.ListLevel), 10)
	}
	if x.SHA256 != "" {
		b = append(append(append(b, `,"sha256":"`...), x.SHA256...), '"')
	}
	if x.Implied {
		b = append(b, `,"implied":true`...)
	}
	return append(b, "}\n"...)
}

func (e *Encoder) refs(b []byte, key string, refs []Ref) []byte {
	if len(refs) == 0 {
		return b
	}
	b = append(b, key...)
	for i := range refs {
		sep := byte(',')
		if i == 0 {
			sep = '['
		}
		b = e.ref(append(b, sep), &refs[i])
	}
	return append(b, ']')
}

func (e *Encoder) ref(b []byte, r *Ref) []byte {
	b = append(b, '[')
	if r.Hole > 0 {
		return append(strconv.AppendInt(b, r.Hole, 10), ']')
	}
	b = strconv.AppendUint(b, e.blob(r.Blob), 10)
	b = strconv.AppendUint(append(b, ','), uint64(r.Span.FrameOff), 10)
	b = strconv.AppendUint(append(b, ','), uint64(r.Span.FrameLen), 10)
	b = strconv.AppendUint(append(b, ','), uint64(r.Span.Off), 10)
	b = strconv.AppendUint(append(b, ','), uint64(r.Span.Len), 10)
	b = hex.AppendEncode(append(b, `,"`...), r.ID[:])
	return append(b, `"]`...)
}

// blob is the number of a blob in the header's table.
func (e *Encoder) blob(info *blob.Info) uint64 {
	if info == nil || info == e.Self {
		return 0
	}
	if info != e.last {
		e.last, e.lastN = info, e.number[info.Name]
	}
	return e.lastN
}

// textField appends "key":"text", or the twin "key64" in base64 for text that is not plain.
func textField(b []byte, key, s string) []byte {
	b = append(append(b, '"'), key...)
	if plain(s) {
		return appendQuoted(append(b, `":`...), s)
	}
	b = append(b, `64":"`...)
	return append(base64.StdEncoding.AppendEncode(b, []byte(s)), '"')
}

// appendQuoted appends plain text as a JSON string.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	done := 0
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(append(b, s[done:i]...), '\\')
			done = i
		}
	}
	return append(append(b, s[done:]...), '"')
}
