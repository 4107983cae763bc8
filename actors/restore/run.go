package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"vaultik/actors"
	"vaultik/internal/arena"
	"vaultik/internal/platform"
	"vaultik/vault/blob"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
	"vaultik/vault/plan"
	"vaultik/vault/read"
)

func defaultBounds() Bounds {
	return Bounds{
		Items: 256, Pieces: 1024, bytes: 512 << 10, Batches: 64,
		Parts:      platform.OpenShare(256, 4), // most is left to others
		PlanPieces: 24 << 10, PlanBytes: 256 << 20,
	}
}

// restoreRun is what the actors of one restore share.
type restoreRun struct {
	spec    *Spec
	mode    Overwrite
	limits  restoreLimits
	bounds  Bounds
	ctx     context.Context
	cancel  context.CancelCauseFunc
	abs     string // the target
	target  *vfs.Target
	madeTop bool // the target did not exist
	newTop  bool // nothing was in it
	tree    *page.Tree
	pages   *read.Reader
	part    plan.Selection
	whole   bool // all of the snapshot: its root knows how much that is
	batches *actors.Credit
	mem     arena.Arena // of all large buffers
	frames  *actors.Budget
	blobs   *actors.Budget
	charged int64        // buffers of blobs that were given up; of the planner
	read    atomic.Int64 // bytes of blobs
	watch   actors.Watch // of the calls of actors to the target
	parts   partFiles
	full    atomic.Bool // the target takes no more
	room    sync.Mutex  // held while its room is tried
	dry     bool        // nothing is changed
	above   string      // a directory above the target in which another restore has left its mark
	left    []vfs.Mark  // of other restores, in the target; the walker's until the job has ended
	doubted bool        // the user was told of left; likewise the walker's
	shared  bool        // the user was told of a stranger's directory; likewise
	faults  *actors.Faults
	taken   sync.Map     // paths by device and inode: files with hard links, changed in place
	hurt    sync.Map     // of blob.Name: damaged blobs that were warned of
	odd     atomic.Int64 // blobs that were damaged in transit, and intact when read again

	result Result // of the planner until the job has ended
}

type restoreLimits struct {
	parallel, writers int
	frames, frameSize int
	blobs, blobSize   int
}

// All in bytes.
const (
	restoreFixed = 48 << 20 // what a restore needs beside its buffers
	blobMemory   = 17 << 20 // what a buffer of a blob mostly takes
	smallBlob    = 64 << 10 // up to this size a blob takes no buffer
	linksFixed   = 8 << 20  // of restoreFixed: what is known of hard links; 200,000 files
)

func restoreLimitsFor(s *Spec) restoreLimits {
	l := restoreLimits{parallel: s.Parallel, writers: min(max(2, runtime.GOMAXPROCS(0)), 8)}
	if l.parallel <= 0 {
		l.parallel = actors.DefaultParallel
	}
	memory := s.Memory
	if memory <= 0 {
		memory = actors.DefaultMemory
	}
	// Frames are decoded into buffers for the largest chunk, or the fullest shared
	// frame; a larger one gets a larger buffer.
	fullest := max(s.Root.Chunker.Max, blob.FrameTarget+blob.SmallChunk)
	l.frameSize = min(fullest, blob.MaxFrameRaw) + 64
	l.blobSize = 20 << 20 // more than the default blob; only what is used counts
	room := max(0, memory-restoreFixed)
	l.blobs = int(min(max(1, room*2/3/blobMemory), int64(l.parallel)))
	l.frames = int(min(max(3, room/3/int64(l.frameSize)), int64(4*l.writers)))
	return l
}

func newRestoreRun(spec *Spec) *restoreRun {
	r := &restoreRun{
		spec: spec, mode: spec.Overwrite, limits: restoreLimitsFor(spec), faults: &spec.Faults,
		dry: spec.DryRun,
	}
	if r.mode == "" {
		r.mode = OverwriteIfChanged
	}
	spec.progress()
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	if r.bounds = spec.Bounds; r.bounds == (Bounds{}) {
		r.bounds = defaultBounds()
	}
	r.batches = actors.NewCredit(r.bounds.Batches)
	r.frames = actors.NewBudget(&r.mem, r.limits.frames, r.limits.frameSize)
	r.blobs = actors.NewBudget(&r.mem, r.limits.blobs, r.limits.blobSize)
	r.parts = partFiles{slots: actors.NewCredit(r.bounds.Parts), open: map[*restoreItem]*partFile{}}
	r.result.Meta = map[string]*MetaLoss{}
	r.pages = read.New(actors.Objects{Store: spec.Store}, spec.Root, spec.Identities)
	r.pages.OnDamage = r.damaged
	r.tree = &page.Tree{Fetch: r.faults.Pages(r.pages.Chunk), Top: spec.Root.Top.Ref()}
	return r
}

// charge gives up buffers of blobs for what is known of hard links, which cannot be
// forgotten, down to the last one.
func (r *restoreRun) charge(links int64) {
	for r.charged*blobMemory < links-linksFixed && r.blobs.Shrink() {
		r.charged++
	}
}

