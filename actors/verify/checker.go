package verify

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"vaultik/actors"
	"vaultik/actors/survey"
	"vaultik/backends"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/parity"
	"vaultik/vault/plan"
)

// checker looks at one object a lease.
type checker struct {
	run     *verifyRun
	zstd    *blob.Decompressor
	hashers [][]*chunk.Hasher // by host
	frame   []byte
}

func newChecker(run *verifyRun) actors.Work[checking, checkDone] {
	k := &checker{run: run, zstd: blob.NewDecompressor()}
	return k.check
}

func (k *checker) check(_ int, job checking) (done checkDone) {
	k.run.faults.Downloader()
	switch o := job.Object; {
	case o != nil && o.Way == byAsking:
		done = k.ask(o)
	case o != nil && o.Way == byDrill:
		done = k.drill(o)
	case o != nil && o.Way == byParity:
		done.Err = k.parity(o)
	case o != nil:
		done = k.object(o)
	case job.Key != nil:
		done = k.openKey(job.Key)
	case job.File != nil:
		done = k.restore(job.File)
	default:
		done = k.refs(job.Refs)
	}
	done.Fatal = done.Err != nil && (k.run.Ctx.Err() != nil || actors.StoreGone(done.Err))
	return done
}

// ask compares the SHA-256 that the store has of an object.
func (k *checker) ask(o *objectCheck) (done checkDone) {
	info, err := k.run.spec.Store.Stat(k.run.Ctx, o.Key)
	switch {
	case err != nil:
		done.Err = err
	case info.SHA256 == nil:
		done.Unvouched = true
	case [32]byte(info.SHA256) != o.Sum:
		done.Err = fmt.Errorf("%w: the store says that it has another SHA-256", blob.ErrDamaged)
	}
	return done
}

// object downloads an object and checks its hash; a blob whose keys are known
// is decrypted too, from the same bytes.
func (k *checker) object(o *objectCheck) (done checkDone) {
	buf, err := k.run.Buffers.Acquire(k.run.Ctx)
	if err != nil {
		done.Err = err
		return done
	}
	defer k.run.Buffers.Release(buf)
	if o.Size > survey.BufferSize {
		return k.large(o, buf.B[:cap(buf.B)])
	}
	b, err := backends.ReadRange(k.run.Ctx, k.run.spec.Store, o.Key, 0, o.Size, buf.B)
	if err != nil {
		done.Err = actors.DamagedIfShort(err)
		return done
	}
	k.run.survey.Fetched.Add(int64(len(b)))
	if sha256.Sum256(b) != o.Sum {
		done.Err = actors.ErrWrongSum
		return done
	}
	if o.Blob != nil {
		done.Chunks, done.Err = k.whole(o, b)
	}
	return done
}

// parity downloads the parity of a blob and checks it.
func (k *checker) parity(o *objectCheck) error {
	in, _, err := k.run.spec.Store.Get(k.run.Ctx, o.Key, 0, o.Size)
	if err != nil {
		return actors.DamagedIfShort(err)
	}
	defer func() { _ = in.Close() }()
	k.run.survey.Fetched.Add(o.Size)
	return parity.Check(in, o.Sum)
}

// whole checks the chunks of a blob that is in memory, which it decrypts there.
func (k *checker) whole(o *objectCheck, b []byte) (int64, error) {
	hdr, _, err := blob.HeaderSum(b)
	if err != nil {
		return 0, err
	}
	r, err := blob.OpenBytes(blob.Info{Name: o.Sum, Hdr: hdr, Size: o.Size}, b,
		k.run.hosts[o.Blob.Host].ids)
	if err != nil {
		return 0, err
	}
	return k.chunks(r, o.Blob.Host, false)
}

