package restore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"

	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
)

// A restore that has not ended leaves a mark in its target (fs.Mark). As long as it is
// there, size and mtime of what is below prove nothing, and contents are compared. It is
// removed by the first restore that has compared all that the interrupted one may have made.

// markWords is the first line of a mark.
const markWords = "vaultik is restoring to this directory, or was interrupted while doing so; " +
	"rerun the same command to complete it\n"

// everything is what a mark says of a restore that leaves nothing out.
const everything = "all"

// scope names what stands in a directory that is restored from the path from: marks with
// the same are about the same files.
func (r *restoreRun) scope(from string) string {
	return digest(fmt.Sprintf("%x", r.spec.Root.Top.ID), from)
}

// selection names what is restored of a scope.
func (r *restoreRun) selection() string {
	if r.selectsAll(r.part.From) {
		return everything
	}
	return digest(append([]string{r.spec.Chosen}, r.part.Tops...)...)
}

// selectsAll reports whether everything below a directory of the snapshot is restored.
func (r *restoreRun) selectsAll(dir string) bool {
	if r.part.File || r.spec.Include != nil || r.spec.Exclude != nil {
		return false
	}
	for _, top := range r.part.Tops {
		if page.Within(top, dir) {
			return true
		}
	}
	return false
}

func digest(texts ...string) string {
	h := sha256.New()
	for _, t := range texts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(t), t)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// fromOf is the directory of the snapshot whose entries come to stand in one of the target.
func (r *restoreRun) fromOf(place string) string {
	if r.part.File {
		return path.Dir(r.part.From)
	}
	return r.part.Origin(place)
}

func (r *restoreRun) markText() string {
	return markWords + r.scope(r.fromOf(".")) + "\n" + r.selection() + "\n"
}

// covers reports whether this restore has compared all that the one that left a mark
// may have made.
func (r *restoreRun) covers(m *vfs.Mark) bool {
	if r.mode == OverwriteNever || r.result.Failed > 0 || r.result.Damaged {
		return false
	}
	from := r.fromOf(m.Dir)
	if m.Text == "" { // it was interrupted before it made anything
		return true
	}
	text, _ := strings.CutPrefix(m.Text, markWords)
	if text == r.scope(from)+"\n"+r.selection()+"\n" && m.Dir == "." {
		return true
	}
	return strings.HasPrefix(text, r.scope(from)+"\n") && r.selectsAll(from)
}

// doubt warns, once, that contents are compared, and why.
func (r *restoreRun) doubt(dir string) {
	if r.doubted {
		return
	}
	r.doubted = true
	what := "contents of existing files are compared"
	if r.mode == OverwriteNever {
		what = "existing files are kept, even if they are incomplete"
	}
	r.spec.warn(fmt.Sprintf("an earlier restore into %s did not finish; %s", dir, what))
}

// lookForMarks finds out whether what is in a directory of the target, and below it, is
// to be compared.
func (w *walker) lookForMarks(m *restoreDir, place string) error {
	run := w.run
	left, err := run.target.Marks(place)
	if err != nil || len(left) == 0 {
		return err
	}
	for _, m := range left {
		// A file of the snapshot that looks like a mark is kept.
		_, err := run.tree.Find(run.ctx, path.Join(run.fromOf(place), m.Name))
		if errors.Is(err, page.ErrNotFound) {
			run.left = append(run.left, m)
		}
	}
	run.doubt(absIn(run.abs, place))
	m.Doubt = true
	if run.dry {
		return nil
	}
	return run.target.Begin() // what is compared only may not be on the disk either
}

// settle waits until all that was restored is on the disk, and removes the mark, and
// those that others have left if all is known to be right.
func (r *restoreRun) settle(whole bool) error {
	if r.dry || !r.target.Begun() {
		return nil
	}
	r.spec.Progress.SetPhase("write to disk")
	defer r.spec.touch(r.abs)()
	r.faults.Sync()
	if err := r.target.Sync(); err != nil {
		return fmt.Errorf("sync the restored files: %w; "+
			"rerun the same command to compare them", err)
	}
	err := r.target.Unmark()
	for i := range r.left {
		if whole && r.covers(&r.left[i]) {
			if e := r.target.RemoveLeft(&r.left[i]); err == nil {
				err = e
			}
		}
	}
	if err != nil {
		r.spec.warn(fmt.Sprintf("everything is on the disk, but the mark could not be removed, "+
			"so the next restore will compare contents: %v", err))
	}
	return nil
}
