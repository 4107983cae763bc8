package testtree

import (
	"fmt"
	"hash/fnv"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Kind is the first word of a line.
type Kind string

// The kinds of nodes.
const (
	Dir      Kind = "dir"
	File     Kind = "file"
	Symlink  Kind = "symlink"
	Hardlink Kind = "hardlink"
	FIFO     Kind = "fifo"
	Socket   Kind = "socket"
	Char     Kind = "char"
	Block    Kind = "block"
)

// Data is a run of pseudo-random bytes in a file.
type Data struct {
	Off, Len int64
	Seed     uint64
}

// Xattr is one extended attribute.
type Xattr struct{ Name, Value string }

// A Node is one line.
type Node struct {
	Kind         Kind
	Path         string
	Target       string // of a symlink, as is; of a hardlink, a path in the tree
	Major, Minor uint32
	Mode         uint32
	Sec          int64 // mtime
	Nsec         int64
	UID, GID     int // -1: not set
	Text         string
	Size         int64 // of a file without Text
	Data         []Data
	Xattrs       []Xattr
	ACL, DefACL  string
	Flags        uint32
}

// A Tree is a list of nodes, each directory before what is in it.
type Tree []Node

// NewNode returns a node with the default attributes.
func NewNode(kind Kind, name string) Node {
	n := Node{Kind: kind, Path: name, Mode: 0o644, UID: -1, GID: -1}
	if kind == Dir {
		n.Mode = 0o755
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	sum := h.Sum64()
	n.Sec = 1_000_000_000 + int64(sum>>40)
	n.Nsec = int64(sum%999_999_999) | 1
	return n
}

// Parse reads a tree.
func Parse(text string) (Tree, error) {
	var t Tree
	for i, line := range strings.Split(text, "\n") {
		words, err := split(line)
		if err == nil && len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			var n Node
			if n, err = parseNode(words); err == nil {
				t = append(t, n)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("parse line %d: %w", i+1, err)
		}
	}
	return t.withParents(), nil
}

// withParents adds the directories that no line names, before their first entry.
func (t Tree) withParents() Tree {
	seen := map[string]bool{".": true}
	var out Tree
	var add func(dir string)
	add = func(dir string) {
		if !seen[dir] {
			seen[dir] = true
			add(path.Dir(dir))
			out = append(out, NewNode(Dir, dir))
		}
	}
	for _, n := range t {
		add(path.Dir(n.Path))
		seen[n.Path] = true
		out = append(out, n)
	}
	return out
}

// split cuts a line into words. Quotes stay, for unquote.
func split(line string) (words []string, err error) {
	rest := strings.TrimSpace(line)
	for rest != "" && !(len(words) == 0 && rest[0] == '#') {
		word := ""
		for rest != "" && rest[0] != ' ' && rest[0] != '\t' {
			if rest[0] != '"' {
				word, rest = word+rest[:1], rest[1:]
				continue
			}
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, fmt.Errorf("unquote %s: %w", rest, err)
			}
			word, rest = word+quoted, rest[len(quoted):]
		}
		words = append(words, word)
		rest = strings.TrimLeft(rest, " \t")
	}
	return words, nil
}

func unquote(word string) (string, error) {
	if strings.HasPrefix(word, `"`) {
		return strconv.Unquote(word)
	}
	return word, nil
}

func parseNode(words []string) (Node, error) {
	kind := Kind(words[0])
	if len(words) < 2 {
		return Node{}, fmt.Errorf("%s without a path", kind)
	}
	name, err := unquote(words[1])
	if err != nil {
		return Node{}, err
	}
	if name == "" || path.IsAbs(name) || path.Clean(name) != name || name == ".." || strings.HasPrefix(name, "../") {
		return Node{}, fmt.Errorf("path %q leads out of the tree", name)
	}
	n := NewNode(kind, name)
	words = words[2:]
	switch kind {
	case Dir, File, FIFO, Socket:
	case Symlink, Hardlink, Char, Block:
		if len(words) == 0 {
			return Node{}, fmt.Errorf("%s %q without a target", kind, name)
		}
		if n.Target, err = unquote(words[0]); err != nil {
			return Node{}, err
		}
		words = words[1:]
		if kind == Char || kind == Block {
			if _, err = fmt.Sscanf(n.Target, "%d:%d", &n.Major, &n.Minor); err != nil {
				return Node{}, fmt.Errorf("device %q: %w", n.Target, err)
			}
			n.Target = ""
		}
	default:
		return Node{}, fmt.Errorf("unknown kind %q", kind)
	}
	for _, word := range words {
		if err := n.parseAttr(word); err != nil {
			return Node{}, err
		}
	}
	return n, nil
}

func (n *Node) parseAttr(word string) error {
	var err error
	odd := strings.HasPrefix(word, `"x:`) // the whole word is quoted, for an odd name
	if odd {
		if word, err = strconv.Unquote(word); err != nil {
			return err
		}
	}
	key, value, _ := strings.Cut(word, "=")
	if !odd {
		if value, err = unquote(value); err != nil {
			return err
		}
	}
	switch key {
	case "mode":
		_, err = fmt.Sscanf(value, "%o", &n.Mode)
	case "mtime":
		err = n.parseTime(value)
	case "uid":
		n.UID, err = strconv.Atoi(value)
	case "gid":
		n.GID, err = strconv.Atoi(value)
	case "text":
		n.Text = value
	case "size":
		n.Size, err = strconv.ParseInt(value, 10, 64)
	case "data":
		var d Data
		_, err = fmt.Sscanf(value, "%d:%d:%d", &d.Off, &d.Len, &d.Seed)
		n.Data = append(n.Data, d)
	case "acl":
		n.ACL = value
	case "defacl":
		n.DefACL = value
	case "flags":
		_, err = fmt.Sscanf(value, "%x", &n.Flags)
	default:
		name, ok := strings.CutPrefix(key, "x:")
		if !ok {
			return fmt.Errorf("unknown attribute %q", word)
		}
		n.Xattrs = append(n.Xattrs, Xattr{name, value})
	}
	if err != nil {
		return fmt.Errorf("attribute %q: %w", word, err)
	}
	return nil
}

func (n *Node) parseTime(value string) (err error) {
	sec, nsec, ok := strings.Cut(value, ".")
	if !ok || len(nsec) != 9 {
		return fmt.Errorf("want seconds and nine decimals")
	}
	if n.Sec, err = strconv.ParseInt(sec, 10, 64); err == nil {
		n.Nsec, err = strconv.ParseInt(nsec, 10, 64)
	}
	return err
}

func quote(s string) string {
	plain := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' || r == '#'
	})
	if plain {
		return s
	}
	return strconv.Quote(s)
}

