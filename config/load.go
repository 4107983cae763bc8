package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"vaultik/vault/keys"
)

// Load reads and checks the configuration. A missing file is ErrMissing, any
// other problem names file and line.
func Load(file string) (*Config, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{File: file, Msg: "there is no configuration here", Err: ErrMissing,
			Hint: "make one with: vaultik init"}
	}
	if err != nil {
		return nil, &Error{File: file, Msg: "cannot be read: " + reason(err), Err: err,
			Hint: "look at its owner and mode with: ls -l " + Quote(file)}
	}
	return Parse(file, data)
}

// Parse is Load on bytes; file is only for messages.
func Parse(file string, data []byte) (*Config, error) {
	l := &loader{file: file, cfg: Default()}
	l.cfg.File = file
	if err := l.document(data); err != nil {
		return nil, err
	}
	if found, err := stateDirIn(file, data); err != nil || found != l.cfg.StateDir {
		return nil, l.failLine(l.line[stateDirKey], "%s must be a line of its own, at its beginning",
			stateDirKey)
	}
	return l.cfg, l.finish()
}

// byteOrderMark is how editors of Windows begin text.
var byteOrderMark = []byte("\xef\xbb\xbf")

// loader walks the YAML tree by hand: that gives every message its line.
type loader struct {
	file string
	cfg  *Config
	blob int64 // as written; 0: not written
	line map[string]int
	// firstLine is the number of the first line of what is read, 0 for that of the file.
	firstLine int
}

// keysOf lists the keys of the configuration in the order of the documentation.
func keysOf() []string {
	return []string{"storage_url", "age_recipients", "snapshots", retentionKey, "compression_level", "chunk_size",
		"blob_size", "parity", "compact_budget", "memory", "bwlimit", "connections",
		"parallel", "retry", "s3", "rclone", indexPathKey, stateDirKey, "hostname"}
}

func (l *loader) fail(n ast.Node, format string, args ...any) error {
	line := 0
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		line = n.GetToken().Position.Line
	}
	return l.failLine(line, format, args...)
}

func (l *loader) failLine(line int, format string, args ...any) error {
	if line > 0 && l.firstLine > 0 {
		line += l.firstLine - 1
	}
	return &Error{File: l.file, Line: line, Msg: fmt.Sprintf(format, args...), Err: ErrInvalid}
}

func (l *loader) document(data []byte) error {
	data = bytes.TrimPrefix(data, byteOrderMark)
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return &Error{File: l.file, Line: 1 + bytes.Count(data[:i], []byte("\n")), Err: ErrInvalid,
				Msg: fmt.Sprintf("byte 0x%02x is not UTF-8", data[i]),
				Hint: "save the file as UTF-8; a path of other bytes can be in a variable, " +
					"such as paths: [$NAME]"}
		}
		i += n
	}
	f, err := parser.ParseBytes(data, 0)
	if err != nil {
		var ye yaml.Error
		if errors.As(err, &ye) {
			line := 0
			if t := ye.GetToken(); t != nil && t.Position != nil {
				line = t.Position.Line
			}
			msg := ye.GetMessage()
			if strings.Contains(msg, "alias") || strings.Contains(msg, "anchor") {
				msg += "; a value that begins with * or & must be quoted"
			}
			return l.failLine(line, "not YAML: %s", msg)
		}
		return l.failLine(0, "not YAML: %v", err)
	}
	bodies := slices.DeleteFunc(f.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil })
	if len(bodies) == 0 {
		return l.fail(nil, "the file has no settings")
	}
	if len(bodies) > 1 {
		return l.fail(bodies[1].Body, "a second document begins here; one file holds one configuration")
	}
	l.line = map[string]int{}
	return l.mapping(bodies[0].Body, "the configuration", keysOf(), func(key string, v ast.Node) error {
		l.line[key] = v.GetToken().Position.Line
		return l.setting(key, v)
	})
}

