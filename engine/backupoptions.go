package engine

import (
	"io"
	"time"

	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/index"
)

// Sources of what a backup saves.
const (
	FromPaths  = ""                  // files and directories; the paths make it the same set again
	FromList   = config.SourceList   // paths of a list; the name makes it the same set again
	FromStream = config.SourceStream // no file: a stream, saved as one
)

// BackupOptions say what is to be saved.
type BackupOptions struct {
	Source string // FromPaths, FromList or FromStream
	// Absolute or relative; none: every set of the configuration, or Set. Of a stream the one path
	// that it has in the snapshot.
	Paths  []string
	Set    string // name; "" for the one that these paths had before, or one made of them
	Tags   []string
	Leave  config.Filters // beside those of the configuration
	Stream *Stream        // of FromStream

	ForceRead bool // also what the index knows

	// Init has a machine without a configuration set up, as Engine.Init does. Without it that
	// happens only if Attended, somebody is watching, and not under sudo for a user who has one.
	Init, Attended bool

	Wait time.Duration // for another process that writes as this host; 0: not at all

	DryRun   bool // nothing is written anywhere
	SameHost bool // this is the machine that host.json was made on, whatever its id
}

// Stream is where the content of a backup of no file comes from: the output of a
// program, or Reader.
type Stream struct {
	Reader  io.Reader // of a program, its standard input
	Command []string
}

// BackupResult is what a backup has done, also if it ended early.
type BackupResult struct {
	events.Totals
}

// backupJob is one backup, of all its sets.
type backupJob struct {
	*job
	o    BackupOptions
	conf *config.Config
	op   *opened
	ix   *index.Index

	several bool // this host has more than one set
	madeKit bool // in this run, which said what to do with it
}
