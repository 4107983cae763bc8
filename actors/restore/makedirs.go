package restore

import (
	"errors"
	"fmt"
	"os"
	"strings"

	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
)

// makeDirs makes the directories of the stack in the target, and returns the last.
func (w *walker) makeDirs() *restoreDir {
	made := len(w.stack)
	for made > 0 && w.stack[made-1].dir == nil {
		made--
	}
	var parent *restoreDir
	if made > 0 {
		parent = w.stack[made-1].dir
	}
	for i, d := range w.stack[made:] {
		var err error
		if i += made; i > 0 {
			err = w.clash(w.stack[i-1], parent, w.pathOf(d))
		}
		d.dir = w.makeDir(d, parent, err)
		w.batch.Opened = append(w.batch.Opened, d.dir)
		parent = d.dir
	}
	return parent
}

// makeDir makes one directory, or finds it, unless cannotMake gives a reason not to.
func (w *walker) makeDir(d *walkDir, parent *restoreDir, cannot error) *restoreDir {
	run, path, from := w.run, ".", w.pathOf(d)
	if !run.part.File {
		path = run.part.Place(from)
	}
	_, name := splitPath(path)
	m := &restoreDir{Name: strings.Clone(name), Entry: d.entry, Parent: parent}
	m.Entry.Refs = nil
	if parent == nil {
		m.Entry.Path = from
	}
	w.held += weight(&m.Entry) + len(name)
	m.Counts = d.included && !d.unknown && !d.entry.Implied
	if m.Err = w.cannotMake(d, parent, cannot); m.Err != nil {
		return m
	}
	w.touch.Enter(absIn(run.abs, path))
	defer w.touch.Leave()
	w.find(m, path)
	if w.ends == nil && run.takesNoMore(m.Err, 0) {
		w.ends = &TargetFullError{Err: m.Err}
	}
	if m.Err == nil && !d.unknown {
		m.Attrs = w.setsAttrs(m, path)
	}
	if m.Err == nil && !m.Fresh && !run.dry {
		m.Err = w.takeOver(m, path)
	}
	if m.Attrs && !m.Counts && !run.dry {
		// Now as well as at the end: if this restore is interrupted, the next one
		// cannot tell whose directory it is, and leaves it as it finds it.
		_, m.Err = run.target.SetDirMeta(path, &m.Entry)
	}
	return m
}

// cannotMake is why a directory cannot be made, if that is known before it is tried.
func (w *walker) cannotMake(d *walkDir, parent *restoreDir, cannot error) error {
	switch {
	case parent != nil && parent.Err != nil:
		return parent.Err
	case cannot != nil:
		return cannot
	case d.unknown && w.pathOf(d) != w.run.part.From:
		if w.lost++; w.lost > maxLostDirs+w.found {
			return errLostDirs
		}
	}
	return nil
}

// find makes a directory, or finds it.
func (w *walker) find(m *restoreDir, path string) {
	run := w.run
	switch {
	case m.Parent != nil:
		m.Doubt = m.Parent.Doubt
	case run.above != "":
		m.Doubt = true
		run.doubt(run.above)
	}
	if !run.dry {
		m.Fresh, m.Err = w.place(m, path)
		return
	}
	m.Fresh, m.Err = w.look(m, path)
	if !run.spec.quick && !m.Fresh && m.Err == nil {
		m.Err = unreadable(w.lookForMarks(m, path))
	}
}

// takeOver sees to it that nobody else changes what is in an existing directory while this
// restore works there, or says that somebody can.
func (w *walker) takeOver(m *restoreDir, path string) error {
	if m.Attrs {
		return w.run.target.TakeOver(path, &m.Entry)
	}
	uid, yes := w.run.target.Shared(path, &m.Entry)
	if yes && !w.run.shared {
		w.run.shared = true
		w.run.spec.warn(fmt.Sprintf("%s belongs to user %d, who can put other entries in the "+
			"place of those that are restored in it: restore to a directory of your own",
			absIn(w.run.abs, path), uid))
	}
	return nil
}

// setsAttrs reports whether a directory gets the attributes of its entry.
func (w *walker) setsAttrs(m *restoreDir, path string) bool {
	if m.Kernel != "" {
		return false
	}
	selected := m.Counts && w.run.mode != OverwriteNever
	if path == "." && !w.run.madeTop {
		st, err := w.run.target.Lstat(".")
		return selected && (m.Fresh || err == nil && st.Mode&sticky == 0)
	}
	return m.Fresh || selected
}

