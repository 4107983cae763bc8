//go:build (!linux && !freebsd) || portable

package fs

import "fmt"

// identify knows only device numbers here. Where they change, ids do, and pages are made anew.
// On macOS f_fsid is made of the device number, too. A volume has a UUID, but of that only
// getattrlist tells, by its mount point, and that call cannot be tried here.
func identify(dev uint64, _ string) string { return fmt.Sprintf("dev %d", dev) }
