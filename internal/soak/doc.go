// Package soak puts the program itself, as users run it, through what takes long:
// it kills backups and restores, measures what a backup of little change costs and
// how memory grows, runs out of space, and has the power fail. The tests run small versions of it,
// `make soak` the real ones; docs/measurements.md has what came out.
//
// A Machine is a host of its own in a directory: home, configuration, index, store.
// Nothing outside of it and of the directory a Run works in is written to.
package soak