// maxLostDirs is how many directories a restore makes whose entries are lost, beside
// one for each entry that is there. A path of 64 KiB can name 32,768.
const maxLostDirs = 10_000

var errLostDirs = fmt.Errorf("too many directories above such entries are not in the snapshot: %w",
	page.ErrDamaged)

// sticky marks directories that many users share: such a target keeps its attributes.
const sticky = 0o1000

// place makes a directory, or finds it, and removes what an interrupted
// restore has left in it.
func (w *walker) place(m *restoreDir, path string) (fresh bool, err error) {
	run := w.run
	if path == "." {
		if run.newTop {
			return true, nil
		}
		return false, w.sweep(m, path)
	}
	if m.Parent != nil && m.Parent.Fresh {
		return true, run.target.Mkdir(path, &m.Entry)
	}
	st, err := run.target.Lstat(path)
	switch {
	case err == nil && st.Type == page.Dir:
		if w.isKernels(m, path, &st) {
			return false, nil
		}
		return false, w.into(m, path)
	case err == nil && !run.makesWay(m):
		return false, vfs.ErrInTheWay
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return false, err
	}
	m.Other = err == nil
	return true, run.target.Mkdir(path, &m.Entry)
}

// into prepares a directory that is there for what comes into it.
func (w *walker) into(m *restoreDir, path string) error {
	t, entered := w.run.target, m.Counts && w.run.mode != OverwriteNever
	if entered { // so it gets its mode back
		if err := t.Enter(path); err != nil {
			return err
		}
	}
	err := w.sweep(m, path)
	if err != nil && entered { // nothing else will be done to it
		_, _ = t.SetDirMeta(path, &m.Entry) // err says what is wrong
	}
	return err
}

// isKernels notes whether a directory belongs to a file system of the kernel.
func (w *walker) isKernels(m *restoreDir, path string, st *vfs.Stat) bool {
	if m.Parent != nil {
		m.Kernel = m.Parent.Kernel
	}
	if st.Mount || m.Parent == nil {
		m.Kernel = w.run.target.KernelAt(path)
	}
	return m.Kernel != ""
}

// makesWay reports whether something that is not a directory is replaced by one. Directories
// that are only on the way to what was selected replace nothing, such as a symbolic link.
func (r *restoreRun) makesWay(m *restoreDir) bool {
	return m.Counts && r.mode != OverwriteNever && r.mode != OverwriteIfNewer
}

// look finds out, for a dry run, what place would do.
func (w *walker) look(m *restoreDir, path string) (fresh bool, err error) {
	run := w.run
	if m.Parent != nil {
		m.FS, m.ReadOnly = m.Parent.FS, m.Parent.ReadOnly
	}
	switch {
	case path == ".":
		return run.newTop, w.stands(m, path)
	case m.Parent != nil && m.Parent.Fresh:
		return true, nil
	}
	st, err := run.target.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case errors.Is(err, os.ErrPermission) && run.target.Barred(path):
		return false, nil // a restore opens what is above for itself
	case err != nil:
		return false, err
	case st.Type == page.Dir:
		w.isKernels(m, path, &st)
		if m.FS == nil || st.Dev != m.FS.Dev || st.Mount {
			err = w.stands(m, path)
		}
		return false, err
	case !run.makesWay(m):
		return false, vfs.ErrInTheWay
	default:
		m.Other = true
	}
	if m.ReadOnly {
		return false, readOnlyError(absIn(run.abs, path))
	}
	return true, nil
}

// stands notes the file system of a directory of the target, made or not.
func (w *walker) stands(m *restoreDir, path string) error {
	s, err := vfs.SpaceAt(absIn(w.run.abs, path))
	if err != nil {
		return err
	}
	if w.spaces == nil {
		w.spaces = map[uint64]*fileSystem{}
	}
	if w.spaces[s.Dev] == nil {
		w.spaces[s.Dev] = &fileSystem{Path: path, Dev: s.Dev}
	}
	m.FS, m.ReadOnly = w.spaces[s.Dev], s.ReadOnly
	return nil
}

func (w *walker) sweep(m *restoreDir, path string) error {
	s, err := w.run.target.RemoveTemps(path)
	if s.Removed > 0 {
		w.c.Send(w.planner, &leftoversRemoved{s.Removed})
	}
	m.Parts = s.Parts
	if err == nil && s.Marks {
		err = w.lookForMarks(m, path)
	}
	return unreadable(err)
}

// unreadable is no error: that a directory may not be read says nothing about restoring into it.
func unreadable(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return nil
	}
	return err
}
