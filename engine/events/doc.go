// Package events is what jobs of Vaultik tell while they run, and when they end: one
// schema for whoever asked. The command line prints it as text, and with --json as
// objects, one a line, each with a type; docs/json.md is their schema. A field is never
// renamed or removed, new ones may come.
//
// Fields marked json:"-" are for those in the same process: what the words of the
// command line need beyond the schema. So are whole events, see [Local].
package events
