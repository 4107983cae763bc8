// Package e2e holds tests of the built program as a whole: machines with a home
// each, which have nothing in common but stores and kits.
package e2e
