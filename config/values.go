package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"vaultik/vault/filter"
)

// text reads one plain value as the user wrote it.
func (l *loader) text(key string, v ast.Node) (string, error) {
	var s string
	switch n := v.(type) {
	case *ast.StringNode:
		s = n.Value
	case *ast.LiteralNode:
		s = strings.TrimRight(n.Value.Value, "\n")
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		s = v.GetToken().Value // a host may well be called 12 or true
	default:
		return "", l.fail(v, "%s must be text, not %s", key, kind(v))
	}
	if strings.TrimSpace(s) == "" {
		return "", l.fail(v, "%s is empty", key)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", l.fail(v, "%s contains control characters", key)
	}
	return s, nil
}

func (l *loader) number(key string, v ast.Node, low, high int) (int, error) {
	s, err := l.text(key, v)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, l.fail(v, "%s: %q is not a whole number", key, s)
	}
	if n < low || n > high {
		return 0, l.fail(v, "%s: %d is outside %d to %d", key, n, low, high)
	}
	return n, nil
}

// percent reads hundredths, such as 10%; 0 is 0%.
func (l *loader) percent(key string, v ast.Node, high int) (int, error) {
	s, err := l.text(key, v)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(s, "%"))
	if err != nil || n < 0 || n > high || n != 0 && !strings.HasSuffix(s, "%") {
		return 0, l.fail(v, "%s: %q is not between 0%% and %d%%", key, s, high)
	}
	return n, nil
}

func (l *loader) size(key string, v ast.Node, low, high int64) (int64, error) {
	s, err := l.text(key, v)
	if err != nil {
		return 0, err
	}
	n, err := ParseSize(s)
	if err != nil {
		return 0, l.fail(v, "%s: %v", key, err)
	}
	if n < low || n > high {
		return 0, l.fail(v, "%s: %s is outside %s to %s", key, s, FormatSize(low), FormatSize(high))
	}
	return n, nil
}

// path reads an absolute path; ~ and variables are expanded.
func (l *loader) path(key string, v ast.Node) (string, error) {
	s, err := "~", error(nil)
	if n, null := v.(*ast.NullNode); !null || n.GetToken().Value != "~" { // a bare ~ is null to YAML, home to people
		s, err = l.text(key, v)
	}
	if err != nil {
		return "", err
	}
	if s, err = expand(s); err != nil {
		return "", l.fail(v, "%s: %v", key, err)
	}
	if !filepath.IsAbs(s) {
		return "", l.fail(v, "%s: %q is not an absolute path; begin it with / or ~/", key, s)
	}
	return filepath.Clean(s), nil
}

// paths reads a list of paths.
func (l *loader) paths(key string, v ast.Node) ([]string, error) {
	items, err := l.list(key, v)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(items))
	for _, n := range items {
		p, err := l.path(key, n)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// patterns reads a list of patterns and checks each.
func (l *loader) patterns(key string, v ast.Node) ([]filter.Pattern, error) {
	items, err := l.list(key, v)
	if err != nil {
		return nil, err
	}
	var out []filter.Pattern
	for _, n := range items {
		switch n.(type) {
		case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
			return nil, l.fail(n, "%s: a pattern that begins with *, ! or & must be quoted, such as \"*.o\"", key)
		}
		s, err := l.text(key, n)
		if err != nil {
			return nil, err
		}
		s, err = expandPattern(s)
		if err != nil {
			return nil, l.fail(n, "%s: %v", key, err)
		}
		line := n.GetToken().Position.Line
		out = append(out, filter.Pattern{Text: s, Source: fmt.Sprintf("%s:%d", l.file, line)})
	}
	return out, nil
}

// expandPattern expands variables and a ~ that is the first component.
func expandPattern(s string) (string, error) {
	text, reason := filter.Expand(s, os.LookupEnv)
	if reason == "" {
		reason = filter.Check(text)
	}
	if reason != "" {
		return "", fmt.Errorf("pattern %q: %s", s, reason)
	}
	if !strings.HasPrefix(strings.TrimPrefix(s, "!"), "~") { // not one from a variable
		return text, nil
	}
	return ExpandHome(text)
}

func (l *loader) list(key string, v ast.Node) ([]ast.Node, error) {
	seq, ok := v.(*ast.SequenceNode)
	if !ok {
		return nil, l.fail(v, "%s must be a list of `- item` lines, not %s", key, kind(v))
	}
	if len(seq.Values) == 0 {
		return nil, l.fail(v, "%s is an empty list", key)
	}
	return seq.Values, nil
}

// kind names a node for a message, never with its content.
func kind(n ast.Node) string {
	switch n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a group of keys"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode, *ast.TagNode:
		return "an anchor, alias or tag, which are not supported here"
	default:
		return "a single value"
	}
}
