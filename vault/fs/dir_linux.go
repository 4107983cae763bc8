//go:build !portable

package fs

import "io"

// linuxDir is the Dir of an open directory.
type linuxDir struct {
	d    *openDir
	path string
	st   *Stat
}

// Path implements Dir.
func (l *linuxDir) Path() string { return l.path }

// Stat implements Dir.
func (l *linuxDir) Stat() *Stat { return l.st }

// Has implements Dir.
func (l *linuxDir) Has(name string) bool { return l.d.names.has(name) }

// Lstat implements Dir.
func (l *linuxDir) Lstat(name string) (Stat, error) {
	st, err := Lstatat(l.d.fd, name)
	return st, pathError("lstat", l.abs(name), err)
}

// Open implements Dir.
func (l *linuxDir) Open(name string) (io.ReadCloser, Stat, error) {
	return reader(openFileAt(l.d.fd, name, l.abs(name), nil))
}

func (l *linuxDir) abs(name string) string { return "/" + join(l.path, name) }
