//go:build race

package s3

// The race detector reads the environment for itself when the process starts.
const copiesOfDetector = 1
