package config

import (
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"vaultik/vault/retention"
)

// retentionKey is the key of rules that say which snapshots are kept.
const retentionKey = "retention"

const keepPrefix = "keep_"

// keepKeys are the rules as the configuration writes them.
func keepKeys() (out []string) {
	for _, name := range retention.Names() {
		out = append(out, keepKey(name))
	}
	return out
}

func keepKey(rule string) string { return keepPrefix + strings.ReplaceAll(rule, "-", "_") }

// retention reads a group of rules.
func (l *loader) retention(in string, v ast.Node) (retention.Policy, error) {
	policy := retention.Policy{}
	err := l.mapping(v, in, keepKeys(), func(key string, v ast.Node) error {
		in := in + ": " + key
		rule := strings.ReplaceAll(strings.TrimPrefix(key, keepPrefix), "_", "-")
		items := []ast.Node{v}
		if _, list := v.(*ast.SequenceNode); list && rule == "tag" {
			var err error
			if items, err = l.list(in, v); err != nil {
				return err
			}
		}
		for _, n := range items {
			text, err := l.text(in, n)
			if err != nil {
				return err
			}
			r, err := retention.ParseRule(rule, text)
			if err != nil {
				return l.fail(n, "%s: %v", in, err)
			}
			policy = append(policy, r)
		}
		return nil
	})
	if err == nil && len(policy) == 0 {
		err = l.fail(v, "%s has no rules; write at least one, such as `keep_daily: 7`", in)
	}
	if err == nil {
		if err = policy.Check(); err != nil {
			err = l.fail(v, "%s: %v", in, err)
		}
	}
	return policy, err
}

// policySettings are rules as [loader.retention] reads them.
func policySettings(p retention.Policy) (out []Setting) {
	var tags []string
	for _, r := range p {
		if len(r.Tags) > 0 {
			tags = append(tags, r.Value())
			continue
		}
		var value any = r.Value()
		if n, err := strconv.Atoi(r.Value()); err == nil {
			value = n
		}
		out = append(out, Setting{keepKey(r.Name()), value})
	}
	if len(tags) > 0 {
		out = append(out, Setting{keepKey("tag"), tags})
	}
	return out
}
