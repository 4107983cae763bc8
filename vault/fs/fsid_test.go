//go:build freebsd || portable

package fs

import "testing"

// The id of UFS and ZFS is the same after each start; what is counted from the start is no id.
func TestOwnID(t *testing.T) {
	for _, tt := range []struct {
		kind   string
		number uint32
		fsid   [2]int32
		want   string
	}{
		{"ufs", 53, [2]int32{0x5f000001, -2}, "ufs id fffffffe5f000001"},
		{"ufs", 53, [2]int32{0x35ff0007, 53}, ""},
		{"ufs", 53, [2]int32{}, ""},
		{"zfs", 222, [2]int32{-1, 0x123456de}, "zfs id 12345600ffffffff"},
		{"zfs", 9, [2]int32{-1, 0x12345609}, "zfs id 12345600ffffffff"},
		{"zfs", 9, [2]int32{}, ""},
		{"tmpfs", 135, [2]int32{0x35ff0007, 135}, ""},
		{"msdosfs", 50, [2]int32{117, 50}, ""},
	} {
		if got := ownID(tt.kind, tt.number, tt.fsid); got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}
