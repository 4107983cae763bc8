package chunk

import (
	"strings"
	"testing"

	"github.com/zeebo/blake3"
)

func TestHasher_IsKeyedBLAKE3(t *testing.T) {
	h := NewHasher(testKey)
	for _, n := range []int{0, 1, 64, 1024, 1025, 1 << 20} {
		data := randomBytes(8, n)
		want, _ := blake3.NewKeyed(testKey[:])
		_, _ = want.Write(data)
		got := h.ID(data)
		if string(want.Sum(nil)) != string(got[:]) {
			t.Fatalf("%d bytes: %s", n, got)
		}
		if NewHasher([32]byte{}).ID(data) == got {
			t.Fatalf("%d bytes: the key changes nothing", n)
		}
		if back, err := ParseID(got.String()); err != nil || back != got {
			t.Fatalf("%d bytes: %v, %v", n, back, err)
		}
	}
}

func TestParseID_Refuses(t *testing.T) {
	id := NewHasher(testKey).ID(nil).String()
	for _, s := range []string{"", "12", id[1:] + "x", strings.ToUpper(id)} {
		if _, err := ParseID(s); err == nil {
			t.Errorf("accepts %q", s)
		}
	}
}

func BenchmarkHasher(b *testing.B) {
	data, h := randomBytes(9, 1<<20), NewHasher(testKey)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		h.ID(data)
	}
}
