//go:build !linux

package platform

// WithoutSignals runs fn; keeping signals from one thread is not offered here.
func WithoutSignals(fn func()) { fn() }
