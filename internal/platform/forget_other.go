//go:build !linux

package platform

import "os"

// HideEnv does nothing here, where no other process is shown the environment of this one.
func HideEnv(func(name string) bool) bool { return true }

// ForgetEnv removes a variable from the environment. It reports whether nothing
// is left of its value in memory, which here is only so if there was none.
func ForgetEnv(name string) bool {
	value := os.Getenv(name)
	_ = os.Unsetenv(name) // fails for impossible names only
	return value == ""
}