// mapping calls fn for each key of a mapping; known nil means that any name is a key.
func (l *loader) mapping(n ast.Node, what string, known []string, fn func(key string, v ast.Node) error) error {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		return l.fail(n, "%s must be `key: value` lines, not %s", what, kind(n))
	}
	seen := map[string]bool{}
	for _, v := range values {
		key := v.Key.GetToken().Value
		if _, plain := v.Key.(ast.ScalarNode); !plain {
			return l.fail(v.Key, "%s: a key must be a plain word", what)
		}
		if known != nil && !slices.Contains(known, key) && looksSecret(key) {
			return l.fail(v.Key, "unknown key %q in %s; no secret belongs in this file", key, what)
		}
		if known != nil && !slices.Contains(known, key) {
			return l.fail(v.Key, "unknown key %q in %s; %s", key, what, didYouMean(key, known))
		}
		if seen[key] {
			return l.fail(v.Key, "key %q occurs twice in %s", key, what)
		}
		seen[key] = true
		if err := fn(key, v.Value); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) setting(key string, v ast.Node) (err error) {
	c := l.cfg
	switch key {
	case "storage_url":
		c.StorageURL, err = l.text(key, v)
	case "age_recipients":
		c.Recipients, err = l.recipients(v)
	case "snapshots":
		err = l.mapping(v, "snapshots", nil, l.set)
	case retentionKey:
		c.Retention, err = l.retention(retentionKey, v)
	case "compression_level":
		c.Compression, err = l.number(key, v, MinCompression, MaxCompression)
	case "chunk_size":
		c.ChunkSize, err = l.size(key, v, MinChunkSize, MaxChunkSize)
		if err == nil && c.ChunkSize&(c.ChunkSize-1) != 0 {
			err = l.fail(v, "chunk_size must be a power of two, such as 512KiB or 1MiB")
		}
	case "blob_size":
		l.blob, err = l.size(key, v, MinBlobSize, MaxBlobSize)
	case "compact_budget":
		c.Compact, err = l.size(key, v, 0, 1<<40)
	case "parity":
		c.Parity, err = l.percent(key, v, MaxParity)
	case "memory":
		c.Memory, err = l.size(key, v, MinMemory, 1<<40)
	case "bwlimit", "connections", "parallel", "retry", "s3", "rclone":
		err = l.storeSetting(key, v)
	case indexPathKey:
		c.IndexPath, err = l.path(key, v)
	case stateDirKey:
		c.StateDir, err = l.path(key, v)
	case "hostname":
		c.Hostname, err = l.text(key, v)
	}
	return err
}

func (l *loader) set(name string, v ast.Node) error {
	if name == "" {
		return l.fail(v, "a set in snapshots has an empty name")
	}
	s := Set{Name: name}
	where := fmt.Sprintf("snapshots: %s", name)
	err := l.mapping(v, where, append([]string{"paths", retentionKey}, filterKeys()...), func(key string, v ast.Node) (err error) {
		in := where + ": " + key
		switch key {
		case "paths":
			s.Paths, err = l.paths(in, v)
		case retentionKey:
			s.Retention, err = l.retention(in, v)
		default:
			err = l.filter(&s.Filters, key, in, v)
		}
		return err
	})
	if err == nil && len(s.Paths) == 0 {
		err = l.fail(v, "%s has no paths; write at least one, such as `paths: [~/Documents]`", where)
	}
	l.cfg.Sets = append(l.cfg.Sets, s)
	return err
}

func (l *loader) recipients(v ast.Node) (keys.Recipients, error) {
	items, err := l.list("age_recipients", v)
	if err != nil {
		return keys.Recipients{}, err
	}
	var list []string
	var all keys.Recipients
	for _, n := range items {
		s, err := l.text("age_recipients", n)
		if err != nil {
			return keys.Recipients{}, err
		}
		list = append(list, s)
		if all, err = keys.ParseRecipients(list); err != nil { // each time all: the line is that of the first that does not fit
			return keys.Recipients{}, &Error{File: l.file, Line: n.GetToken().Position.Line,
				Msg: "age_recipients: " + err.Error(), Err: errors.Join(ErrInvalid, err), Hint: recipientHint(err)}
		}
	}
	return all, nil
}

func recipientHint(err error) string {
	if errors.Is(err, keys.ErrSecretAsRecipient) {
		return "put the recipient (age1...) there and keep the secret off this machine"
	}
	return ""
}

// finish checks what needs more than one setting.
func (l *loader) finish() error {
	c := l.cfg
	if _, ok := l.line["storage_url"]; !ok {
		return l.failLine(0, "storage_url is missing")
	}
	var err error
	if c.StorageURL, err = expand(c.StorageURL); err != nil {
		return l.failLine(l.line["storage_url"], "storage_url: %v", err)
	}
	head, _, colon := strings.Cut(c.StorageURL, ":")
	if path := !colon || strings.Contains(head, "/") || filepath.VolumeName(c.StorageURL) != ""; path && !filepath.IsAbs(c.StorageURL) {
		return l.failLine(l.line["storage_url"], "storage_url: %q is neither a URL nor an absolute path", c.StorageURL)
	}
	if c.StorageURL, err = StoreURL(c.StorageURL); err != nil {
		return l.failLine(l.line["storage_url"], "storage_url: %v", err)
	}
	if c.Hostname == "" {
		if c.Hostname, err = os.Hostname(); err != nil || c.Hostname == "" {
			return l.failLine(0, "this machine has no host name; set hostname")
		}
	}
	want := l.blob
	if want == 0 {
		want = DefaultBlobSize
	}
	c.BlobSize = BlobSizeFor(want, c.Memory)
	if l.blob != 0 && c.BlobSize < l.blob {
		c.Warnings = append(c.Warnings, fmt.Sprintf(
			"%s:%d: blob_size %s is over a tenth of memory (%s); blobs of %d bytes are made instead",
			l.file, l.line["blob_size"], FormatSize(l.blob), FormatSize(c.Memory), c.BlobSize))
	}
	return nil
}
