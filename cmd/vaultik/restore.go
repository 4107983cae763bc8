package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/messages"
)

type restoreCmd struct {
	Snapshot string   `arg:"" name:"snapshot[:path]" help:"First digits of a snapshot's id, or latest; with :PATH, restore the contents of PATH directly into DIR."`
	Path     []string `arg:"" optional:"" help:"Only these files and directories: absolute, or below the PATH of SNAPSHOT:PATH."`
	Target   string   `required:"" help:"Directory to restore to; created if it is missing." placeholder:"DIR"`
	DryRun   bool     `name:"dry-run" short:"n" help:"Change nothing; show what would be done, with -v for each path, and why."`
	pick
	Include      []string `sep:"none" help:"Restore only what matches, and everything below it; may be repeated." placeholder:"PATTERN"`
	Exclude      []string `sep:"none" help:"Exclude what matches; may be repeated." placeholder:"PATTERN"`
	Parallel     int      `help:"The same as --connections." placeholder:"N"`
	Overwrite    string   `enum:"if-changed,always,if-newer,never" default:"if-changed" help:"What to do with existing files: ${enum}." placeholder:"HOW"`
	InPlace      bool     `help:"Change existing files in place, only where they differ, instead of replacing them."`
	Verify       bool     `help:"Afterwards read everything back from the disk and compare it with the snapshot."`
	Delete       bool     `help:"Afterwards delete from the restored directories what is not in the snapshot; lists it and asks first."`
	Yes          bool     `help:"Delete without asking."`
	NoSpaceCheck bool     `help:"Start even if DIR has too little space or too few inodes."`
	NumericOwner bool     `help:"Set owners by number, even where their names are known here."`
	cacheFlag
}

func (restoreCmd) Help() string {
	return `Restores files as they were, below DIR with their full path; with SNAPSHOT:PATH the
contents of PATH directly in DIR. It needs the secret key in VAULTIK_AGE_SECRET_KEY.

  vaultik restore latest --target /tmp/back
  vaultik restore 4e1f09ab:/home/ann/Documents --target Documents

Files in DIR are kept, unless something with the same path is restored. Then they are
  if-changed  replaced if type, size or time differ, each in one step; if only the
              time differs, contents are compared, and kept if they are the same
  always      replaced, whatever their size and time
  if-newer    replaced if they are older than in the snapshot
  never       kept
Contents that a replaced file shares with the snapshot are not fetched. With --in-place a
file is changed where it stands, and only where it differs: for large files such as disk
images. It keeps its other names, unless they are other files of the snapshot. Until it is
complete it is one byte too long; rerun the same command to complete it.

--delete deletes what is not in the snapshot from the restored directories, after all the
rest, if the snapshot is complete and everything could be restored. It lists the files and
asks first (not with --yes). Excluded files are kept, whether excluded now or by the
backup, and so are mounted file systems, vaultik's own files, and stores.

Patterns match full paths: * and ? within a name, [a-z], ** for any number of
directories; a pattern with a leading / begins at the root, any other anywhere. ! before
a pattern reverses earlier matches.

If interrupted, rerun the same command to resume; after a power cut it compares existing
files. It exits 3 if something could not be restored as it was, and 13 if the snapshot
itself is damaged; everything else is restored.`
}

func (c *restoreCmd) Run(ctx context.Context, s *session) error {
	target := []string{c.Target}
	if err := atHome(target); err != nil {
		return err
	}
	c.Target = target[0]
	if err := c.checkDelete(); err != nil {
		return err
	}
	if err := s.parallel(c.Parallel); err != nil {
		return err
	}
	if err := s.cached(c.cacheFlag); err != nil {
		return err
	}
	o := engine.RestoreOptions{
		Snapshot: c.Snapshot, Pick: c.pick.engine(), Paths: c.Path, Target: c.Target,
		Include: c.Include, Exclude: c.Exclude, DryRun: c.DryRun,
		Overwrite: c.Overwrite, InPlace: c.InPlace, Verify: c.Verify,
		NoSpaceCheck: c.NoSpaceCheck, NumericOwner: c.NumericOwner, Delete: c.Delete,
	}
	if !c.Yes {
		o.Confirm = s.confirm
	}
	s.item, s.target = s.restoredItem, c.Target
	if c.DryRun {
		s.item = s.wouldRestoreItem
	}
	res, err := s.engine.Restore(ctx, o, s)
	s.sum.Totals = res.Totals
	return err
}

