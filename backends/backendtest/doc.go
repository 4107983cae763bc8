// Package backendtest is the suite that every backend passes, see [Run].
//
// What a kind of store cannot do is decided by its Capabilities, and then the
// suite checks that it says so; no case is left out.
package backendtest
