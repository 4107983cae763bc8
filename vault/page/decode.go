package page

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"vaultik/vault/blob"
)

// Decode reads a page. holder is the blob that it was read from: references to
// self come out as references to it (to nil, if holder is nil). The page shares
// no memory with b. Errors are ErrDamaged, ErrNewerFormat and ErrTooLarge.
func Decode(b []byte, holder *blob.Info) (*Page, error) {
	if len(b) > MaxPage {
		return nil, fmt.Errorf("decode page: %d bytes: %w", len(b), ErrTooLarge)
	}
	lines := bytes.Count(b, []byte{'\n'})
	if lines < 2 || lines > 1+MaxItems || b[len(b)-1] != '\n' {
		return nil, fmt.Errorf("decode page: %d lines or an incomplete last line: %w", lines, ErrDamaged)
	}
	d := decoder{holder: holder, page: &Page{}}
	for n := range lines {
		end := bytes.IndexByte(b, '\n')
		d.scanner = scanner{b: b[:end]}
		b = b[end+1:]
		if n == 0 {
			d.header(lines - 1)
		} else {
			d.line()
		}
		d.end()
		if d.err != nil {
			return nil, fmt.Errorf("decode page: line %d: %w", n+1, d.err)
		}
	}
	return d.page, nil
}

type decoder struct {
	scanner
	page        *Page
	holder      *blob.Info
	user, group string // of the entry before: mostly the same
}

func (d *decoder) header(lines int) {
	start := d.scanner
	d.requirements() // first: the rest of a newer header may look otherwise
	if d.err != nil {
		return
	}
	d.scanner = start
	const needed = 1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<4
	var seen int
	d.object(func(key []byte) int {
		n := -1
		switch string(key) {
		case "kind":
			n = 0
			d.page.Kind = Kind(d.raw())
		case "level":
			n = 1
			d.page.Level = int(d.number(MaxLevel))
		case "blobs":
			n = 2
			d.blobs()
		case "v":
			n = 3
			d.number(1)
		case "required":
			n = 4
			d.array(func() { d.raw() })
		}
		if n >= 0 {
			seen |= 1 << n
		}
		return n
	})
	if seen != needed {
		d.fail("header is not complete")
	}
	p := d.page
	switch {
	case p.Kind == Leaf && p.Level == 0:
		p.Entries = make([]Entry, 0, lines)
	case p.Kind == Branch && p.Level >= 1:
		p.Items = make([]Item, 0, lines)
	case p.Kind == List && p.Level <= MaxListLevel:
		p.Refs = make([]Ref, 0, lines)
	default:
		d.fail("unknown kind or level of page")
	}
}

// requirements looks at nothing but the version and what the page requires.
func (d *decoder) requirements() {
	newer := ""
	d.object(func(key []byte) int {
		switch string(key) {
		case "v":
			if v := d.number(maxInt); v > 1 {
				newer = fmt.Sprintf("version %d", v)
			} else if v == 0 {
				d.fail("version 0")
			}
			return 0
		case "required":
			d.array(func() {
				if name := d.raw(); d.err == nil {
					newer = fmt.Sprintf("%q", clip(string(name)))
				}
			})
			return 1
		}
		return -1
	})
	if newer != "" && (d.err == nil || errors.Is(d.err, ErrDamaged)) {
		d.err = fmt.Errorf("requires %s: %w", newer, ErrNewerFormat)
	}
}

// blobs reads the table of the header: "self", then [name, hdr, size, epoch].
func (d *decoder) blobs() {
	if d.page.Blobs != nil {
		d.fail("key twice")
		return
	}
	first := true
	seen := map[blob.Name]struct{}{}
	d.page.Blobs = []*blob.Info{}
	d.array(func() {
		if first {
			first = false
			if string(d.raw()) != "self" {
				d.fail("no self")
			}
			return
		}
		info := new(blob.Info)
		d.want('[')
		d.hex(info.Name[:])
		d.want(',')
		d.hex(info.Hdr[:])
		d.want(',')
		info.Size = int64(d.number(maxInt))
		d.want(',')
		d.hex(info.Epoch[:])
		d.want(']')
		if problem := infoProblem(info); problem != "" {
			d.fail(problem)
		}
		if _, twice := seen[info.Name]; twice {
			d.fail("blob twice")
		}
		seen[info.Name] = struct{}{}
		d.page.Blobs = append(d.page.Blobs, info)
	})
	if first {
		d.fail("no self")
	}
}

func (d *decoder) line() {
	p := d.page
	switch p.Kind {
	case Leaf:
		p.Entries = append(p.Entries, Entry{})
		n := len(p.Entries)
		e := &p.Entries[n-1]
		d.entry(e)
		if d.err != nil {
			return
		}
		if err := e.Check(); err != nil {
			d.err = fmt.Errorf("%w: %w", ErrDamaged, err)
		} else if n > 1 && Compare(p.Entries[n-2].Path, e.Path) >= 0 {
			d.fail("entries are out of order")
		} else if n > 1 && p.Entries[n-2].Type != Dir && below(p.Entries[n-2].Path, e.Path) {
			d.err = fmt.Errorf("entry %q is below something that is not a directory: %w", clip(e.Path), ErrDamaged)
		}
	case Branch:
		p.Items = append(p.Items, Item{})
		n := len(p.Items)
		it := &p.Items[n-1]
		d.item(it)
		if d.err != nil {
			return
		}
		if err := CheckPath(it.Last); err != nil {
			d.err = fmt.Errorf("%w: %w", ErrDamaged, err)
		} else if problem := it.problem(); problem != "" {
			d.fail(problem)
		} else if n > 1 && Compare(p.Items[n-2].Last, it.Last) >= 0 {
			d.fail("items are out of order")
		}
	case List:
		r := d.ref()
		if p.Level > 0 && r.Hole != 0 {
			d.fail("hole where a list page belongs")
		}
		p.Refs = append(p.Refs, r)
	}
}

