package restore

import (
	"context"
	"path/filepath"
	"strings"

	"vaultik/actors"
	"vaultik/messages"
	vfs "vaultik/vault/fs"
)

// checkSpace fails with a SpaceError if the target cannot take what a restore
// would write. Mostly there is room for the whole snapshot, and nothing more is looked at.
// Otherwise a dry run allows for existing files, for those replaced, and for holes.
func checkSpace(ctx context.Context, s *actors.System, spec *Spec) error {
	abs, err := filepath.Abs(spec.Target)
	if err != nil {
		return nil //nolint:nilerr // opening it says more
	}
	done := spec.touch(abs)
	space, err := vfs.SpaceAt(abs)
	enough := err == nil && roomForAll(spec, space) && !mountsBelow(abs)
	done()
	if err != nil || enough {
		return nil //nolint:nilerr // as above
	}
	spec.progress().SetPhase("check space")
	dry := *spec
	dry.DryRun, dry.quick, dry.OnItem, dry.Progress = true, true, nil, &messages.Progress{}
	dry.Warn = func(string) {} // the restore itself warns of it
	r, err := restoreTree(ctx, s, &dry)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return nil // as above
	}
	return spec.enough(abs, r.Space)
}

// enough warns of file systems that may be too small, and fails for one that is.
func (s *Spec) enough(abs string, needs []SpaceNeed) error {
	for _, n := range needs {
		if !n.Short() {
			continue
		}
		err := &SpaceError{Dir: absIn(abs, n.Path), Need: n}
		if !n.Unsure {
			return err
		}
		s.warn(err.Error() + "; continuing, since this file system may need less")
	}
	return nil
}

// roomForAll reports whether there is room for everything that the snapshot has.
func roomForAll(spec *Spec, space vfs.Space) bool {
	c := &spec.Root.Counts
	entries := c.Files + c.Dirs + c.Symlinks + c.Other
	return (space.Free < 0 || c.Bytes+entries*blockSize <= space.Free) &&
		(space.Inodes < 0 || entries <= space.Inodes)
}

// mountsBelow reports whether parts of a directory are other file systems.
func mountsBelow(dir string) bool {
	if to, err := filepath.EvalSymlinks(dir); err == nil {
		dir = to
	}
	dir = strings.TrimSuffix(dir, string(filepath.Separator)) + string(filepath.Separator)
	for at := range vfs.MountPoints() {
		if strings.HasPrefix(at, dir) {
			return true
		}
	}
	return false
}
