//go:build unix

package fs

import "os"

// native is the path that the system knows an absolute path by.
func native(path string) string { return path }

// drives are what stands above the trees of a system that has several: none here.
func drives() []string { return nil }

// absolute makes arg, which is not empty, absolute without resolving anything in it.
func absolute(arg string) (string, error) {
	if arg[0] == '/' {
		return arg, nil
	}
	wd, err := os.Getwd()
	return wd + "/" + arg, err
}

// readlink returns where the symbolic link at an absolute path leads.
func readlink(path string) (string, error) { return os.Readlink(path) }
