// Package matrix holds every kind of store, on every server that can be had, to
// the whole contract: the suite of backendtest, then what only a place with a
// server, credentials or a path can show. Its test writes docs/conformance.md
// (go test ./internal/matrix -update) and fails where that is not what it saw.
// It has no code outside of tests.
package matrix
