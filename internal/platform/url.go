package platform

import (
	"path/filepath"
	"strings"
)

// URLPath is an absolute path as it stands in a file URL: with slashes, the first
// of them before the letter of a drive.
func URLPath(path string) string {
	if path = filepath.ToSlash(path); !strings.HasPrefix(path, "/") {
		return "/" + path
	}
	return path
}

// FilePath is the opposite: the path of the system that the path of a file URL names.
func FilePath(urlPath string) string {
	if len(urlPath) > 1 && filepath.VolumeName(filepath.FromSlash(urlPath[1:])) != "" {
		urlPath = urlPath[1:] // /C:/dir
	}
	return filepath.Clean(filepath.FromSlash(urlPath))
}
