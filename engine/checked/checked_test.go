package checked

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func mark(i int) Mark { return MarkOf(sha256.Sum256(fmt.Append(nil, i))) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, path string) *Log {
	t.Helper()
	l, err := Load(path)
	must(t, err)
	return l
}

// wantKnown fails unless just these are known, with the second that each was noted at.
func wantKnown(t *testing.T, l *Log, want map[int]int64) {
	t.Helper()
	for i := range 10 {
		at, ok := l.At(mark(i))
		if s, is := want[i]; ok != is || is && at.Unix() != s {
			t.Errorf("%d: %v, %v; want second %d, %v", i, at.Unix(), ok, s, is)
		}
	}
}

func TestLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	l := load(t, path)
	wantKnown(t, l, nil)
	if !l.Since().IsZero() || !l.Last().IsZero() {
		t.Error("a new log has begun before")
	}
	all := slices.Values([]Mark{mark(0), mark(1), mark(2), mark(3)})
	must(t, l.Begin(at(100), all))
	for i := range 4 {
		must(t, l.Note(mark(i), at(int64(101+i))))
	}
	// It is killed here. The next run finds what was noted, forgets what is no longer there,
	// and takes the later of two notes.
	l = load(t, path)
	wantKnown(t, l, map[int]int64{0: 101, 1: 102, 2: 103, 3: 104})
	if !l.Last().IsZero() {
		t.Error("a run that was killed was finished")
	}
	must(t, l.Begin(at(100), slices.Values([]Mark{mark(1), mark(2), mark(7)})))
	must(t, l.Note(mark(2), at(201)))
	must(t, l.Note(mark(7), at(202)))
	must(t, l.Finish(at(200)))
	must(t, l.Close())
	l = load(t, path)
	wantKnown(t, l, map[int]int64{1: 102, 2: 201, 7: 202})
	if l.Since() != at(100) || l.Last() != at(200) {
		t.Errorf("since %v, last %v", l.Since(), l.Last())
	}
	if n := len(slices.Collect(l.Marks())); n != 3 {
		t.Errorf("%d marks", n)
	}
}

// Whatever is wrong with the file costs what it says, and nothing else.
func TestLog_Damage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := load(t, path)
	now := time.Unix(1e9, 0)
	must(t, l.Begin(now, slices.Values([]Mark(nil))))
	for i := range 3 {
		must(t, l.Note(mark(i), now))
	}
	must(t, l.Close())
	whole, err := os.ReadFile(path)
	must(t, err)
	all := map[int]int64{0: 1e9, 1: 1e9, 2: 1e9}
	without := func(i int) map[int]int64 {
		return map[int]int64{(i + 1) % 3: 1e9, (i + 2) % 3: 1e9}
	}
	for _, c := range []struct {
		name string
		b    []byte
		want map[int]int64
	}{
		{"empty", nil, nil},
		{"torn at the end", whole[:len(whole)-1], without(2)},
		{"torn head", whole[:recordSize-1], nil},
		{"another file", append([]byte("x"), whole[1:]...), nil},
		{"a flipped bit", slices.Replace(slices.Clone(whole), 2*recordSize+3, 2*recordSize+4,
			whole[2*recordSize+3]^1), without(1)},
		{"a flipped time", slices.Replace(slices.Clone(whole), recordSize+17, recordSize+18,
			whole[recordSize+17]^1), without(0)},
		{"twice the same", append(slices.Clone(whole), whole[recordSize:]...), all},
	} {
		t.Run(c.name, func(t *testing.T) {
			must(t, os.WriteFile(path, c.b, 0o600))
			l := load(t, path)
			wantKnown(t, l, c.want)
			must(t, l.Begin(now, l.Marks()))
			must(t, l.Note(mark(9), now)) // not behind a torn record
			must(t, l.Close())
			if _, ok := load(t, path).At(mark(9)); !ok {
				t.Error("what was noted then is not there")
			}
		})
	}
}
