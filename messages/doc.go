// Package messages is what actors of all jobs say to each other: plain structs, immutable
// once sent unless a comment says otherwise. What is of one job only stands in the
// messages.go of that job.
//
// Commands are imperative (scanRoots), events past participles (leafScanned).
// A message that carries bytes says who owns them.
//
// Who sends which message to whom is in docs/actors.md, which is made of the code.
package messages
