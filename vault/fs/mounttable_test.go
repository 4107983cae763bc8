package fs

import (
	"bufio"
	"strings"
	"testing"
)

// The table knows what is visible at a path: what another mount hides is not there.
func TestMountTable(t *testing.T) {
	table := parseMounts(bufio.NewScanner(strings.NewReader(`20 1 8:1 / / rw - ext4 /dev/sda1 rw
21 20 0:5 / /proc rw shared:1 master:2 - proc proc rw
22 20 8:2 / /home rw - ext4 /dev/sda2 rw
23 22 0:50 / /home/u/m\040x rw - fuse.sshfs host: rw
24 20 8:1 /data /srv rw - ext4 /dev/sda1 rw
25 24 0:60 / /srv/hidden rw - nfs4 host:/x rw
26 24 8:3 / /srv rw - xfs /dev/sdb1 rw
27 20 0:61 / /many rw - nfs4 host:/x rw
28 27 0:62 / /many rw - fuse.y y rw
a line of another kind
`)))
	for _, c := range []struct {
		path, source string
		local, point bool
	}{
		{".", "8:1", true, true},
		{"etc", "8:1", true, false},
		{"proc", "0:5", true, true},
		{"home", "8:2", true, true},
		{"home/u", "8:2", true, false},
		{"home/u/m x", "0:50", false, true},
		{"home/u/m x/deep", "0:50", false, false},
		{"srv", "8:3", true, true},
		{"srv/hidden", "8:3", true, false},
		{"many", "0:62", false, true},
	} {
		at, point := table.resolve(c.path)
		if at.source != c.source || at.local != c.local || point != c.point {
			t.Errorf("%s: %+v %v", c.path, at, point)
		}
		if _, ok := table.visible[c.path]; ok != c.point {
			t.Errorf("%s: listed as a mount point: %v", c.path, ok)
		}
	}
	for _, top := range []string{"1 1 0:1 / / rw - rootfs rootfs rw", "5 4 0:9 / / rw - overlay o rw\n6 5 0:1 / /x rw - nfs n rw"} {
		if got := parseMounts(bufio.NewScanner(strings.NewReader(top))).source("a/b"); got == "" {
			t.Errorf("%q: the file system of the root is not known", top)
		}
	}
	if got := (&mountTable{}).otherAt("a", ""); got != nil {
		t.Errorf("nothing is known, but %+v", got)
	}
}
