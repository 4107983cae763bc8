package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/messages"
	"vaultik/vault/keys"
)

type backupCmd struct {
	Path []string `arg:"" optional:"" help:"Files and directories to back up (default: every set in the configuration)."`
	Set  string   `help:"Name of the set." placeholder:"NAME"`
	Tag  []string `help:"Tag of the snapshot; may be repeated." placeholder:"T"`
	listFlags
	streamFlags
	excludeFlags
	ForceRead  bool          `name:"force-read" help:"Read every file, also those that look unchanged; only what differs is stored."`
	DryRun     bool          `name:"dry-run" short:"n" help:"Change nothing; show what would be saved, with -v for each path."`
	Wait       time.Duration `help:"Wait up to this long for another backup or prune of this host to end, such as 30m." placeholder:"D"`
	Parallel   int           `help:"The same as --connections." placeholder:"N"`
	Init       bool          `name:"init" help:"Set up this machine, as vaultik init does, if it has no configuration yet; without a terminal nothing else does."`
	AllowEmpty bool          `name:"allow-empty" help:"Save directories as they are that were not empty when last saved and now are, or at which nothing is mounted any more."`
	SameHost   bool          `name:"same-host" help:"This is the machine that was backed up before, although its machine id is new (reinstalled, for example); remember it."`
}

// streamFlags are of backups whose content is in no file.
type streamFlags struct {
	Stdin        bool    `name:"stdin" help:"Back up standard input, as one file."`
	StdinCommand bool    `name:"stdin-command" help:"Run the command after -- and back up its output as one file; if it fails, no snapshot is made."`
	StdinName    *string `name:"stdin-name" help:"Path of that file in the snapshot (default: stdin)." placeholder:"NAME"`
}

func (f *streamFlags) streamed() bool { return f.Stdin || f.StdinCommand }

// listFlags name lists of paths.
type listFlags struct {
	FilesFrom  []string `sep:"none" name:"files-from" help:"Back up the paths listed in this file, one per line (-: standard input); may be repeated." placeholder:"FILE"`
	FilesFrom0 []string `sep:"none" name:"files-from0" help:"Like --files-from, with a NUL byte after each path, as find -print0 writes it." placeholder:"FILE"`
}

func (f *listFlags) listed() bool { return len(f.FilesFrom)+len(f.FilesFrom0) > 0 }

func (backupCmd) Help() string {
	return `Saves a snapshot of each set. A set is a named group of paths: paths that were
backed up before belong to the same set again, others to a new one. On a terminal, the
first backup on a machine without a configuration sets everything up, as vaultik init
does; elsewhere (cron, a service) only with --init.

Interrupt it once, and it finishes what is in progress; the next run resumes.

Paths can come from a list (--files-from), and data from a program or a pipe:

  vaultik backup --stdin-command --stdin-name db.sql -- pg_dump mydb

` + excludeHelp
}

func (c *backupCmd) Run(ctx context.Context, s *session) error {
	if s.identity != nil || !errors.Is(s.identityErr, keys.ErrNoIdentity) {
		s.identity, s.identityErr = nil, keys.ErrNoIdentity
		s.out.warn("leave "+keys.EnvIdentity+" out of the environment of backups",
			"%s is set, but a backup does not need the secret key; it was dropped",
			keys.EnvIdentity)
		if err := s.prepare(); err != nil {
			return err
		}
	}
	switch {
	case c.Wait < 0:
		return fault.Misuse("backup", "--wait: the time is negative")
	case c.Wait > 0 && c.DryRun:
		return fault.Misuse("backup",
			"--wait cannot be combined with --dry-run: a dry run waits for no other backup")
	}
	if err := atHome(c.Path); err != nil {
		return err
	}
	leave, err := c.filters()
	if err != nil {
		return err
	}
	o := engine.BackupOptions{Paths: c.Path, Set: c.Set, Tags: c.Tag, Leave: leave,
		DryRun: c.DryRun, SameHost: c.SameHost, ForceRead: c.ForceRead,
		AllowEmpty: c.AllowEmpty,
		Wait:       c.Wait, Init: c.Init, Attended: term.IsTerminal(int(os.Stdin.Fd())) ||
			term.IsTerminal(int(os.Stderr.Fd()))}
	if err := c.source(s, &o); err != nil {
		return err
	}
	if err := s.parallel(c.Parallel); err != nil {
		return err
	}
	s.item = s.savedItem
	if c.DryRun {
		s.item = s.wouldSaveItem
	}
	res, err := s.engine.Backup(ctx, o, s)
	s.sum.Totals = res.Totals
	return err
}

// source fills in where the data comes from, if not from paths. It does not need the
// configuration, so that a first backup with wrong flags is refused before it creates one.
func (c *backupCmd) source(s *session, o *engine.BackupOptions) error {
	switch {
	case c.streamed():
		return c.streamSource(s, o)
	case c.StdinName != nil:
		return fault.Misuse("backup", "--stdin-name needs --stdin or --stdin-command")
	case c.listed():
		return c.listSource(o)
	}
	return nil
}

// savedItem says what became of a path.
func (s *session) savedItem(e events.Item) {
	s.out.event(e)
	switch {
	case e.Status == string(messages.StatusExcluded):
		// A kernel file system: one note names all of them.
	case e.Reason != "":
		s.out.warn("", "%q: %s", e.Raw(), e.Reason)
	case s.out.verbose:
		s.out.detail("%s %q", e.Status, e.Raw())
	}
}

// wouldSaveItem says what would become of a path: of all of them with -v. With --json
// what is unchanged is left to -v, as in a backup.
func (s *session) wouldSaveItem(e events.Item) {
	if e.Status != string(messages.StatusUnchanged) || s.out.verbose {
		s.out.event(e)
	}
	if !s.out.verbose {
		return
	}
	line := fmt.Sprintf("%-9s  %s", e.Status, words.Printable(e.Raw()))
	if e.Reason != "" {
		line += "  (" + words.Printable(e.Reason) + ")"
	}
	s.out.result("%s", line)
}

func (s *session) showWouldSave(e events.WouldSave) {
	excluded := ""
	if e.Excluded > 0 {
		excluded = "; " + words.Count(e.Excluded) + " excluded, with everything below"
	}
	s.out.result(
		"would save %s: %s (%s new, %s changed, %s unchanged), %s to read%s; nothing was written",
		words.Printable(e.Set), words.Plural(e.Files, "file", "files"), words.Count(e.New),
		words.Count(e.Changed), words.Count(e.Unchanged), words.Size(e.BytesRead), excluded)
}
