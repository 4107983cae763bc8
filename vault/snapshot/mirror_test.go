package snapshot

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"vaultik/vault/layout"
)

// chainOf makes manifests of one set, each by its number and a letter for its
// branch: "1a 2a 3b" continue from what the one before has, across the branches.
func chainOf(set byte, names ...string) (out []*Loaded) {
	sum := func(name string) Sum { return sha256.Sum256([]byte(name)) }
	for _, name := range names {
		var seq uint64
		var self, from string
		if _, err := fmt.Sscanf(name, "%d%1s<%s", &seq, &self, &from); err != nil && from != "" {
			panic(err)
		}
		m := &Manifest{Host: layout.HostID{1}, Set: layout.SetID{set}, Seq: seq}
		if seq > 1 {
			if from == "" {
				from = self
			}
			m.Prev = sum(fmt.Sprintf("%d%s", seq-1, from))
		}
		out = append(out, &Loaded{Manifest: m, Sum: sum(fmt.Sprintf("%d%s", seq, self))})
	}
	return out
}

func TestCheckMirror(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b []string
		fork bool
	}{
		{"nothing there", []string{"1a", "2a"}, nil, false},
		{"the same", []string{"1a", "2a"}, []string{"1a", "2a"}, false},
		{"behind", []string{"1a", "2a", "3a"}, []string{"1a"}, false},
		{"pruned here", []string{"3a", "4a"}, []string{"1a", "2a", "3a"}, false},
		{"pruned here, never copied", []string{"5a"}, []string{"1a", "2a"}, false},
		{"ahead", []string{"1a"}, []string{"1a", "2a"}, false},
		{"adjacent", []string{"3a"}, []string{"2a"}, false},
		{"another newest", []string{"1a", "2a"}, []string{"1a", "2b<a"}, true},
		{"another first", []string{"1a"}, []string{"1b"}, true},
		{"all others, further", []string{"1a", "2a", "3a"}, []string{"1a", "2b<a", "3b", "4b"}, true},
		{"continues from another", []string{"3a"}, []string{"2b"}, true},
		{"there continues from another", []string{"2a"}, []string{"3b"}, true},
		{"odd in itself, copied", []string{"1a", "2b", "3b"}, []string{"1a", "2b"}, false},
		{"a fork in one place, half of it in the other", []string{"1a", "2a", "2b<a"}, []string{"1a", "2b<a"}, false},
		{"a fork in one place, a third in the other", []string{"1a", "2a", "2b<a"}, []string{"1a", "2c<a"}, true},
	} {
		a, b := chainOf(1, c.a...), chainOf(1, c.b...)
		for _, swapped := range []bool{false, true} {
			err := CheckMirror(a, b)
			if c.fork != errors.Is(err, ErrFork) || !c.fork && err != nil {
				t.Errorf("%s, swapped %v: %v", c.name, swapped, err)
			}
			a, b = b, a
		}
		if err := CheckMirror(a, chainOf(2, c.b...)); err != nil {
			t.Errorf("%s, of different sets: %v", c.name, err)
		}
	}
}
