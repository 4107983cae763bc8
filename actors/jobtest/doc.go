// Package jobtest makes a host with a store in memory, for the tests of all jobs, and
// actors of it that panic or hang.
package jobtest
