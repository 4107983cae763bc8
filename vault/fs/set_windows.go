package fs

import (
	"errors"
	"strings"

	"golang.org/x/sys/windows"

	"vaultik/vault/page"
)

// validHere reports whether path can be one here: no reserved character, no
// component that ends in a dot or a space.
func validHere(path string) bool {
	if path == "." {
		return true
	}
	if strings.ContainsAny(path, `<>:"\|?*`) {
		return false
	}
	for name := range strings.SplitSeq(path, "/") {
		if strings.TrimRight(name, ". ") != name {
			return false
		}
		for _, c := range []byte(name) {
			if c < ' ' {
				return false
			}
		}
	}
	return true
}

var (
	errOwner   = errors.New("owners from other systems have no meaning on this one")
	errSpecial = errors.New("there are no such files on this system")
	errNoXattr = errors.New("there are no extended attributes on this system")
)

func chown(string, uint32, uint32) error { return errOwner }

func setMtime(path string, e *page.Entry) error {
	if e.Path == "." && e.Mtime == (page.Time{}) { // what stands above the drives has none
		return nil
	}
	name, err := windows.UTF16PtrFromString(long(path))
	if err != nil {
		return err
	}
	h, err := windows.CreateFile(name, windows.FILE_WRITE_ATTRIBUTES,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil, windows.OPEN_EXISTING,
		windows.FILE_FLAG_BACKUP_SEMANTICS|windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		return err
	}
	defer func() { _ = windows.CloseHandle(h) }()
	mtime := fileTime(e.Mtime)
	var btime *windows.Filetime
	if e.Btime != (page.Time{}) {
		t := fileTime(e.Btime)
		btime = &t
	}
	return windows.SetFileTime(h, btime, nil, &mtime)
}

func fileTime(t page.Time) windows.Filetime {
	ticks := t.Sec*1e7 + int64(t.Nsec)/100 + to1601
	return windows.Filetime{LowDateTime: uint32(ticks), HighDateTime: uint32(ticks >> 32)}
}

// sameTime compares as finely as the file system does: 100 ns.
func sameTime(a, b page.Time) bool { return a.Sec == b.Sec && a.Nsec/100 == b.Nsec/100 }

func setXattr(string, string, []byte) error { return errNoXattr }

func removeXattr(string, string) error { return nil } // there are none to remove

func removable(string) bool { return false }

func mknod(string, *page.Entry) error { return errSpecial }

func syncAll(string) error { return nil } // no such call for those without privilege

func syncDir(string) error { return nil } // nor is there any for names
