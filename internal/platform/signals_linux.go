package platform

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// WithoutSignals runs fn on a thread that no signal interrupts: the kernel would
// write the registers to a stack, with whatever fn has in them, and the scheduler
// of Go interrupts often. Signals of faults still come, and all others reach
// other threads.
func WithoutSignals(fn func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, old unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	for _, s := range []unix.Signal{unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT} {
		// One word holds the signals of 1 to 32 everywhere.
		all.Val[0] &^= 1 << (s - 1)
	}
	if unix.PthreadSigmask(unix.SIG_SETMASK, &all, &old) == nil {
		defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil) }() // cannot fail when the other did not
	}
	fn()
}
