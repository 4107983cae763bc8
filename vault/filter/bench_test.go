package filter

import (
	"fmt"
	"testing"
)

func workload() (patterns, paths []string) {
	patterns = []string{"*.o", "*.pyc", "*~", "node_modules", ".cache", "/proc", "/sys", "/home/*/.local/share/Trash", "foo/**/bar",
		"Thumbs.db", "*.tmp", "#*#", "core.[0-9]*", "/var/tmp", "target/debug", "**/build/**/obj", "a?c*d", "!keep.o"}
	for i := len(patterns); i < 50; i++ {
		switch i % 4 {
		case 0:
			patterns = append(patterns, fmt.Sprintf("*.ext%d", i))
		case 1:
			patterns = append(patterns, fmt.Sprintf("/home/user/dir%d/sub", i))
		case 2:
			patterns = append(patterns, fmt.Sprintf("tmp%d*", i))
		default:
			patterns = append(patterns, fmt.Sprintf("name%d", i))
		}
	}
	for i := range 1000 {
		paths = append(paths, fmt.Sprintf("home/user/projects/p%d/src/module%d/file%d.go", i%10, i%37, i))
	}
	return patterns, paths
}

func BenchmarkMatch(b *testing.B) {
	patterns, paths := workload()
	l := compile(b, Options{}, patterns...)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.MatchEntry(paths[i%len(paths)], false)
	}
}

func TestMatch_NoAllocation(t *testing.T) {
	patterns, paths := workload()
	l := compile(t, Options{}, patterns...)
	n := testing.AllocsPerRun(20, func() {
		for _, p := range paths {
			l.MatchEntry(p, false)
			l.MayMatchBelowEntry(p)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
