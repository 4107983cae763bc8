// Command vaultik makes encrypted, deduplicated backups and brings them back.
//
// This folder is words: it turns the command line into options of the engine, and what
// the engine tells into lines. cli.go is the table of contents; each command has a file
// of its own; [session] is what they share, and the sink of all events (show.go). What a
// command finds goes to stdout, everything said on the way to stderr, both by [output].
// Signals, standard input, exit codes and the limit of memory are of the process, and
// so they are here.
package main
