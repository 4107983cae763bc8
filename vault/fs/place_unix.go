//go:build unix

package fs

import "os"

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
