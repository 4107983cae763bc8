// Package platform is what the program asks of an operating system beyond package
// os, in the words of no particular one: locks, space, anonymous memory, the
// clock. Linux is where everything is tested; macOS, FreeBSD and Windows offer
// what they have, and say so where they have nothing.
package platform

import (
	"errors"
	"syscall"
)

// ErrLocked says that another process holds a lock.
var ErrLocked = errors.New("locked by another process")

// NoSpace reports whether err says that a file system or a quota is full.
func NoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || noSpace(err)
}

// Again makes a system call until no signal interrupts it.
func Again(call func() error) error {
	for {
		if err := call(); err == nil || !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
