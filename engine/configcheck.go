package engine

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/index"
	"vaultik/internal/fault"
	"vaultik/internal/platform"
	"vaultik/internal/words"
	"vaultik/vault/fs"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// checksFailed: config check found what would stop a backup. It was said.
type checksFailed struct {
	failed, all int
	first       error
}

func (e *checksFailed) Error() string {
	return fmt.Sprintf("%d of %d checks failed, first: %v", e.failed, e.all, e.first)
}
func (e *checksFailed) Unwrap() error { return e.first }

// checks tells what was checked, one [events.Check] each.
type checks struct {
	*job
	conf   *config.Config
	all    int
	failed int
	first  error
	absent int // paths that are not there or cannot be read
}

func (k *checks) say(status, name, detail, hint string) {
	k.all++
	k.Tell(events.Check{Type: "check", Name: name, Status: status, Detail: config.Scrub(detail),
		Hint: hint})
}

func (k *checks) ok(name, format string, args ...any) {
	k.say("ok", name, fmt.Sprintf(format, args...), "")
}

func (k *checks) warn(name, detail, hint string) { k.say("warning", name, detail, hint) }

func (k *checks) fail(name string, err error) {
	if k.first == nil {
		k.first = err
	}
	k.failed++
	e := Explain(err)
	hint := e.Hint
	if hint == "" && len(e.Choices) > 0 {
		hint = e.Choices[0]
	}
	k.say("failed", name, e.Message, hint)
}

func (k *checks) result() error {
	switch {
	case k.failed > 0:
		return &checksFailed{k.failed, k.all, k.first}
	case k.absent > 0:
		return fault.Incomplete("a backup would be incomplete: " +
			words.Plural(int64(k.absent), "path is", "paths are") + " missing or cannot be read")
	}
	return nil
}

// CheckConfig looks whether a backup has all that it needs. It changes nothing, but locks the
// state of this host for a moment and writes a temporary file there. It tells of each
// [events.Check]. The error is that of the first thing that failed.
func (e *Engine) CheckConfig(ctx context.Context, sink events.Sink) (events.Totals, error) {
	j := e.begin("config check", sink)
	j.dry = true
	return j.told(ctx, func() error { return j.checkConfig(ctx) })
}

func (j *job) checkConfig(ctx context.Context) error {
	conf, err := j.config()
	if err != nil {
		return err
	}
	k := &checks{job: j, conf: conf}
	k.ok("configuration", "%s: %s, %s", conf.File, words.Plural(int64(len(conf.Sets)), "set",
		"sets"),
		words.Plural(int64(len(conf.Recipients.Strings())), "recipient", "recipients"))
	k.state()
	op, err := j.openStore(ctx, backends.Options{})
	if err != nil {
		k.fail("store", err)
	} else {
		defer op.Close()
		k.store(ctx, op)
		if op.Host != nil && !op.Host.BacksUp() {
			k.pruner(op)
			return k.result()
		}
		k.retention(op)
		if k.host(ctx, op) {
			k.index(op.Host)
		}
	}
	k.sets()
	return k.result()
}

// state takes the lock that a backup takes, and writes where it writes.
func (k *checks) state() {
	defer k.touch(k.places.State)()
	release, err := k.lockHost()
	busy := (*config.BusyError)(nil)
	switch {
	case errors.As(err, &busy):
		k.ok("state", "%s: %v", k.places.State, busy)
		return
	case err == nil:
		defer release()
		err = k.job.state.TryWrite()
	}
	if err != nil {
		k.fail("state", err)
		return
	}
	k.ok("state", "%s: writable", k.places.State)
}

// store checks that a backup finds room and may write.
func (k *checks) store(ctx context.Context, op *opened) {
	info, err := op.Backend.Info(ctx)
	if err == nil && info.Free >= 0 && info.Free < 2*k.conf.BlobSize {
		err = fmt.Errorf("%w: %s free", backends.ErrNoSpace, words.Size(info.Free))
	}
	writable := "whether it is writable is not known"
	if dir := config.FilePath(op.URL); err == nil && dir != "" {
		writable, err = "writable", k.mayWrite(storeDirs(dir, op.Host)...)
	}
	if err != nil {
		k.fail("store", fmt.Errorf("store at %s: %w", backends.Redact(op.URL), err))
		return
	}
	room := ""
	if info.Free >= 0 {
		room = ", " + words.Size(info.Free) + " free"
	}
	k.ok("store", "%s: %s, owner %s%s", backends.Redact(op.URL), writable,
		op.Store.Doc.Owner.Fingerprint(), room)
}

// retention warns of rules that this machine cannot apply.
func (k *checks) retention(op *opened) {
	rules := k.conf.Retention != nil || slices.ContainsFunc(k.conf.Sets,
		func(s config.Set) bool { return s.Retention != nil })
	if rules && op.Host != nil && !op.mayPrune() {
		k.warn("retention", "this host may not remove snapshots, so its rules are of no effect; "+
			op.prunersText("may"), "write the rules into the configuration of such a machine")
	}
}

// storeDirs are the directories of a file store in which a backup makes files.
func storeDirs(dir string, h *config.Host) []string {
	dirs := []string{dir}
	if h == nil {
		return dirs
	}
	up := filepath.Join(dir, filepath.FromSlash(layout.HostPrefix(h.ID)))
	dirs = append(dirs, filepath.Dir(up), up)
	for _, kind := range []string{"b", "k", "l", "m", "r"} {
		dirs = append(dirs, filepath.Join(up, kind))
	}
	return dirs
}

