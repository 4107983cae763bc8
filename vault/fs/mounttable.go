package fs

import (
	"bufio"
	"os"
	"strings"
)

// mountTable is what the kernel says is mounted where, without asking those file systems.
// Empty where the system keeps no such table.
type mountTable struct {
	top     string                           // id of the mount that paths begin in
	below   map[string]map[string]mountPoint // by the id of the mount above, by path
	visible map[string]mountPoint            // by path, as in WalkItem: not under another mount
}

// mountPoint is one mount.
type mountPoint struct {
	id, source string // the source is the number of its device
	local      bool   // the kernel itself answers for it, from memory or a disk
}

// localTypes are file systems whose mount points can be looked at without a program or
// another machine that might refuse, fail or never answer. Any other type may be one of those.
var localTypes = map[string]bool{
	"ext2": true, "ext3": true, "ext4": true, "xfs": true, "btrfs": true, "bcachefs": true, "zfs": true,
	"f2fs": true, "jfs": true, "reiserfs": true, "nilfs2": true, "erofs": true, "squashfs": true,
	"vfat": true, "msdos": true, "exfat": true, "ntfs3": true, "hfs": true, "hfsplus": true,
	"iso9660": true, "udf": true, "ubifs": true, "jffs2": true, "overlay": true, "ecryptfs": true,
	"tmpfs": true, "ramfs": true, "rootfs": true, "devtmpfs": true, "hugetlbfs": true, "mqueue": true,
	"proc": true, "sysfs": true, "cgroup": true, "cgroup2": true, "devpts": true, "debugfs": true,
	"tracefs": true, "securityfs": true, "pstore": true, "efivarfs": true, "bpf": true,
	"selinuxfs": true, "smackfs": true, "binfmt_misc": true, "configfs": true, "fusectl": true,
	"binder": true, "resctrl": true, "xenfs": true, "nsfs": true,
}

func readMountTable() *mountTable {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return &mountTable{}
	}
	defer func() { _ = f.Close() }()
	return parseMounts(bufio.NewScanner(f))
}

// parseMounts reads lines such as
//
//	36 35 98:0 /root /mount/point rw,noatime shared:1 - ext4 /dev/sda1 rw
//
// in which any number of fields stands before the dash.
func parseMounts(lines *bufio.Scanner) *mountTable {
	t := &mountTable{below: map[string]map[string]mountPoint{}, visible: map[string]mountPoint{}}
	parents := map[string]string{}
	for lines.Scan() {
		head, tail, _ := strings.Cut(lines.Text(), " - ")
		fields, rest := strings.Fields(head), strings.Fields(tail)
		if len(fields) < 5 || len(rest) == 0 {
			continue
		}
		id, above := fields[0], fields[1]
		at := mountPoint{id, fields[2], localTypes[rest[0]]}
		if t.below[above] == nil {
			t.below[above] = map[string]mountPoint{}
		}
		t.below[above][entryPath(unescapeMount(fields[4]))] = at
		parents[id] = above
	}
	for _, above := range parents { // that of the first mount is not in the table
		if _, ok := parents[above]; !ok || parents[above] == above {
			t.top = above
			break
		}
	}
	for _, points := range t.below {
		for path := range points {
			if at, exact := t.resolve(path); exact {
				t.visible[path] = at
			}
		}
	}
	return t
}

// resolve follows a path from mount to mount, as the kernel does: what is mounted on a
// directory that another mount hides is not found. exact says that the path is itself a
// mount point.
func (t *mountTable) resolve(path string) (at mountPoint, exact bool) {
	at.id = t.top
	step := func(to string) {
		for exact = false; ; exact = true {
			next, ok := t.below[at.id][to]
			if !ok {
				return
			}
			above := at.id
			if at = next; at.id == above { // the first mount of all may stand on itself
				return
			}
		}
	}
	step(".")
	if path == "." {
		return at, exact
	}
	for i := range len(path) {
		if path[i] == '/' {
			step(path[:i])
		}
	}
	step(path)
	return at, exact
}

// source says what is mounted where path is; "" where that is not known.
func (t *mountTable) source(path string) string {
	at, _ := t.resolve(path)
	return at.source
}

// otherAt returns what is mounted at path, if that is certain to be another file system
// than source. A hit is looked up once more in a new table, since what has been unmounted
// since the walk began would be left out for nothing.
func (t *mountTable) otherAt(path, source string) *mountPoint {
	at, ok := t.visible[path]
	if !ok || source == "" || at.source == source {
		return nil
	}
	*t = *readMountTable()
	if at, ok = t.visible[path]; !ok || at.source == source {
		return nil
	}
	return &at
}

// Local reports whether the kernel itself answers for what is at an absolute path, so that
// looking at it cannot hang; true where that is not known. It touches nothing.
func Local(path string) bool {
	at, _ := readMountTable().resolve(entryPath(path))
	return at.source == "" || at.local
}

// KnownLocal reports whether an absolute path without links is known to be on a file system
// that neither another machine nor a program keeps. Where there is no table of mounts nothing
// is known. It touches nothing.
func KnownLocal(path string) bool {
	at, _ := readMountTable().resolve(entryPath(path))
	return at.source != "" && at.local
}
