// Package platform is what the program asks of an operating system beyond package
// os, in the words of no particular one: locks, space, anonymous memory, the
// clock. Linux is where everything is tested; macOS, FreeBSD and Windows offer
// what they have, and say so where they have nothing.
package platform

import (
	"errors"
	"syscall"
	"time"
)

// ErrLocked says that another process holds a lock.
var ErrLocked = errors.New("locked by another process")

// NoSpace reports whether err says that a file system or a quota is full.
func NoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || noSpace(err)
}

// maxFileWait is the last and longest of the waits for a file to be closed; each is twice as
// long as the one before.
const maxFileWait = 512 * time.Millisecond

// Again makes a system call until no signal interrupts it. Where no more files may be open,
// it waits up to a second for one to be closed: most are open for milliseconds.
func Again(call func() error) error {
	for wait := time.Millisecond; ; {
		err := call()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
		case wait <= maxFileWait && (errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)):
			time.Sleep(wait)
			wait *= 2
		default:
			return err
		}
	}
}
