package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"vaultik/config"
	"vaultik/internal/fault"
	"vaultik/vault/fs"
	"vaultik/vault/layout"
	"vaultik/vault/page"
)

// A disk that is not mounted leaves an empty directory behind. Saved as it is, it would be the
// newest snapshot, complete, and one day the only one. So a source directory that has become
// empty, or at which nothing is mounted any more, is left out until the user agrees.

// rootStates is what is known of the directories among the roots of a set.
type rootStates struct{ full, mounted []string }

// statesOf looks at roots. What cannot be read is not known to be empty: the backup reports it.
func (j *job) statesOf(roots []string) (s rootStates) {
	mounts := fs.MountPoints()
	for _, root := range roots {
		done := j.touch(root)
		st, err := fs.Lstat(root)
		if err == nil && st.Type == page.Dir {
			if !isEmpty(root) {
				s.full = append(s.full, root)
			}
			if st.Mount || mounts[root] {
				s.mounted = append(s.mounted, root)
			}
		}
		done()
	}
	return s
}

func isEmpty(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	return errors.Is(err, io.EOF)
}

// guard leaves out those roots of a set that are not what was last saved of it, and says so.
// It fails if none is left.
func (b *backupJob) guard(set *backupSet, roots []string) (kept []string, err error) {
	if set.source != "" {
		return roots, nil // a list names what there is
	}
	set.now = b.statesOf(roots)
	var was config.SetRecord
	if b.op != nil && b.op.Sets != nil {
		for _, r := range b.op.Sets.ByPaths(set.paths) {
			if string(r.Name) == set.name {
				was = r
			}
		}
	}
	var gone []error
	for _, root := range roots {
		var why string
		switch {
		case slices.Contains(was.Full, config.Text(root)) && !slices.Contains(set.now.full, root):
			why = "is empty, but was not when it was last saved"
		case slices.Contains(was.Mounted, config.Text(root)) &&
			!slices.Contains(set.now.mounted, root):
			why = "is no mount point, but was one when it was last saved"
		}
		if why == "" || b.o.AllowEmpty {
			kept = append(kept, root)
			continue
		}
		gone = append(gone, fmt.Errorf("%q %s", root, why))
	}
	switch {
	case len(gone) == 0:
		return kept, nil
	case len(kept) == 0:
		return nil, fault.WithHint(fault.Incomplete(
			"nothing was saved: "+errors.Join(gone...).Error()), agreeHint)
	}
	for _, g := range gone {
		b.Warn(agreeHint, "%v; it was left out", g)
	}
	return kept, nil
}

const agreeHint = "mount it; or, if that is right, rerun the same command with --allow-empty"

// noteRoots remembers what was saved of a set. What was left out stays as it was known.
func (b *backupJob) noteRoots(id layout.SetID, set *backupSet, saved []string) error {
	if set.source != "" {
		return nil
	}
	merge := func(old []config.Text, now []string) (out []config.Text) {
		for _, p := range old {
			if !slices.Contains(saved, string(p)) {
				out = append(out, p)
			}
		}
		for _, p := range now {
			if slices.Contains(saved, p) {
				out = append(out, config.Text(p))
			}
		}
		slices.Sort(out)
		return out
	}
	return b.state.UpdateSets(func(sets *config.Sets) error {
		for i := range sets.Sets {
			if r := &sets.Sets[i]; r.ID == id {
				r.Full, r.Mounted = merge(r.Full, set.now.full), merge(r.Mounted, set.now.mounted)
			}
		}
		return nil
	})
}
