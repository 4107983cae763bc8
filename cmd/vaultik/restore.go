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
	Snapshot string   `arg:"" name:"snapshot[:path]" help:"Digits of a snapshot's id, or latest; with :PATH the contents of PATH come directly into DIR."`
	Path     []string `arg:"" optional:"" help:"Only these files and directories: absolute, or below the PATH of SNAPSHOT:PATH."`
	Target   string   `required:"" help:"Directory to restore to; made if it is missing." placeholder:"DIR"`
	DryRun   bool     `name:"dry-run" short:"n" help:"Change nothing anywhere; say what would be done, with -v of each path, and why."`
	pick
	Include      []string `sep:"none" help:"Only what matches, with all below it; may be repeated." placeholder:"PATTERN"`
	Exclude      []string `sep:"none" help:"Leave out what matches; may be repeated." placeholder:"PATTERN"`
	Parallel     int      `help:"The same as --connections." placeholder:"N"`
	Overwrite    string   `enum:"if-changed,always,if-newer,never" default:"if-changed" help:"What becomes of files that are there: ${enum}." placeholder:"HOW"`
	InPlace      bool     `help:"Change files that differ where they stand, instead of replacing them in one step."`
	Verify       bool     `help:"Then read everything back from the disk and compare it with the snapshot."`
	Delete       bool     `help:"Then delete from the restored directories what the snapshot has not; it lists and asks before."`
	Yes          bool     `help:"Delete without asking."`
	NoSpaceCheck bool     `help:"Begin even if DIR has too little space or too few inodes."`
	NumericOwner bool     `help:"Take owners by number, also where their names are known here."`
}

// Help is shown by --help.
func (restoreCmd) Help() string {
	return `Brings files back as they were. Under DIR they stand with their full path; the
contents of PATH of SNAPSHOT:PATH stand directly in DIR. It needs the secret key in
VAULTIK_AGE_SECRET_KEY.

  vaultik restore latest --target /tmp/back
  vaultik restore 4e1f09ab:/home/ann/Documents --target Documents

What is in DIR already stays, unless something of the same path is restored:
  if-changed  replaced if type, size or time differ, each in one step; where only
              the time differs, the contents are compared, and stay if they are right
  always      replaced, whatever size and time say
  if-newer    replaced if it is older than what the snapshot has
  never       left alone
What a file that is replaced has already of the snapshot's contents is not fetched. With
--in-place it is not replaced but changed where it stands, and only where it differs: for
large files such as disk images. It keeps its other names, but those that are other files
of the snapshot. Until it is complete it is one byte too long; the same command completes it.

With --delete what the snapshot has not goes from the directories that it restores, when
all the rest is done: if the snapshot is complete and everything could be restored. It
lists and asks first (--yes: not). What patterns exclude stays, and what the backup's own
rules left out, other file systems that are mounted there, vaultik's own files, and stores.

Patterns match full paths: * and ? within a name, [a-z], ** for any number of
directories; a pattern with a leading / begins at the root, any other anywhere. ! before
a pattern takes back what those before it matched.

Interrupted, the same command goes on where it was; after a power cut it compares what is
there. It exits 3 if something could not be restored as it was, and 13 if the snapshot
itself is damaged; all else is restored.`
}

// Run restores.
func (c *restoreCmd) Run(ctx context.Context, s *session) error {
	if err := c.checkDelete(); err != nil {
		return err
	}
	if err := s.parallel(c.Parallel); err != nil {
		return err
	}
	o := engine.RestoreOptions{
		Snapshot: c.Snapshot, Pick: c.pick.engine(), Paths: c.Path, Target: c.Target,
		Include: c.Include, Exclude: c.Exclude,
		DryRun: c.DryRun, Overwrite: c.Overwrite, InPlace: c.InPlace, Verify: c.Verify,
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
		return fault.Misuse("restore", "--yes means nothing without --delete")
	}
	if c.Delete && !c.Yes && !c.DryRun && !term.IsTerminal(int(os.Stdin.Fd())) {
		return &fault.UsageError{Msg: "--delete asks before it deletes, and there is no terminal to ask on",
			Advice: "see what would go with --dry-run -v; then add --yes"}
	}
	return nil
}

// confirm asks on the terminal whether that may be deleted. Anything but yes is no.
func (s *session) confirm(d engine.Doomed) bool {
	for _, p := range d.First {
		s.out.say("  " + words.Printable(p))
	}
	if more := d.Files + d.Dirs - int64(len(d.First)); more > 0 {
		s.out.say(fmt.Sprintf("  and %s more: --dry-run -v lists all", words.Count(more)))
	}
	s.out.say(fmt.Sprintf("delete %s, which snapshot %s has not, from %s when all is restored? [yes/no]",
		extrasText(d.Extras), d.Snapshot, words.Printable(d.Target)))
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
		s.out.note("not restored: %q: %s", e.Raw(), cmp.Or(e.Reason,
			"a socket, which only its server can make"))
	case s.out.verbose:
		s.out.detail("%s %q", e.Status, e.Raw())
	}
}

// planWords are the states of a restore as a plan has them.
var planWords = map[messages.Status]string{
	messages.StatusRestored: "create", messages.StatusReplaced: "replace",
	messages.StatusChanged:   "change",
	messages.StatusUnchanged: "skip", messages.StatusKept: "keep", messages.StatusIgnored: "ignore",
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
