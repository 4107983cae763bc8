//go:build !linux || portable

package fs

import (
	"os"
	"runtime"

	"vaultik/vault/page"
)

const hasOwners = runtime.GOOS != "windows"

// attr is an attribute of what is at path; nil for none.
func (t *Target) attr(path string, _ page.Type, name string) ([]byte, error) {
	var bad AttrErrors
	for _, x := range xattrs(t.full(path), &bad) {
		if x.Name == name {
			return x.Value, nil
		}
	}
	if len(bad) > 0 {
		return nil, bad
	}
	return nil, nil
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

func (t *Target) keepsModes(string, *Stat) bool { return true }

// sameTime reports whether the mtime of what st describes is that of e.
func (t *Target) sameTime(_ string, st *Stat, e *page.Entry) bool {
	return sameTime(st.Mtime, e.Mtime)
}

// Unlinked reports whether a file has one name only because its file system has no hard links,
// which is not known here.
func (t *Target) Unlinked(string, *Stat) bool { return false }