func (d *decoder) entry(e *Entry) {
	const needed = 1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5
	var seen int
	d.object(func(key []byte) int {
		n := d.entryField(e, key)
		if n >= 0 {
			seen |= 1 << n
		}
		return n
	})
	if seen&needed != needed {
		d.fail("entry is not complete")
	}
	if dev := seen&(1<<12) != 0; dev != (e.Type == Char || e.Type == Block) {
		d.fail("device number does not fit the type")
	}
}

// entryField returns the field's number; a field and its twin share one.
func (d *decoder) entryField(e *Entry, key []byte) int {
	const u32 = math.MaxUint32
	switch string(key) {
	case "p":
		e.Path = d.text()
		return 0
	case "p64":
		e.Path = d.text64()
		return 0
	case "type":
		e.Type = entryType(d.raw())
		return 1
	case "mode":
		e.Mode = uint32(d.number(u32))
		return 2
	case "uid":
		e.UID = uint32(d.number(u32))
		return 3
	case "gid":
		e.GID = uint32(d.number(u32))
		return 4
	case "mtime":
		e.Mtime = d.time()
		return 5
	case "user":
		e.User = d.name(&d.user)
		return 6
	case "user64":
		e.User = d.text64()
		return 6
	case "group":
		e.Group = d.name(&d.group)
		return 7
	case "group64":
		e.Group = d.text64()
		return 7
	case "size":
		e.Size = int64(d.number(maxInt))
		return 8
	case "btime":
		e.Btime = d.time()
		return 9
	case "flags":
		e.Flags = uint32(d.number(u32))
		return 10
	case "target":
		e.Target = d.text()
		return 11
	case "target64":
		e.Target = d.text64()
		return 11
	case "dev":
		d.want('[')
		e.Major = uint32(d.number(u32))
		d.want(',')
		e.Minor = uint32(d.number(u32))
		d.want(']')
		return 12
	case "hl":
		e.HL = string(d.raw())
		return 13
	case "x":
		e.Xattrs = d.xattrs()
		return 14
	case "xr":
		e.XattrRefs = d.refs()
		return 15
	case "c":
		e.Refs = d.refs()
		return 16
	case "ll":
		e.ListLevel = int(d.number(MaxListLevel + 1))
		return 17
	case "sha256":
		e.SHA256 = string(d.raw())
		return 18
	case "implied":
		e.Implied = d.flag()
		return 19
	}
	return -1
}

// entryType avoids an allocation for what is known; the rest is refused later.
func entryType(b []byte) Type {
	switch string(b) {
	case string(File):
		return File
	case string(Dir):
		return Dir
	case string(Symlink):
		return Symlink
	}
	return Type(b)
}

// name reads a user or group, most often that of the entry before.
func (d *decoder) name(last *string) string {
	b := d.raw()
	if string(b) != *last {
		*last = string(b)
		if !plain(*last) {
			d.fail("text that belongs in base64")
		}
	}
	return *last
}

func (d *decoder) time() Time {
	b := d.raw()
	if d.err != nil {
		return Time{}
	}
	t, err := ParseTime(string(b))
	if err != nil {
		d.err = err
	}
	return t
}

func (d *decoder) item(it *Item) {
	const needed = 1<<0 | 1<<1 | 1<<2
	var seen int
	d.object(func(key []byte) int {
		n := -1
		switch string(key) {
		case "last":
			n = 0
			it.Last = d.text()
		case "last64":
			n = 0
			it.Last = d.text64()
		case "r":
			n = 1
			it.Ref = d.ref()
		case "n":
			n = 2
			it.Entries = int64(d.number(maxInt))
		}
		if n >= 0 {
			seen |= 1 << n
		}
		return n
	})
	if seen != needed {
		d.fail("item is not complete")
	}
}

func (d *decoder) refs() (refs []Ref) {
	d.array(func() {
		if len(refs) == MaxInlineRefs {
			d.fail("too many references in an entry")
			return
		}
		refs = append(refs, d.ref())
	})
	return refs
}

// ref reads [length] or [blob, frame offset, frame length, offset, length, "id"].
func (d *decoder) ref() (r Ref) {
	d.want('[')
	first := d.number(maxInt)
	if d.take(']') {
		r.Hole = int64(first)
		if first == 0 {
			d.fail("hole of no length")
		}
		return r
	}
	d.want(',')
	r.Span.FrameOff = uint32(d.number(math.MaxUint32))
	d.want(',')
	r.Span.FrameLen = uint32(d.number(math.MaxUint32))
	d.want(',')
	r.Span.Off = uint32(d.number(math.MaxUint32))
	d.want(',')
	r.Span.Len = uint32(d.number(math.MaxUint32))
	d.want(',')
	d.hex(r.ID[:])
	d.want(']')
	if d.err != nil {
		return r
	}
	problem := r.problem()
	switch {
	case problem != "":
	case first > uint64(len(d.page.Blobs)):
		problem = "reference to a blob that the header does not name"
	case first == 0:
		r.Blob, d.page.Self = d.holder, true
		if r.Blob != nil && r.Blob.Size > 0 {
			problem = blobProblem(&r, r.Blob)
		}
	default:
		r.Blob = d.page.Blobs[first-1]
		problem = blobProblem(&r, r.Blob)
	}
	if problem != "" {
		d.fail(problem)
	}
	return r
}