// String writes the tree as Parse reads it.
func (t Tree) String() string {
	var b strings.Builder
	for _, n := range t {
		b.WriteString(n.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// String writes one line, without what is as NewNode has it.
func (n *Node) String() string {
	words := []string{string(n.Kind), quote(n.Path)}
	add := func(key, value string) { words = append(words, key+"="+quote(value)) }
	std := NewNode(n.Kind, n.Path)
	switch n.Kind {
	case Symlink, Hardlink:
		words = append(words, quote(n.Target))
	case Char, Block:
		words = append(words, fmt.Sprintf("%d:%d", n.Major, n.Minor))
	}
	if n.Mode != std.Mode {
		add("mode", fmt.Sprintf("%o", n.Mode))
	}
	if n.Sec != std.Sec || n.Nsec != std.Nsec {
		add("mtime", fmt.Sprintf("%d.%09d", n.Sec, n.Nsec))
	}
	if n.UID >= 0 {
		add("uid", strconv.Itoa(n.UID))
	}
	if n.GID >= 0 {
		add("gid", strconv.Itoa(n.GID))
	}
	for _, x := range n.Xattrs {
		if name := quote(x.Name); name == x.Name {
			add("x:"+x.Name, x.Value)
		} else {
			words = append(words, strconv.Quote("x:"+x.Name+"="+x.Value))
		}
	}
	if n.ACL != "" {
		add("acl", n.ACL)
	}
	if n.DefACL != "" {
		add("defacl", n.DefACL)
	}
	if n.Flags != 0 {
		add("flags", fmt.Sprintf("%x", n.Flags))
	}
	if n.Text != "" {
		add("text", n.Text)
	}
	if n.Size != 0 {
		add("size", strconv.FormatInt(n.Size, 10))
	}
	for _, d := range n.Data {
		add("data", fmt.Sprintf("%d:%d:%d", d.Off, d.Len, d.Seed))
	}
	return strings.Join(words, " ")
}

// Paths returns the paths of all nodes, sorted by bytes.
func (t Tree) Paths() []string {
	paths := make([]string, len(t))
	for i, n := range t {
		paths[i] = n.Path
	}
	slices.Sort(paths)
	return paths
}
