package index

// What must be free before Badger is let at the disk: its log (twice a memtable,
// mapped, filled as rows come), a table made of it, a little for the rest, and
// what a compaction may write before it deletes its inputs, which is never more than
// there is, and about maxCompaction at most. On a disk where that is nothing, more
// is asked for: others fill it too, while a compaction runs.
const (
	baseSpace     = 24 << 20
	maxCompaction = 72 << 20
	largeDisk     = 8 << 30
	largeDiskFree = 256 << 20
)

// needSpace returns how many bytes must be free for an index with tables of so
// many bytes on a file system of so many.
func needSpace(tables, total int64) int64 {
	if total >= largeDisk {
		return largeDiskFree
	}
	return baseSpace + min(tables, maxCompaction)
}
