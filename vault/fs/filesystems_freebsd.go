package fs

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// identify is what the file system of an entry calls itself: of UFS the id in its superblock,
// of ZFS that of the data set. The system tells those to root alone. Everything else goes by
// the number of its device.
func identify(dev uint64, path string) string {
	dir := path
	if st, err := lstat(path); err != nil || st.Type != page.Dir { // statfs follows links
		dir = filepath.Dir(path)
	}
	var fs unix.Statfs_t
	if st, err := lstat(dir); err != nil || st.Dev != dev || unix.Statfs(dir, &fs) != nil {
		return fmt.Sprintf("dev %d", dev)
	}
	if id := ownID(unix.ByteSliceToString(fs.Fstypename[:]), fs.Type, fs.Fsid.Val); id != "" {
		return id
	}
	return fmt.Sprintf("dev %d", dev)
}
