// Package actors is the kit of which jobs are made: how a tree of actors is started and
// watched (system.go, job.go, supervision.go, watch.go), what runs beside it (aside.go),
// workers that may crash (pool.go), and what bounds their memory (budget.go). With the
// jobs it is the only folder that imports the actor library.
//
// Each job is a package of its own below this one, with its messages, and one tree.
// docs/actors.md draws all of them, and lists who sends which message to whom; it is
// made of the code, as are the trees in the comments on the jobs.
//
// Mailboxes have no bound, so every edge that carries more than a few messages has a
// credit; the comment on each job lists them.
package actors
