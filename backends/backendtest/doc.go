// Package backendtest is the suite that every backend passes: in tests by [Run], in
// the program, against a user's own store, by [Check].
//
// What a kind of store cannot do is decided by its Capabilities, and then the
// suite checks that it says so; no case is left out. A [Profile] bounds what a
// store that costs money is asked to hold. Nothing here imports package testing:
// a case reports to a [T], for which *testing.T serves.
package backendtest
