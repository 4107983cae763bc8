//go:build unix && (!linux || portable)

package fs

// native is the path that the system knows an absolute path by.
func native(path string) string { return path }

// drives are what stands above the trees of a system that has several: none here.
func drives() []string { return nil }
