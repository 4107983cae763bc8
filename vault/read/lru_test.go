package read

import "testing"

func TestLRU(t *testing.T) {
	l := newLRU[int, string](10)
	l.put(1, "one", 4)
	l.put(2, "two", 4)
	if v, ok := l.get(1); !ok || v != "one" {
		t.Error(v, ok)
	}
	l.put(3, "three", 4) // in place of 2, which was used longest ago
	if _, ok := l.get(2); ok {
		t.Error("2 is still there")
	}
	if _, ok := l.get(1); !ok {
		t.Error("1 is gone")
	}
	l.put(4, "large", 50)
	if _, ok := l.get(4); !ok || len(l.items) != 1 {
		t.Error("the newest is not kept alone", len(l.items))
	}
}
