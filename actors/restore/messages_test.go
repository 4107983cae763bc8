package restore

import (
	"testing"
)

func TestRestoreDir_Path(t *testing.T) {
	top := &restoreDir{Name: "."}
	a := &restoreDir{Name: "a", Parent: top}
	b := &restoreDir{Name: "bc", Parent: a}
	c := &restoreDir{Name: "d", Parent: b}
	for want, d := range map[string]*restoreDir{".": top, "a": a, "a/bc": b, "a/bc/d": c} {
		if got := d.Path(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
