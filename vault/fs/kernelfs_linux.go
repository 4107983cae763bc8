package fs

import "golang.org/x/sys/unix"

// kernelFS are the file systems whose files the kernel makes up when they are read,
// or keeps for itself, by the numbers of linux/magic.h. There is nothing in them that could
// be put back. Not here: devtmpfs, which calls itself tmpfs, and autofs, below which are others.
var kernelFS = map[uint32]string{
	unix.PROC_SUPER_MAGIC:     "proc",
	unix.SYSFS_MAGIC:          "sysfs",
	unix.CGROUP_SUPER_MAGIC:   "cgroup",
	unix.CGROUP2_SUPER_MAGIC:  "cgroup2",
	unix.DEVPTS_SUPER_MAGIC:   "devpts",
	unix.DEBUGFS_MAGIC:        "debugfs",
	unix.TRACEFS_MAGIC:        "tracefs",
	unix.SECURITYFS_MAGIC:     "securityfs",
	unix.PSTOREFS_MAGIC:       "pstore",
	unix.EFIVARFS_MAGIC:       "efivarfs",
	unix.BPF_FS_MAGIC:         "bpf",
	unix.SELINUX_MAGIC:        "selinuxfs",
	unix.SMACK_MAGIC:          "smackfs",
	unix.BINFMTFS_MAGIC:       "binfmt_misc",
	unix.HUGETLBFS_MAGIC:      "hugetlbfs",
	unix.XENFS_SUPER_MAGIC:    "xenfs",
	unix.BINDERFS_SUPER_MAGIC: "binder",
	unix.RDTGROUP_SUPER_MAGIC: "resctrl",
	unix.OPENPROM_SUPER_MAGIC: "openpromfs",
	0x62656570:                "configfs",
	0x19800202:                "mqueue",
	0x65735543:                "fusectl",
	0x67596969:                "rpc_pipefs",
	0x6e667364:                "nfsd",
}

// kernelFSAt is the kernel's own file system that a directory is on, "" for any other.
func kernelFSAt(dir string) string {
	var s unix.Statfs_t
	if statfs(dir, &s) != nil {
		return ""
	}
	return kernelFS[uint32(s.Type)]
}