// mayWrite fails at the first directory that is there and cannot be written to.
func (k *checks) mayWrite(dirs ...string) error {
	for _, d := range dirs {
		done := k.touch(d)
		err := platform.Writable(d)
		done()
		if err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return &iofs.PathError{Op: "write to", Path: d, Err: err}
		}
	}
	return nil
}

// host checks who this machine is; false where it is nobody in this store.
func (k *checks) host(ctx context.Context, op *opened) bool {
	h := op.Host
	if err := op.takesBackups(); err != nil {
		k.fail("host", err)
		return false
	}
	if h.Moved() {
		k.fail("host", k.cloned())
		return true
	}
	if err := knowsOwn(ctx, op); err != nil {
		k.fail("host", k.foreignWriter(op, err))
		return true
	}
	if err := k.knowsSets(ctx, op); err != nil {
		k.fail("host", err)
		return true
	}
	if !k.recipients(op) {
		return true
	}
	k.ok("host", "%s, %s backed up", h.ID, words.Plural(int64(len(op.Sets.Sets)), "set",
		"sets"))
	if hint := moveKit(h); hint != "" {
		k.warn("recovery kit", "it is still on this machine: "+string(h.Kit), hint)
	}
	return true
}

// pruner checks a machine that only prunes.
func (k *checks) pruner(op *opened) {
	if err := op.trustedTo(snapshot.RolePrune); err != nil {
		k.fail("host", err)
		return
	}
	k.ok("host", "%s, which prunes and does not back up", op.Host.ID)
}

// recipients checks that they are those that the owner has signed.
func (k *checks) recipients(op *opened) bool {
	if err := k.checkRecipients(op, k.conf); err != nil {
		k.fail("recipients", err)
		return false
	}
	if h, _ := op.Store.Trust.Host(op.Host.ID); len(h.Recipients) == 0 {
		k.warn("recipients", "the owner has not signed them", k.signTheirs())
	}
	return true
}

// index checks a copy of the index, or that one can be made.
func (k *checks) index(h *config.Host) {
	dir := k.places.IndexDir(k.conf)
	err := k.mayWrite(dir, k.nearest(dir))
	undo := &undoList{}
	defer undo.run()
	var ix *index.Index
	if err == nil {
		ix, err = k.openCopy(dir, h, undo)
	}
	busy := (*index.BusyError)(nil)
	switch {
	case err == nil:
		k.ok("index", "%s: %s", dir, words.Plural(int64(ix.Stats().Blobs), "blob", "blobs"))
	case errors.Is(err, iofs.ErrNotExist):
		k.ok("index", "%s: none yet; a backup creates one", dir)
	case errors.As(err, &busy):
		k.ok("index", "%v: a backup is running", busy)
	case errors.Is(err, index.ErrDamaged):
		k.warn("index", fmt.Sprintf(
			"%v; the next backup moves it aside, and reads and uploads everything again", err), "")
	default:
		k.fail("index", err)
	}
}

// nearest is the first directory on the way up that is there.
func (k *checks) nearest(dir string) string {
	defer k.touch(dir)()
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if exists(dir) {
			return dir
		}
	}
	return dir
}

// sets checks the paths and patterns of each set.
func (k *checks) sets() {
	if len(k.conf.Sets) == 0 {
		k.warn("sets", "the configuration has none: a backup needs paths on the command line", "")
	}
	for _, set := range k.conf.Sets {
		name := "set " + set.Name
		list := []backupSet{{name: set.Name, paths: config.SortedPaths(set.Paths)}}
		if err := compileExcludes(k.conf, list, exclusions{}); err != nil {
			k.fail(name, err)
			continue
		}
		if k.paths(name, &list[0]) {
			kept := ""
			if p := k.conf.Policy(set.Name); p != nil {
				kept = "; keep " + policyText(p)
			}
			k.ok(name, "%s, %s%s", words.Plural(int64(len(set.Paths)), "path", "paths"),
				list[0].patterns(), kept)
		}
	}
}

// paths says what is wrong with the paths of a set; true for nothing.
func (k *checks) paths(name string, set *backupSet) bool {
	roots, err := k.findRoots(set.paths)
	var gone fs.RootErrors
	switch {
	case err != nil && len(roots) == 0:
		k.fail(name, &nothingToSave{err, true})
		return false
	case errors.As(err, &gone):
		for _, g := range gone {
			k.absent++
			k.warn(name, g.Error(), "")
		}
	case err != nil:
		k.fail(name, err)
		return false
	}
	fine := len(gone) == 0
	for _, r := range roots {
		done := k.touch(r)
		err := readable(r)
		done()
		if err != nil {
			k.absent++
			fine = false
			k.warn(name, err.Error(), "")
		}
		if by := set.emptied(r); by != nil {
			fine = false
			k.warn(name, fmt.Sprintf(
				"%s: pattern %q matches the requested path %s: its contents are excluded",
				by.Source, by.Text, r), "")
		}
	}
	return fine
}

// readable tries to open a file or directory, but nothing that could block.
func readable(path string) error {
	st, err := os.Lstat(path)
	if err != nil || !st.IsDir() && !st.Mode().IsRegular() {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|platform.NoFollow|platform.NonBlock, 0)
	if err != nil {
		return err
	}
	return f.Close()
}
