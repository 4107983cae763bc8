// Package faulty breaks a backend on purpose, by a script: which call, and what
// happens to it. For the tests of everything that stands on backends.
//
//	b := faulty.New(mem.New(),
//		faulty.Rule{Op: faulty.Put, Key: "h/", Nth: 3, Do: faulty.FailAfter(errLost)},
//		faulty.Rule{Op: faulty.Get, Do: faulty.Flip(100)},
//	)
package faulty
