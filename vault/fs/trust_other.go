//go:build !linux || portable

package fs

import (
	"os"
	"runtime"

	"vaultik/vault/page"
)

const hasOwners = runtime.GOOS != "windows"

// attr is an attribute of what is at path; nil for none.
func (t *Target) attr(path string, kind page.Type, name string) ([]byte, error) {
	all, err := xattrs(t.full(path), kind)
	for i := range all {
		if all[i].Name == name {
			return all[i].Value, nil
		}
	}
	return nil, err
}

// takeOver is the change that TakeOver makes.
func (t *Target) takeOver(path string, foreign bool, _ *Stat, mode uint32) error {
	full := t.full(path)
	if foreign {
		if err := os.Lchown(full, int(t.euid), -1); err != nil {
			return t.error("take over", path, err)
		}
		mode = 0o700
	}
	return t.error("take over", path, chmod(full, mode))
}

// ownsAll is asked for file systems without owners, which only Linux is known to mount.
func (t *Target) ownsAll(string, *Stat) bool { return false }
