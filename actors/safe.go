package actors

import "runtime/debug"

// Safe calls fn. A panic in it is returned as a *PanicError: in a goroutine of ours
// it would end the process. What panicked is not to be called again.
func Safe(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return fn()
}
