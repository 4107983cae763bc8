package arena

import "testing"

func TestArena_Make(t *testing.T) {
	var a Arena
	b, c := a.Make(1<<20), a.Make(3)
	b[1<<20-1], c[2] = 1, 2
	if len(b) != 1<<20 || cap(c) != 3 || a.Make(0) != nil {
		t.Errorf("%d %d", len(b), cap(c))
	}
	a.Close()
	defer func() {
		if recover() == nil {
			t.Error("Make after Close went on")
		}
	}()
	a.Make(1)
}

func TestArena_Free(t *testing.T) {
	var a Arena
	b, c := a.Make(1<<20), a.Make(1<<20)
	b[0], c[0] = 1, 2
	a.Free(b[:0]) // as a buffer that is given back
	a.Free(make([]byte, 10))
	a.Free(nil)
	if len(a.maps) != 1 || c[0] != 2 {
		t.Errorf("%d buffers are left", len(a.maps))
	}
	a.Close()
}
