// Package testmount makes file systems in files and mounts them, for tests of what depends on
// the file system. Where root, a kernel's file system or a tool is missing, the test is
// skipped, and says what it misses.
package testmount
