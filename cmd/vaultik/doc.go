// Command vaultik makes encrypted, deduplicated backups and brings them back.
//
// This folder turns words into messages and errors into words. cli.go is the
// table of contents; each command has a file of its own; [session] is what they
// share: places, configuration, output, the opened store. What a command finds
// goes to stdout, everything said on the way to stderr, both by [output].
// explain.go alone knows exit codes and hints.
package main
