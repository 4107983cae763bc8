package restore

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"vaultik/actors"
	"vaultik/backends"
	"vaultik/messages"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/layout"
	"vaultik/vault/plan"
)

// downloader fetches what is wanted of one blob a lease: it decrypts,
// decompresses and checks every chunk, and sends frame by frame to the planner.
type downloader struct {
	run     *restoreRun
	planner func(any)
	hasher  *chunk.Hasher
	zstd    *blob.Decompressor

	salvaged *blob.Reader // of the lease under way, if its blob is damaged
}

func newDownloader(run *restoreRun, planner func(any)) actors.Work[fetchBlob, blobFetched] {
	d := &downloader{
		run: run, planner: planner, hasher: chunk.NewHasher(run.spec.Root.Secret.ChunkID()),
		zstd: blob.NewDecompressor(),
	}
	return d.fetch
}

func (d *downloader) fetch(attempt int, job fetchBlob) (done blobFetched) {
	d.run.faults.Downloader()
	before := d.run.read.Load()
	err := d.lease(attempt, job)
	done = blobFetched{Bytes: d.run.read.Load() - before, Err: err}
	done.Fatal = err != nil && (d.run.ctx.Err() != nil || actors.StoreGone(err))
	return done
}

func (d *downloader) lease(attempt int, job fetchBlob) error {
	l := job.Lease
	buf, release, err := d.buffer(l.Info)
	if err != nil {
		return err
	}
	defer release()
	d.salvaged = nil
	whole := job.Count == len(l.Frames) && attempt == 1 &&
		l.Info.Size <= int64(d.run.limits.blobSize) &&
		l.Whole()
	if !whole {
		return d.ranges(job, buf)
	}
	r, err := d.openWhole(l.Info, buf)
	if errors.Is(err, blob.ErrDamaged) {
		r, err = d.salvage(l.Info, buf, err)
	}
	if err != nil {
		return err
	}
	return d.frames(r, l, 0, len(l.Frames), buf)
}

// buffer returns a buffer for a blob. Small blobs do not wait for one of the large ones, of
// which there are few: a store far away is asked for as many as there are connections.
func (d *downloader) buffer(info *blob.Info) (buf *messages.Buf, release func(), err error) {
	if info.Size <= smallBlob {
		return &messages.Buf{B: make([]byte, 0, max(0, info.Size))}, func() {}, nil
	}
	// It counts even where only parts of a blob are read.
	if buf, err = d.run.blobs.Acquire(d.run.ctx); err != nil {
		return nil, nil, err
	}
	return buf, func() { d.run.blobs.Release(buf) }, nil
}

// salvage reads a damaged blob again, and takes its intact parts; why is what was wrong.
func (d *downloader) salvage(info *blob.Info, buf *messages.Buf, why error) (*blob.Reader, error) {
	if d.salvaged != nil {
		return d.salvaged, nil
	}
	if info.Size > int64(d.run.limits.blobSize) {
		return nil, why
	}
	part, err := d.again(info, buf)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(part) == info.Name { // the first reading was damaged in transit
		if d.salvaged, err = blob.OpenBytes(*info, part, d.run.spec.Identities); err == nil {
			if d.run.odd.Add(1) == 1 {
				d.run.spec.warn(fmt.Sprintf("blob %s arrived damaged, but was intact when read "+
					"again: the network or some memory is faulty", info.Name))
			}
			return d.salvaged, nil
		}
		if part, err = d.again(info, buf); err != nil { // it was decrypted in place
			return nil, err
		}
	}
	if d.salvaged, err = blob.Salvage(*info, part, d.run.spec.Identities); err == nil {
		d.run.damaged(info, why)
	}
	return d.salvaged, err
}

// again reads as much of a blob as there is.
func (d *downloader) again(info *blob.Info, buf *messages.Buf) ([]byte, error) {
	part, err := actors.ReadAtMost(d.run.ctx, d.run.spec.Store,
		layout.Blob(d.run.spec.Root.Host, info.Name), buf.B[:cap(buf.B)][:info.Size])
	d.run.read.Add(int64(len(part)))
	return part, err
}

