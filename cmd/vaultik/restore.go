package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"vaultik/actors"
	"vaultik/actors/restore"
	"vaultik/config"
	"vaultik/internal/platform"
	"vaultik/messages"
	"vaultik/vault/filter"
	"vaultik/vault/page"
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
	include, err := patterns("--include", c.Include)
	if err != nil {
		return err
	}
	exclude, err := patterns("--exclude", c.Exclude)
	if err != nil {
		return err
	}
	if err := c.checkDelete(); err != nil {
		return err
	}
	if c.Verify && c.DryRun {
		return &usageError{msg: "--verify does not go with --dry-run: nothing is restored that could be read back", command: "restore"}
	}
	if c.InPlace && c.Overwrite == string(restore.OverwriteNever) {
		return &usageError{msg: "--in-place does not go with --overwrite never: nothing would be changed", command: "restore"}
	}
	if c.InPlace && c.Overwrite == string(restore.OverwriteIfNewer) {
		return &usageError{msg: "--in-place does not go with --overwrite if-newer: a file that an interruption leaves changed in part would be the newer one", command: "restore"}
	}
	if c.Verify && c.Overwrite != string(restore.OverwriteIfChanged) && c.Overwrite != string(restore.OverwriteAlways) {
		return &usageError{msg: "--verify does not go with --overwrite " + c.Overwrite + ": files that are kept may differ from the snapshot", command: "restore"}
	}
	parallel, memory, err := s.settings(c.Parallel)
	if err != nil {
		return err
	}
	s.target = c.Target
	r, err := s.openSnapshot(ctx, c.Snapshot, c.pick)
	if err != nil {
		return err
	}
	defer r.Close()
	paths, err := c.paths(ctx, s, r)
	if err != nil {
		return err
	}
	target, err := c.target(r)
	if err != nil {
		return err
	}
	spec := &restore.Spec{
		Store: r.Backend, Root: r.root, Identities: r.ids,
		Target: target, From: r.from, Paths: paths,
		Overwrite: restore.Overwrite(c.Overwrite), InPlace: c.InPlace, NumericOwner: c.NumericOwner,
		NoSpaceCheck: c.NoSpaceCheck,
		Parallel:     parallel, Memory: memory, Progress: &messages.Progress{},
		Warn: func(text string) { s.out.warn("", "%s", text) },
	}
	spec.Include, spec.Exclude = selection(include, exclude)
	spec.Chosen = fmt.Sprintf("%q %q", c.Include, c.Exclude)
	spec.OnItem = s.restoreItem
	system := actors.NewSystem(nil)
	defer system.Close()
	del, err := c.newDeletion(s, r, system, spec)
	if err != nil {
		return err
	}
	if err := del.list(ctx); err != nil {
		return err
	}
	if c.DryRun {
		return c.dryRun(ctx, s, r, system, spec, del)
	}
	spec.Progress = &messages.Progress{}
	stop := s.showProgress(spec.Progress)
	res, err := restore.Run(ctx, system, spec)
	stop()
	if full := (*restore.SpaceError)(nil); errors.As(err, &full) {
		return &noRoom{full}
	}
	if pe := (*fs.PathError)(nil); res == nil && errors.As(err, &pe) && within(pe.Path, target) {
		return &badTarget{target, err} // it could not be made
	}
	left := del.run(ctx, res, err)
	if err = c.report(ctx, s, r, res, err); err == nil {
		err = left
	}
	if !c.Verify || err != nil && !errors.As(err, new(*partial)) {
		return err
	}
	return errors.Join(err, c.readBack(ctx, s, system, spec))
}

// readBack compares what the target holds with the snapshot.
func (c *restoreCmd) readBack(ctx context.Context, s *session, system *actors.System, spec *restore.Spec) error {
	spec.Progress = &messages.Progress{}
	stop := s.showProgress(spec.Progress)
	res, err := restore.ReadBack(ctx, system, spec)
	stop()
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	for _, d := range res.Different {
		s.restoreItem(d.Path, messages.StatusFailed, "read back: "+d.Reason)
	}
	s.out.result("read back: %s, %s, as in the snapshot", plural(res.Files, "file", "files"), size(res.Bytes))
	if res.Differ > 0 {
		s.sum.Errors += res.Differ
		return &partial{fmt.Sprintf("%s in %s not as in the snapshot", plural(res.Differ, "file is", "files are"), spec.Target)}
	}
	return nil
}

