//go:build !race

package s3

const copiesOfDetector = 0
