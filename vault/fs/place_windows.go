package fs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
)

// native is the path that the system knows an absolute path by: that of /C/Users
// starts with the letter of a drive and a colon. It is empty for "/", which stands
// above the drives.
func native(path string) string {
	drive, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if drive == "" {
		return ""
	}
	return drive + `:\` + filepath.FromSlash(rest)
}

// drives are the letters of the drives there are, in order.
func drives() []string {
	mask, err := windows.GetLogicalDrives()
	if err != nil {
		return nil
	}
	var letters []string
	for i := range 26 {
		if mask&(1<<i) != 0 {
			letters = append(letters, string(rune('A'+i)))
		}
	}
	return letters
}

// absolute makes arg, which is not empty, absolute, with the letter of its drive first.
func absolute(arg string) (string, error) {
	if strings.HasPrefix(arg, "/") && len(arg) > 2 && arg[2] == '/' {
		return arg, nil // ours already
	}
	abs, err := filepath.Abs(arg)
	if err != nil {
		return "", err
	}
	abs = strings.TrimPrefix(abs, `\\?\`)
	volume := filepath.VolumeName(abs)
	if len(volume) != 2 || volume[1] != ':' {
		return "", fmt.Errorf("%q is not on a drive with a letter; give it one: net use Z: %s", arg, volume)
	}
	return "/" + strings.ToUpper(volume[:1]) + filepath.ToSlash(abs[2:]), nil
}

// readlink returns where the symbolic link or junction at an absolute path leads,
// in our form where that is absolute.
func readlink(path string) (string, error) {
	target, err := os.Readlink(native(path))
	if err != nil {
		return "", err
	}
	if filepath.IsAbs(target) {
		return absolute(target)
	}
	return filepath.ToSlash(target), nil
}
