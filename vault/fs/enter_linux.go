//go:build !portable

package fs

import "vaultik/vault/page"

// Enter opens the existing directory path for changes: to an unprivileged owner
// whom its mode bars from it, and to those who may clear flags that forbid them, as an
// earlier restore may have left it. SetDirMeta gives it mode and flags when all below is done.
func (t *Target) Enter(path string) error {
	d, err := t.openDir(path, true)
	if err != nil {
		return t.error("open", path, err)
	}
	defer d.release()
	n, err := openNode(d.fd, ".", page.Dir)
	if err != nil {
		return t.error("open", path, err)
	}
	defer n.close()
	_ = n.unlock() // where that is not possible, each change reports it
	return nil
}
