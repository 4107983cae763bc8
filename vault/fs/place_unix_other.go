//go:build unix && (!linux || portable)

package fs

// native is the path that the system knows an absolute path by.
func native(path string) string { return path }

// drives are the roots of a system that has several trees: none here.
func drives() []string { return nil }
