package jobtest

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"testing"

	"vaultik/vault/filter"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
)

type ReadEntry struct {
	page.Entry
	Sum   string
	holes int64
}

func RandomPattern(r *rand.Rand) string {
	c := string(rune('a' + r.IntN(26)))
	all := []string{c + "*", "*" + c, "?" + c + "*", "*" + c + "*/", "!*" + c, "[" + c + "-z]*"}
	return all[r.IntN(len(all))]
}

func RandomRules(t *testing.T, r *rand.Rand) *filter.Rules {
	rules := &filter.Rules{Ignore: r.IntN(2) == 0}
	var texts []string
	for range r.IntN(4) {
		texts = append(texts, RandomPattern(r))
	}
	l, err := filter.Compile(filter.From("test", texts...), filter.Options{})
	Must(t, err)
	rules.After = []*filter.List{l}
	if r.IntN(3) == 0 {
		rules.Larger = filter.Limit{Bytes: r.Int64N(300), Source: "test"}
	}
	return rules
}

// Walked is what a walk by the rules finds, with the content of files.
func Walked(t *testing.T, rules *filter.Rules, dir string) map[string]ReadEntry {
	t.Helper()
	out := map[string]ReadEntry{}
	Must(t, vfs.Walk(t.Context(), []string{dir}, vfs.WalkOptions{Choose: rules.Walk(nil)},
		func(it vfs.WalkItem) error {
			e := ReadEntry{}
			e.Type = it.Stat.Type
			if e.Type == page.File {
				b, err := os.ReadFile("/" + it.Path)
				Must(t, err)
				sum := sha256.Sum256(b)
				e.Sum = hex.EncodeToString(sum[:])
			}
			out[it.Path] = e
			return it.Err
		}))
	return out
}
