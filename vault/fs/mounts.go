package fs

import "fmt"

// Mounts maps device numbers to where they are mounted.
type Mounts map[uint64]string

// Of names the source of entries on a device: its mount point, which outlives a
// reboot, or the number where that is not known.
func (m Mounts) Of(dev uint64) string {
	if at, ok := m[dev]; ok {
		return at
	}
	return fmt.Sprintf("dev %d", dev)
}
