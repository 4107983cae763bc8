package fs

import (
	"os"
	"unsafe"

	"golang.org/x/sys/windows"

	"vaultik/vault/page"
)

// readFlags open a file for reading.
const readFlags = os.O_RDONLY

// basicInfo is FILE_BASIC_INFO.
type basicInfo struct {
	creation, access, write, change int64 // 100 ns since 1601
	attributes                      uint32
	_                               uint32
}

// lstat describes what is at path, of which links and junctions are never followed.
func lstat(path string) (Stat, error) {
	name, err := windows.UTF16PtrFromString(long(path))
	if err != nil {
		return Stat{}, err
	}
	h, err := windows.CreateFile(name, windows.FILE_READ_ATTRIBUTES,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil, windows.OPEN_EXISTING,
		windows.FILE_FLAG_BACKUP_SEMANTICS|windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		return Stat{}, err
	}
	defer func() { _ = windows.CloseHandle(h) }()
	return statHandle(h)
}

func fstat(f *os.File) (Stat, error) { return statHandle(windows.Handle(f.Fd())) }

// long lets a path have more than 260 characters.
func long(path string) string {
	if len(path) < 240 {
		return path
	}
	return `\\?\` + path
}

func statHandle(h windows.Handle) (Stat, error) {
	var raw windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &raw); err != nil {
		return Stat{}, err
	}
	var basic basicInfo
	err := windows.GetFileInformationByHandleEx(h, windows.FileBasicInfo, (*byte)(unsafe.Pointer(&basic)), uint32(unsafe.Sizeof(basic)))
	if err != nil {
		return Stat{}, err
	}
	st := Stat{
		Type:  page.File,
		Mode:  0o644,
		Size:  int64(raw.FileSizeHigh)<<32 | int64(raw.FileSizeLow),
		Mtime: timeOf(basic.write),
		Ctime: timeOf(basic.change),
		Btime: timeOf(basic.creation),
		Dev:   uint64(raw.VolumeSerialNumber),
		Ino:   uint64(raw.FileIndexHigh)<<32 | uint64(raw.FileIndexLow),
		Nlink: uint64(raw.NumberOfLinks),
	}
	st.Blocks = st.Size
	switch {
	case raw.FileAttributes&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 && isLink(h):
		st.Type, st.Mode = page.Symlink, 0o777
	case raw.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0:
		st.Type, st.Mode, st.Nlink = page.Dir, 0o755, 1
	}
	if raw.FileAttributes&windows.FILE_ATTRIBUTE_READONLY != 0 && st.Type == page.File {
		st.Mode &^= 0o222
	}
	return st, nil
}

// isLink tells symbolic links and junctions from other reparse points: files of a
// cloud or compressed ones, whose contents are read like any other's.
func isLink(h windows.Handle) bool {
	var tag struct{ attributes, tag uint32 } // FILE_ATTRIBUTE_TAG_INFO
	err := windows.GetFileInformationByHandleEx(h, windows.FileAttributeTagInfo, (*byte)(unsafe.Pointer(&tag)), uint32(unsafe.Sizeof(tag)))
	return err == nil && (tag.tag == windows.IO_REPARSE_TAG_SYMLINK || tag.tag == windows.IO_REPARSE_TAG_MOUNT_POINT)
}

// to1601 is how many 100 ns lie between 1601 and 1970.
const to1601 = 116444736000000000

func timeOf(ticks int64) page.Time {
	ticks -= to1601
	sec, rest := ticks/1e7, ticks%1e7
	if rest < 0 {
		sec, rest = sec-1, rest+1e7
	}
	return page.Time{Sec: sec, Nsec: int32(rest * 100)}
}

// noFlags: what a page can hold are the inode flags of Linux, of which there are none here.
func readFlagsOf(string) (uint32, error) { return 0, nil }

func setFlagsOf(string, uint32) error { return nil }

// xattrs are none: alternate streams are not saved.
func xattrs(string, *AttrErrors) []page.Xattr { return nil }
