package messages

import "testing"

func TestRestoreDir_Path(t *testing.T) {
	top := &RestoreDir{Name: "."}
	a := &RestoreDir{Name: "a", Parent: top}
	b := &RestoreDir{Name: "bc", Parent: a}
	c := &RestoreDir{Name: "d", Parent: b}
	for want, d := range map[string]*RestoreDir{".": top, "a": a, "a/bc": b, "a/bc/d": c} {
		if got := d.Path(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