// patterns compiles the patterns of a flag; nil for none.
func patterns(flag string, texts []string) (*filter.List, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	l, err := filter.Compile(filter.From(flag, texts...), filter.Options{})
	if err != nil {
		return nil, &usageError{msg: err.Error(), command: "restore"}
	}
	return l, nil
}

// selection turns patterns into what a restore asks of each entry. Whatever
// stands below an included directory is included, so what a ! takes back there
// is excluded. Directories in which nothing can match are excluded too: they
// need not be read.
func selection(include, exclude *filter.List) (in, out func(string, page.Type) bool) {
	if include != nil {
		in = func(path string, t page.Type) bool {
			matched, _ := include.MatchEntry(path, t == page.Dir)
			return matched
		}
	}
	if include != nil || exclude != nil {
		out = func(path string, t page.Type) bool {
			if matched, _ := exclude.MatchEntry(path, t == page.Dir); matched {
				return true
			}
			return include != nil && !in(path, t) && (t != page.Dir || !include.MayMatchBelowEntry(path))
		}
	}
	return in, out
}

// paths are the arguments as entries spell them.
func (c *restoreCmd) paths(ctx context.Context, s *session, r *reading) ([]string, error) {
	var out []string
	for _, p := range c.Path {
		if p == "" {
			return nil, &usageError{msg: "a path is empty", command: "restore"}
		}
		e := snapshotPath(r.from, p)
		if !page.Within(r.from, e) {
			return nil, &usageError{msg: fmt.Sprintf("%q is not within %q", shown(e), shown(r.from)),
				hint: "leave out the path of the snapshot: " + s.commandHere("restore "+r.row.short()+" --target DIR "+config.Quote(shown(e)))}
		}
		out = append(out, e)
	}
	return out, s.checkPaths(ctx, r, out...)
}

// target checks what can be known of the target before anything is read.
func (c *restoreCmd) target(r *reading) (string, error) {
	if c.Target == "" {
		return "", &usageError{msg: "--target is empty", command: "restore"}
	}
	dir, err := filepath.Abs(c.Target)
	if err != nil {
		return "", fmt.Errorf("find target: %w", err)
	}
	if store := filePath(r.URL); store != "" && within(store, dir) {
		return "", &usageError{msg: fmt.Sprintf("--target: %s lies inside the store", dir), hint: "name a directory elsewhere: --target DIR"}
	}
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(dir); err == nil {
			return "", &badTarget{dir, errors.New("it is a symbolic link that leads nowhere")}
		}
		return dir, nil
	case err != nil:
		return "", &badTarget{dir, err}
	case !st.IsDir():
		return "", &badTarget{dir, syscall.ENOTDIR}
	}
	// A directory that may not be changed may still have others in it that may be.
	if err := platform.Writable(dir); err != nil && emptyDir(dir) {
		return "", &badTarget{dir, err}
	}
	return dir, nil
}

// within reports whether path is dir or below it, links resolved as far as they are there.
func within(dir, path string) bool {
	if to, err := filepath.EvalSymlinks(dir); err == nil {
		dir = to
	}
	rest := ""
	for {
		if to, err := filepath.EvalSymlinks(path); err == nil {
			path = filepath.Join(to, rest)
			break
		}
		up := filepath.Dir(path)
		if up == path {
			break
		}
		rest, path = filepath.Join(filepath.Base(path), rest), up
	}
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

func emptyDir(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	names, _ := f.Readdirnames(1)
	return len(names) == 0
}

// badTarget: nothing can be restored there.
type badTarget struct {
	dir string
	err error
}

func (e *badTarget) Error() string {
	err := e.err
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Sprintf("restore to %s: %v", e.dir, err)
}

func (e *badTarget) Unwrap() error { return e.err }
