// Package actordoc reads the code of the jobs and draws from it the trees of their
// actors and the tables of their messages: docs/actors.md, the trees in
// docs/architecture.md and in the doc.go of each job. A test compares what is drawn with
// what is there, and writes it with -update.
//
// It fails on what it cannot tell, on a message that nobody sends or nobody receives,
// and where nothing is said of an actor or a message: its words are the first sentences
// of their comments.
package actordoc
