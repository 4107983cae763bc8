package index

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// What must be free before Badger is let at the disk: its log (twice a memtable,
// mapped, filled as rows come), a table made of it, a little for the rest, and
// what a compaction may write before it deletes its inputs, which is
// never more than there is and about maxCompaction at most.
const (
	baseSpace     = 24 << 20
	maxCompaction = 72 << 20
)

// checkSpace returns ErrNoSpace unless the disk has room for work on tables of
// so many bytes.
func checkSpace(dir string, tables int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("ask for free space of %q: %w", dir, err)
	}
	free := int64(st.Bavail) * st.Bsize
	if need := baseSpace + min(tables, maxCompaction); free < need {
		return fmt.Errorf("%w: %q has %d MiB free, needs %d MiB", ErrNoSpace, dir, free>>20, need>>20)
	}
	return nil
}

// syncPath makes a file, or the names in a directory, durable.
func syncPath(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %q: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Fsync(fd); err != nil {
		return fmt.Errorf("sync %q: %w", path, err)
	}
	return nil
}