// checkDelete refuses a question that nobody could answer, before anything is read.
func (c *restoreCmd) checkDelete() error {
	if c.Yes && !c.Delete {
		return fault.Misuse("restore", "--yes needs --delete")
	}
	if c.Delete && !c.Yes && !c.DryRun && !term.IsTerminal(int(os.Stdin.Fd())) {
		return &fault.UsageError{Msg: "--delete asks before it deletes, but there is no terminal",
			Advice: "see what would be deleted: --dry-run -v; then add --yes"}
	}
	return nil
}

// confirm asks on the terminal whether that may be deleted.
func (s *session) confirm(d engine.Doomed) bool {
	for _, p := range d.First {
		s.out.say("  " + words.Printable(p))
	}
	if more := d.Files + d.Dirs - int64(len(d.First)); more > 0 {
		s.out.say(fmt.Sprintf("  and %s more; to list all: --dry-run -v", words.Count(more)))
	}
	return s.ask(fmt.Sprintf("delete %s not in snapshot %s from %s after the restore?",
		extrasText(d.Extras), d.Snapshot, words.Printable(d.Target)))
}

// ask asks on the terminal. Anything but yes is no.
func (s *session) ask(question string) bool {
	s.out.say(question + " [yes/no]")
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return err == nil && (answer == "yes" || answer == "y")
}

func extrasText(e events.Extras) string {
	var text []string
	if e.Files > 0 || e.Dirs == 0 {
		text = append(text, words.Plural(e.Files, "file", "files"))
	}
	if e.Dirs > 0 {
		text = append(text, words.Plural(e.Dirs, "directory", "directories"))
	}
	return strings.Join(text, " and ") + " (" + words.Size(e.Bytes) + ")"
}

// restoredItem says what became of an entry.
func (s *session) restoredItem(e events.Item) {
	s.out.event(e)
	switch {
	case e.Status == string(messages.StatusFailed):
		s.out.warn("", "%q: %s", words.Cut(e.Raw()), words.Cut(e.Reason))
	case e.Status == string(messages.StatusIgnored):
		s.out.note("skipped: %q: %s", e.Raw(), cmp.Or(e.Reason, "sockets are not restored"))
	case s.out.verbose:
		s.out.detail("%s %q", e.Status, e.Raw())
	}
}

// planWords are the states of a restore as a plan has them.
var planWords = map[messages.Status]string{
	messages.StatusRestored: "create", messages.StatusReplaced: "replace",
	messages.StatusChanged: "change", messages.StatusUnchanged: "skip",
	messages.StatusKept: "keep", messages.StatusIgnored: "ignore",
	messages.StatusFailed: "fail", messages.StatusDeleted: "delete",
}

// wouldRestoreItem says what would become of an entry: of each with -v, otherwise of
// those that fail.
func (s *session) wouldRestoreItem(e events.Item) {
	s.out.event(e)
	if e.Status == string(messages.StatusFailed) {
		s.out.warn("", "%q would not be restored: %s", e.Raw(), e.Reason)
	}
	if !s.out.verbose {
		return
	}
	line := fmt.Sprintf("%-7s  %s", planWords[messages.Status(e.Status)], words.Printable(e.Raw()))
	if e.Reason != "" {
		line += "  (" + words.Printable(e.Reason) + ")"
	}
	s.out.result("%s", line)
}
