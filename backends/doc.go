// Package backends says what a place that keeps objects must do, and opens one by URL.
//
// An object is a named run of bytes that is written once and read many times. A
// key is its name: lowercase, slash-separated, relative ([CheckKey]). A backend is
// one kind of place (a directory, a bucket); a store is one such place, opened by
// [Open] from its URL through the kinds that were registered with [Register].
//
// The promises that the rest of the program builds on:
//
//   - Put is atomic: nobody ever sees a part of an object.
//   - Put that returned nil is durable and visible to every reader.
//   - Missing and unreadable are told apart: a backend that cannot look never
//     says that something is not there.
//   - Every error says what it is (the sentinels in this package) and whether it is
//     retryable ([OpError]).
//
// Package backendtest holds every backend to them; package faulty breaks them on
// purpose, for the tests of what stands above.
package backends
