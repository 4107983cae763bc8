package commit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"vaultik/vault/commit"
)

// script is a store that does what it is told, word by word, and notes what it was asked. A
// word is a letter for the method, then what it answers, then, behind "+", the minutes that it
// takes: "P" publishes at once, "P-+11" does not within eleven minutes.
//
//	M       nothing is missing       M2      two blobs are
//	W       lists and root are there L       listed
//	H       the manifest is whole    H-      it is not
//	P       published                P-      not published
//	G       the gc object is heeded  G-      there is a newer one
//	...!err instead of all that: it fails
type script struct {
	t      *testing.T
	words  []string
	now    time.Duration
	listed time.Duration
	within []time.Duration // of each Publish
}

var errScript = errors.New("from the script")

// next takes the next word, which has to be of this method.
func (s *script) next(method string) (answer string, err error) {
	s.t.Helper()
	if len(s.words) == 0 || !strings.HasPrefix(s.words[0], method) {
		s.t.Fatalf("%s is called, the script goes on with %q", method, s.words)
	}
	word, minutes, _ := strings.Cut(s.words[0][1:], "+")
	s.words = s.words[1:]
	if minutes != "" {
		var n float64
		if _, err := fmt.Sscan(minutes, &n); err != nil {
			s.t.Fatal(err)
		}
		s.now += time.Duration(n * float64(time.Minute))
	}
	if strings.HasSuffix(word, "!err") {
		return "", errScript
	}
	return word, nil
}

func (s *script) Age() time.Duration { return s.now - s.listed }

func (s *script) List() error {
	at := s.now
	_, err := s.next("L")
	s.listed = at
	return err
}

func (s *script) Missing() (n int, err error) {
	answer, err := s.next("M")
	if answer != "" {
		_, err = fmt.Sscan(answer, &n)
	}
	return n, err
}

func (s *script) Write() error {
	_, err := s.next("W")
	return err
}

func (s *script) Whole() (bool, error) {
	answer, err := s.next("H")
	return answer == "", err
}

func (s *script) Publish(within time.Duration) (bool, error) {
	s.within = append(s.within, within)
	answer, err := s.next("P")
	return answer == "", err
}

func (s *script) Heeded() (bool, error) {
	answer, err := s.next("G")
	return answer == "", err
}

// TestRun: in which order a snapshot is made, whatever happens meanwhile.
func TestRun(t *testing.T) {
	const late = "than 10m0s to accept the manifest, or lost what it names, 3 times"
	tests := []struct {
		name    string
		listed  float64 // minutes ago, when it begins
		script  string
		missing int
		fails   string
		within  []float64 // minutes that each Publish had
	}{
		{name: "a short run", listed: 1, script: "M W P G", within: []float64{9}},
		{name: "just short enough", listed: 2, script: "M W P G", within: []float64{8}},
		{name: "a long run lists last", listed: 2.1, script: "M W L M H P G", within: []float64{10}},
		{name: "lists and root took long", script: "M W+3 L M H P G", within: []float64{10}},
		{name: "what listing takes counts", listed: 60, script: "M W L+4 M+1 H+1 P G", within: []float64{4}},

		{name: "missing before", script: "M2", missing: 2},
		{name: "missing after lists and root", listed: 60, script: "M W L M3", missing: 3},
		{name: "a list is gone", listed: 60, script: "M W L M H- M W P G", within: []float64{10}},
		{name: "a list is gone each time", listed: 60, script: "M W L M H- M W+3 L M H- M W+3 L M H-", fails: late},

		{name: "listing, then sleep", listed: 60, script: "M W L M H+4380 M W L M H P G", within: []float64{10}},
		{name: "listing that takes too long each time", listed: 60,
			script: "M W L+11 M H M W L+11 M H M W L+11 M H", fails: late},

		{name: "acknowledged at the last moment", script: "M W P+10 G", within: []float64{10}},
		{name: "acknowledged late, all there", script: "M W P+10.1 L M H", within: []float64{10}},
		{name: "late, blobs gone", script: "M W P+4380 L M7", missing: 7, within: []float64{10}},
		{name: "late, a list gone", script: "M W P+4380 L M H- M W P G", within: []float64{10, 10}},
		{name: "late, and late again", script: "M W P+4380 L+1 M H- M W P+9.5 L M H", within: []float64{10, 9}},
		{name: "late and broken each time", script: "M W P+11 L M H- M W P+11 L M H- M W P+11 L M H-",
			fails: late, within: []float64{10, 10, 10}},
		{name: "not acknowledged", script: "M W P-+10 M W L M H P G", within: []float64{10, 10}},
		{name: "never acknowledged", script: "M W P-+10 M W L M H P-+10 M W L M H P-+10", fails: late,
			within: []float64{10, 10, 10}},

		{name: "prune has gone on, all there", script: "M W P G- L M H", within: []float64{10}},
		{name: "prune has gone on, the root gone", script: "M W P G- L M H- M W P G", within: []float64{10, 10}},
		{name: "prune has gone on, blobs gone", script: "M W P G- L M1", missing: 1, within: []float64{10}},

		{name: "the index fails", script: "M!err", fails: errScript.Error()},
		{name: "the store fails for lists", script: "M W!err", fails: errScript.Error()},
		{name: "for the listing", listed: 60, script: "M W L!err", fails: errScript.Error()},
		{name: "for blobs", listed: 60, script: "M W L M!err", fails: errScript.Error()},
		{name: "for lists by name", listed: 60, script: "M W L M H!err", fails: errScript.Error()},
		{name: "for the manifest", script: "M W P!err", fails: errScript.Error(), within: []float64{10}},
		{name: "for the next gc object", script: "M W P G!err", fails: errScript.Error(), within: []float64{10}},
		{name: "after a late one", script: "M W P+11 L!err", fails: errScript.Error(), within: []float64{10}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			s := &script{t: t, words: strings.Fields(c.script),
				listed: -time.Duration(c.listed * float64(time.Minute))}
			missing, err := commit.Run(s)
			if missing != c.missing {
				t.Errorf("%d missing, want %d", missing, c.missing)
			}
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("error %v, want %q", err, c.fails)
			}
			if len(s.words) > 0 {
				t.Errorf("it ends before %q", s.words)
			}
			var within []float64
			for _, d := range s.within {
				within = append(within, d.Minutes())
			}
			if fmt.Sprint(within) != fmt.Sprint(c.within) {
				t.Errorf("published within %v minutes, want %v", within, c.within)
			}
		})
	}
}