// openWhole fetches all of a blob into a buffer and decrypts it there.
func (d *downloader) openWhole(info *blob.Info, buf *messages.Buf) (*blob.Reader, error) {
	key := layout.Blob(d.run.spec.Root.Host, info.Name)
	b, err := backends.ReadRange(d.run.ctx, d.run.spec.Store, key, 0, info.Size, buf.B)
	if err != nil {
		return nil, actors.DamagedIfShort(err)
	}
	d.run.read.Add(int64(len(b)))
	buf.B = b
	return blob.OpenBytes(*info, b, d.run.spec.Identities)
}

// ranges fetches parts of a blob. If one is unreadable, only its frames fail.
func (d *downloader) ranges(job fetchBlob, buf *messages.Buf) error {
	l := job.Lease
	info := l.Info
	r, err := blob.Open(d.run.ctx, *info,
		actors.FetchFrom(d.run.spec.Store, d.run.spec.Root.Host, info.Name, &d.run.read),
		d.run.spec.Identities)
	if err = actors.DamagedIfShort(err); errors.Is(err, blob.ErrDamaged) {
		r, err = d.salvage(info, buf, err)
	}
	if err != nil {
		return err
	}
	if job.Count < len(l.Frames) {
		return d.frames(r, l, job.First, job.Count, buf)
	}
	for _, g := range l.Ranges() {
		if err := r.Load(d.run.ctx, g.Off, g.Len); err != nil &&
			(d.run.ctx.Err() != nil || actors.StoreGone(err)) {
			return err
		} // any other error is reported by the frames that it concerns
		if err := d.frames(r, l, g.First, g.Count, buf); err != nil {
			return err
		}
	}
	return nil
}

// frames decodes frames and sends them on. buf is for salvaging a damaged blob.
func (d *downloader) frames(
	r *blob.Reader,
	l *plan.Lease[*restoreItem],
	first, count int,
	buf *messages.Buf,
) error {
	for i := first; i < first+count; i++ {
		if err := d.frame(r, l, i, buf); err != nil {
			return err
		}
	}
	return nil
}

func (d *downloader) frame(
	r *blob.Reader,
	l *plan.Lease[*restoreItem],
	i int,
	whole *messages.Buf,
) error {
	d.run.faults.Downloader()
	buf, err := d.run.frames.Acquire(d.run.ctx)
	if err != nil {
		return err
	}
	sent := false
	defer func() {
		if !sent {
			d.run.frames.Release(buf)
		}
	}()
	f := &l.Frames[i]
	raw, err := r.Frame(d.run.ctx, d.zstd, buf.B, f.Off, f.Len, -1)
	if err = actors.DamagedIfShort(err); errors.Is(err, blob.ErrDamaged) && r != d.salvaged {
		if left, _ := d.salvage(l.Info, whole, err); left != nil {
			raw, err = left.Frame(d.run.ctx, d.zstd, buf.B, f.Off, f.Len, -1)
		}
	}
	if err != nil {
		if d.run.ctx.Err() != nil || actors.StoreGone(err) {
			return err
		}
		d.planner(&frameFetched{Lease: l, Index: i, Err: err})
		return nil
	}
	buf.B = raw
	m := &frameFetched{Lease: l, Index: i, Buf: buf, Bad: d.check(raw, f)}
	sent = true
	d.planner(m)
	return nil
}

// check compares every wanted chunk with its id; nil if all are right.
func (d *downloader) check(raw []byte, f *plan.Frame[*restoreItem]) []error {
	var bad []error
	for i := range f.Pieces {
		p := &f.Pieces[i]
		if i > 0 && p.Off == f.Pieces[i-1].Off && p.Len == f.Pieces[i-1].Len &&
			p.ID == f.Pieces[i-1].ID {
			if bad != nil {
				bad[i] = bad[i-1]
			}
			continue
		}
		b, err := actors.SlicePiece(raw, blob.Span{Off: p.Off, Len: p.Len})
		if err == nil && d.hasher.ID(b) != p.ID {
			err = actors.ErrWrongChunk
		}
		if err != nil {
			if bad == nil {
				bad = make([]error, len(f.Pieces))
			}
			bad[i] = err
		}
	}
	return bad
}

// splitFetch isolates the frame that makes a downloader panic.
func splitFetch(j fetchBlob) []fetchBlob {
	parts := make([]fetchBlob, j.Count)
	for i := range parts {
		parts[i] = fetchBlob{Lease: j.Lease, First: j.First + i, Count: 1}
	}
	return parts
}
