package backup

import (
	"maps"
	"slices"
	"time"

	"vaultik/vault/blob"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

// maxRootPaths is how many paths a root lists: a list of files may have millions.
const maxRootPaths = 10000

// root makes the encrypted head of the snapshot, and names its tags in m.
func (c *committer) root(m *snapshot.Manifest, top page.Ref) (*snapshot.Root, error) {
	spec, run := c.run.spec, c.run
	place, err := snapshot.TopOf(top)
	if err != nil {
		return nil, err
	}
	paths := spec.Paths[:min(len(spec.Paths), maxRootPaths)]
	if spec.Stream != nil {
		paths = spec.Stream.paths()
	}
	sums := run.tally.now()
	r := &snapshot.Root{
		Store: m.Store, Owner: spec.Opened.Doc.Owner.Fingerprint(),
		Host: m.Host, Hostname: snapshot.Text(spec.Host.Name),
		Set: m.Set, SetName: snapshot.Text(spec.SetName), Seq: m.Seq,
		Paths: snapshot.Texts(paths), Excludes: snapshot.Texts(spec.Excludes),
		Filters: run.filters(), Tool: spec.Tool,
		Started: run.began.UTC().Truncate(time.Second), Finished: m.Time,
		Counts: snapshot.Counts{
			Files: sums.counts.Files, Dirs: sums.counts.Dirs, Symlinks: sums.counts.Symlinks,
			Other: sums.counts.Others, Bytes: sums.counts.Bytes, Errors: sums.failed,
		},
		Complete: m.Complete, Secret: spec.Host.Secret, Chunker: spec.Chunks,
		Frames:     snapshot.FrameParams{Small: blob.SmallChunk, Target: blob.FrameTarget},
		Recipients: spec.Recipients.Strings(), Top: place,
	}
	for _, t := range spec.Tags {
		id := snapshot.NewTag(spec.Host.Secret.Tag(), m.Set, m.Seq, 0, t)
		if slices.Contains(m.Tags, id) {
			continue // it was given twice
		}
		r.Tags = append(r.Tags, snapshot.Tag{ID: id, Name: snapshot.Text(t)})
		m.Tags = append(m.Tags, id)
	}
	for _, p := range sums.problems {
		r.Errors = append(r.Errors,
			snapshot.RootError{Path: snapshot.Text(p.path), Reason: p.reason})
	}
	return r, nil
}

// maxCrossed is how many mount points a root lists.
const maxCrossed = 10000

// crosses notes that another file system is mounted at path, and so excluded; kernel is
// that of fs.WalkItem.
func (r *backupRun) crosses(path, kernel string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.crossed) <= maxCrossed {
		r.crossed[path] = kernel
	}
}

// kernelMounts are the kernel's own file systems that were excluded.
func (r *backupRun) kernelMounts() (out []KernelMount) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, path := range slices.Sorted(maps.Keys(r.crossed)) {
		if kernel := r.crossed[path]; kernel != "" {
			out = append(out, KernelMount{path, kernel})
		}
	}
	return out
}

// filters are those of the job, and the mounts that the walk excluded.
func (r *backupRun) filters() *snapshot.Filters {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.crossed) == 0 {
		return r.spec.Filters
	}
	f := snapshot.Filters{OneFileSystem: r.spec.OneFS}
	if r.spec.Filters != nil {
		f = *r.spec.Filters
	}
	at := slices.Sorted(maps.Keys(r.crossed))
	f.Cut = f.Cut || len(at) > maxCrossed
	f.LeftOut = append(slices.Clone(f.LeftOut), snapshot.Texts(at[:min(len(at), maxCrossed)])...)
	return &f
}
