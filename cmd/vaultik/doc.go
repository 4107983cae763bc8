// Command vaultik makes encrypted, deduplicated backups and brings them back.
//
// It turns the command line into options of the engine, and the events of the engine into
// lines of text. cli.go is the table of contents; each command has a file
// of its own; [session] is what they share, and the sink of all events (show.go). What a
// command finds goes to stdout, everything else to stderr, both by [output]. Signals,
// standard input, exit codes and the memory limit belong to the process, and so they are
// handled here.
package main