// large checks an object that does not fit into a buffer. A blob of that size is
// read twice: first as a whole, then in parts.
func (k *checker) large(o *objectCheck, buf []byte) (done checkDone) {
	in, _, err := k.run.spec.Store.Get(k.run.Ctx, o.Key, 0, o.Size)
	if err != nil {
		done.Err = actors.DamagedIfShort(err)
		return done
	}
	defer func() { _ = in.Close() }()
	head, sum, err := k.stream(in, buf)
	if err != nil {
		done.Err = err
		return done
	}
	if sum != o.Sum {
		done.Err = actors.ErrWrongSum
		return done
	}
	if o.Blob == nil {
		return done
	}
	info := blob.Info{Name: o.Sum, Size: o.Size}
	if info.Hdr, _, done.Err = blob.HeaderSum(head); done.Err != nil {
		return done
	}
	h := o.Blob.Host
	fetch := actors.FetchFrom(k.run.spec.Store, k.run.survey.Inventory.Hosts()[h], info.Name,
		&k.run.survey.Fetched)
	r, err := blob.Open(k.run.Ctx, info, fetch, k.run.hosts[h].ids)
	if err != nil {
		done.Err = err
		return done
	}
	done.Chunks, done.Err = k.chunks(r, h, true)
	return done
}

// stream reads an object to its end, and returns its beginning and its SHA-256.
func (k *checker) stream(in io.Reader, buf []byte) (head []byte, sum [32]byte, err error) {
	hash := sha256.New()
	for err == nil {
		var n int
		n, err = io.ReadFull(in, buf)
		k.run.survey.Fetched.Add(int64(n))
		if head == nil {
			head = append(head, buf[:min(n, 512<<10)]...)
		}
		_, _ = hash.Write(buf[:n])
	}
	if op := (*backends.OpError)(nil); errors.As(err, &op) ||
		!errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, sum, err
	}
	return head, [32]byte(hash.Sum(nil)), nil
}

// chunks decodes every frame of a blob and checks the id of every chunk by its table.
func (k *checker) chunks(r *blob.Reader, host int, ranged bool) (n int64, err error) {
	rows, err := r.Table(k.run.Ctx)
	if err != nil {
		return 0, err
	}
	loaded := int64(0)
	var raw []byte
	for i := range rows {
		s := &rows[i].Span
		if i == 0 || s.FrameOff != rows[i-1].FrameOff || s.FrameLen != rows[i-1].FrameLen {
			off := int64(s.FrameOff)
			if end := off + int64(s.FrameLen); ranged && end > loaded {
				loaded = min(max(end, off+plan.MaxRange), r.Size())
				if err := r.Load(k.run.Ctx, off, loaded-off); err != nil {
					return n, err
				}
			}
			raw, err = r.Frame(k.run.Ctx, k.zstd, k.frame, s.FrameOff, s.FrameLen, -1)
			if err != nil {
				return n, err
			}
			k.frame = raw
		}
		b, err := actors.SlicePiece(raw, *s)
		if err != nil {
			return n, err
		}
		if !k.is(host, b, &rows[i]) {
			return n, fmt.Errorf("%w: the chunk at %d of the frame at %d does not match its id",
				blob.ErrDamaged, s.Off, s.FrameOff)
		}
		n++
	}
	return n, nil
}

// is reports whether a chunk has the id of its row, by one of the host's keys.
func (k *checker) is(host int, b []byte, row *blob.TableRow) bool {
	for len(k.hashers) <= host {
		k.hashers = append(k.hashers, nil)
	}
	if k.hashers[host] == nil {
		for _, key := range k.run.hosts[host].chunkID {
			k.hashers[host] = append(k.hashers[host], chunk.NewHasher(key))
		}
	}
	for _, h := range k.hashers[host] {
		if row.Matches(h.ID(b)) {
			return true
		}
	}
	return false
}

// refs compares references of pages with the table of their blob.
func (k *checker) refs(job *refsCheck) (done checkDone) {
	l := job.Lease
	sums, err := job.Pages.tableOf(k.run.Ctx, job.From, l.Info)
	if err != nil {
		done.Err = err
		for i := range l.Frames {
			for k := range l.Frames[i].Pieces {
				done.Affected(l.Frames[i].Pieces[k].To)
			}
		}
		return done
	}
	for i := range l.Frames {
		f := &l.Frames[i]
		for n := range f.Pieces {
			p := &f.Pieces[n]
			span := blob.Span{FrameOff: f.Off, FrameLen: f.Len, Off: p.Off, Len: p.Len}
			if !job.Pages.tables.in(sums, span, p.ID[:]) {
				done.Err = fmt.Errorf("%w: its table has no such chunk", survey.ErrReference)
				done.Affected(p.To)
			}
		}
	}
	return done
}