// damaged warns of a blob in which something is damaged, but not all.
func (r *restoreRun) damaged(info *blob.Info, _ error) {
	if _, told := r.hurt.LoadOrStore(info.Name, true); !told {
		r.spec.warn(fmt.Sprintf("blob %s is damaged; its intact parts are used", info.Name))
	}
}

// Open settles what is restored and where, before anything is changed.
func (r *restoreRun) Open(ctx context.Context) error {
	err := r.choose(ctx)
	if err != nil {
		return err
	}
	if r.abs, err = filepath.Abs(r.spec.Target); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer r.spec.touch(r.abs)()
	r.madeTop, r.newTop = lookAtTarget(r.abs)
	r.target, err = vfs.OpenTarget(r.spec.Target, vfs.TargetOptions{
		NumericOwner: r.spec.NumericOwner,
		ReplaceFiles: r.mode == OverwriteIfChanged || r.mode == OverwriteAlways,
		KeepLinks:    r.spec.InPlace,
		LargeFile:    r.bounds.Large,
		Xattrs:       func(e *page.Entry) ([]page.Xattr, error) { return r.tree.Xattrs(r.ctx, e) },
		ReadOnly:     r.spec.DryRun,
		Mark:         r.markText(),
	})
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// choose finds out what is restored.
func (r *restoreRun) choose(ctx context.Context) error {
	part, err := plan.Select(r.spec.From, r.spec.Paths)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	r.part = part
	for _, p := range append([]string{part.From}, part.Tops...) {
		if p == "." {
			continue
		}
		e, err := r.tree.Find(ctx, p)
		switch {
		case err == nil && p == part.From:
			r.part.File = e.Type != page.Dir
		case errors.Is(err, page.ErrNotFound), noneRead(err), ctx.Err() != nil:
			return fmt.Errorf("restore %q: %w", p, err)
		}
		// A damaged page is met again by the walk, which reports it.
	}
	r.whole = r.part.From == "." && r.part.Tops[0] == "." && r.spec.Include == nil &&
		r.spec.Exclude == nil
	if prog := r.spec.Progress; r.whole {
		prog.FilesTotal.Store(r.spec.Root.Counts.Files)
		prog.BytesTotal.Store(r.spec.Root.Counts.Bytes)
		prog.TotalKnown.Store(true)
	}
	return nil
}

// Below calls fn for a selected path and everything under it, in order.
func (r *restoreRun) Below(top string, fn func(*page.Entry) error) error {
	return r.tree.WalkWithin(r.ctx, top, fn)
}

// origin is the path of the entry of a directory of the target.
func (r *restoreRun) origin(d *restoreDir) string { return r.part.Origin(d.Path()) }

// Close gives up what is unfinished. All actors are gone.
func (r *restoreRun) Close() {
	defer r.spec.touch(r.abs)()
	r.cancel(actors.ErrInterrupted)
	parts, half := r.parts.suspendAll()
	r.result.Parts += parts
	for _, it := range half {
		r.result.Half = append(r.result.Half, it.Entry.Path)
	}
	if r.target != nil {
		_ = r.target.Close()
	}
	r.mem.Close()
}

// inTheWay fails if a directory that is not empty stands where something else is to be made.
func inTheWay(run *restoreRun, it *restoreItem, there *vfs.Stat) error {
	if there.Type != page.Dir || it.Entry.Type == page.Dir {
		return nil
	}
	switch empty, err := run.target.Empty(it.Path); {
	case errors.Is(err, os.ErrPermission), err == nil && !empty:
		return &os.PathError{Op: "replace", Path: absIn(run.abs, it.Path), Err: vfs.ErrNotEmpty}
	}
	return nil
}

// absIn is the absolute path of an entry of the target. Both parts are clean, so that they need
// not be made so for each entry.
func absIn(target, path string) string {
	if path == "." {
		return target
	}
	const sep = string(filepath.Separator)
	return strings.TrimSuffix(target, sep) + sep + filepath.FromSlash(path)
}

// noneRead reports whether an error of reading pages ends a walk: no page can be read, or
// none by this program.
func noneRead(err error) bool {
	return actors.StoreGone(err) || errors.Is(err, page.ErrNewerFormat)
}

// takesNoMore reports whether an error of making something of n bytes is one that everything
// else would meet too, so that the restore ends. Otherwise only this entry fails: it is on
// another file system, one that is read-only or full, or the quota is of its directory alone.
func (r *restoreRun) takesNoMore(err error, n int64) bool {
	switch {
	case errors.Is(err, syscall.EROFS):
		space, err := vfs.SpaceAt(r.abs)
		return err == nil && space.ReadOnly && !mountsBelow(r.abs)
	case platform.NoSpace(err):
		r.room.Lock() // one at a time, or they would take each other's
		defer r.room.Unlock()
		return !r.target.Takes(n)
	}
	return false
}

// lookAtTarget reports whether there is nothing at path, and whether nothing is in it.
func lookAtTarget(path string) (missing, empty bool) {
	f, err := os.Open(path)
	if err != nil {
		missing = errors.Is(err, os.ErrNotExist)
		return missing, missing
	}
	defer func() { _ = f.Close() }()
	_, err = f.Readdirnames(1)
	return false, errors.Is(err, io.EOF)
}
