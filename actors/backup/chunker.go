package backup

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"

	"vaultik/actors"
	"vaultik/messages"
	"vaultik/vault/chunk"
	vfs "vaultik/vault/fs"
	"vaultik/vault/page"
)

// sparseSize is the size from which a file is asked for its holes: smaller holes
// than this are stored as zeros.
const sparseSize = 64 << 10

// chunker reads entries: their metadata, and the content of files that the index
// does not know. It is a leaf; one batch a lease.
type chunker struct {
	run    *backupRun
	packer func(any)
	again  func(readEntries) // to be read by any chunker
	cutter *chunk.Cutter
	hasher *chunk.Hasher
	names  *vfs.NameCache
	touch  *actors.Touch
	bytes  int64 // read of the file under way; holes are not
	before *comparison
	// reading is of the file under way, if it has other names.
	reading *linkedReading

	// of the batch under way
	leaf    uint64
	attempt int
	buf     *messages.Buf
	pieces  []piece
	done    []entryDone
	aside   []asideName
}

// batchRead ends a readEntries job. The results themselves go to the packer.
type batchRead struct{ err error }

func newChunker(
	run *backupRun, packer func(any), again func(readEntries),
) actors.Work[readEntries, batchRead] {
	secret := run.spec.Host.Secret
	cutter, err := chunk.NewCutter(run.spec.Chunks, secret.Chunker())
	if err != nil {
		panic(err) // the parameters were validated with the job
	}
	k := &chunker{
		run: run, packer: packer, again: again,
		cutter: cutter, hasher: chunk.NewHasher(secret.ChunkID()),
		names: vfs.NewNameCache(), touch: run.watch.Touch(),
	}
	return k.read
}

func (k *chunker) read(attempt int, job readEntries) batchRead {
	k.leaf, k.attempt = job.Leaf, attempt
	k.pieces, k.done, k.aside = nil, nil, nil
	defer func() {
		k.touch.Leave()
		if k.buf != nil { // after a panic or a cancelled job
			k.run.Bufs.Release(k.buf)
			k.buf = nil
		}
	}()
	for i := range job.Tasks {
		t := &job.Tasks[i]
		k.run.faults.Chunker(t.Path)
		if err := k.entry(t); err != nil {
			return batchRead{err}
		}
	}
	k.flush()
	k.putAside()
	return batchRead{}
}

// entry reads one entry. Its error ends the batch: the job is ending.
func (k *chunker) entry(t *entryTask) error {
	d := entryDone{Index: t.Index, Stat: t.Stat, Status: messages.StatusUnchanged}
	d.Entry.Path = t.Path
	if t.Failed != nil {
		k.fail(&d, t.Failed)
		return nil
	}
	st := t.Stat
	abs := absolute(t.Path)
	k.run.spec.Progress.SetCurrent(abs)
	switch {
	case t.Made:
		return k.made(t, &d)
	case t.Unseen:
		st.Fill(&d.Entry, k.names)
		k.captured(t, &d, nil)
		return nil
	}
	var known *linkedFile // whose content another name has told
	if k.attempt == 1 && k.run.linked(t) {
		f, mine, whole := k.run.links.claim(&t.Stat)
		switch {
		case !mine && !whole:
			k.aside = append(k.aside, asideName{f, t})
			return nil // it comes again
		case mine:
			r := &linkedReading{}
			k.reading = r
			defer func() {
				k.reading = nil
				for _, names := range k.run.links.end(f, r) {
					k.again(names)
				}
			}()
		default:
			known = f
		}
	}
	k.touch.Enter(abs)
	defer k.touch.Leave()
	attrs := k.run.spec.Attrs
	capture := func() error { return vfs.CaptureMeta(abs, &st, &d.Entry, k.names, attrs) }
	if t.readsContent() {
		d.Status = t.status()
		k.before = compareWith(t)
		var f *os.File
		var err error
		if known != nil {
			k.reuse(t, &d, known)
		} else {
			f, err = k.content(abs, &st, &d)
		}
		switch {
		case err == nil:
			if f != nil {
				defer func() { _ = f.Close() }()
				capture = func() error { return vfs.CaptureOpen(f, &st, &d.Entry, k.names, attrs) }
			}
			k.wholeLinked(t, &st, &d)
			if k.before.same() && d.Status == messages.StatusChanged {
				d.Status, d.Entry.Refs = messages.StatusUnchanged, t.Known.Refs
			}
		case k.run.ctx.Err() != nil || errors.Is(err, actors.ErrInterrupted):
			return err
		case t.Reread && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, vfs.ErrSwapped):
			k.unread(t, &d, err)
			return nil
		case f == nil && st.Size == 0 && errors.Is(err, fs.ErrPermission):
			// It says it is empty, so its attributes are all that there is to save.
		default:
			k.fail(&d, err)
			return nil
		}
	}
	if t.Anew {
		if err := k.anew(abs, t, &d); err != nil {
			return err
		}
	}
	d.Stat = st
	k.captured(t, &d, capture())
	return nil
}

// unread ends a file that is known and could not be read again: what was saved of it stays
// in the snapshot, which is better than nothing.
func (k *chunker) unread(t *entryTask, d *entryDone, err error) {
	abs := absolute(t.Path)
	k.pieces = append(k.pieces, piece{Index: t.Index, Restart: true})
	d.Stat, d.Read, d.Entry.Refs = t.Stat, vfs.Moment{}, t.Known.Refs
	meta := vfs.CaptureMeta(abs, &t.Stat, &d.Entry, k.names, k.run.spec.Attrs)
	k.describe(t, d)
	d.failed(t.Path, errors.Join(err, k.run.minor(t, meta)))
	d.Reason += "; what was saved before is kept"
	k.done = append(k.done, *d)
}

// readsContent reports whether an entry is a file that is read.
func (t *entryTask) readsContent() bool {
	return t.Stat.Type == page.File && (t.Known == nil || t.Reread)
}

// status is that of a file whose content must be read.
func (t *entryTask) status() messages.Status {
	if t.Seen {
		return messages.StatusChanged
	}
	return messages.StatusNew
}

// captured ends an entry whose content, if any, was read; err says what went wrong with
// its attributes.
func (k *chunker) captured(t *entryTask, d *entryDone, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		k.fail(d, err)
		return
	}
	if err = k.run.minor(t, err); err != nil { // the content is safe, some attribute is not
		d.failed(t.Path, err)
	}
	k.describe(t, d)
	k.done = append(k.done, *d)
}

// describe completes an entry that was read.
func (k *chunker) describe(t *entryTask, d *entryDone) {
	st := &d.Stat
	d.Entry.Path, d.Entry.Implied = t.Path, t.Implied
	if st.Type == page.File {
		d.Entry.Size = st.Size
	}
	d.Entry.HL = k.run.hardLink(st, t.Path)
	if t.Known != nil && !t.Reread && !d.Moved {
		d.Entry.Refs = t.Known.Refs
	}
	if t.Unlisted != nil {
		d.failed(t.Path, t.Unlisted)
	}
	d.Racy = d.Racy || d.Status == messages.StatusInMotion || d.Status == messages.StatusFailed
}

// fail drops the entry from the snapshot, and says why.
func (k *chunker) fail(d *entryDone, err error) {
	d.failed(d.Entry.Path, err)
	d.Dropped = true
	if errors.Is(err, fs.ErrNotExist) {
		d.Status, d.Reason = messages.StatusVanished, "vanished during the backup"
	}
	k.done = append(k.done, *d)
}

// failed says why an entry is missing, or not complete.
func (d *entryDone) failed(path string, err error) {
	d.Status, d.Reason = messages.StatusFailed, vfs.Reason(absolute(path), err)
	d.Denied = errors.Is(err, fs.ErrPermission)
}

// content opens and reads a file, and sets st to what was true of the bytes that
// were read. The file stays open, so that its attributes can be read.
func (k *chunker) content(abs string, st *vfs.Stat, d *entryDone) (*os.File, error) {
	d.Read = k.run.moment(st.Dev)
	f, now, err := vfs.OpenFile(abs, st)
	if err != nil {
		return nil, err
	}
	if err := k.settled(f, now, abs, st, d); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// settled reads an open file, once more if it changed meanwhile.
func (k *chunker) settled(f *os.File, now vfs.Stat, abs string, st *vfs.Stat, d *entryDone) error {
	for again := false; ; again = true {
		if again {
			k.pieces = append(k.pieces, piece{Index: d.Index, Restart: true})
		}
		k.before.restart()
		k.reading.restart()
		k.bytes = 0
		n, err := k.contentOnce(f, now.Size, d)
		d.BytesRead += k.bytes
		if err != nil {
			return err
		}
		k.run.faults.Read(abs)
		looked := k.run.moment(now.Dev)
		after, err := vfs.Fstat(f)
		if err != nil {
			return err
		}
		*st = now
		st.Size = n
		whole := n == now.Size || now.Size == 0 && !k.run.spec.Fixed
		switch {
		case whole && after.Size == now.Size && after.Mtime == now.Mtime &&
			after.Ctime == now.Ctime:
			return nil
		case whole && after.Size > now.Size && k.run.spec.Fixed:
			return nil // saved as it was when opened; the next run sees that it grew
		}
		if again {
			d.Status = messages.StatusInMotion
			d.Reason = "changed while being read; the last reading was saved"
			return nil
		}
		now, d.Read = after, looked
	}
}

// contentOnce sends the file's bytes as pieces, at most size of them unless that
// is 0, and returns how many bytes of file they stand for, holes included.
func (k *chunker) contentOnce(f *os.File, size int64, d *entryDone) (int64, error) {
	index := d.Index
	if size == 0 {
		return k.unsized(f, d)
	}
	if size <= int64(k.run.spec.Chunks.Min) {
		if size < sparseSize {
			return k.small(touched{f, k}, size, index)
		}
	}
	extents, err := vfs.Extents(f, size)
	if err != nil {
		return 0, err
	}
	var pos int64
	for _, e := range extents {
		if e.Off > pos {
			k.hole(index, e.Off-pos)
			pos = e.Off
		}
		n, err := k.extent(touched{f, k}, e, index)
		pos += n
		if err != nil || n < e.Len {
			return pos, err
		}
	}
	if pos < size {
		k.hole(index, size-pos)
		pos = size
	}
	return pos, nil
}

// unsized reads a file of size 0. Those of some file systems, such as /proc, have
// content all the same; it ends where reading ends.
func (k *chunker) unsized(f *os.File, d *entryDone) (int64, error) {
	var probe [1]byte
	r := touched{f, k}
	k.touch.Again()
	n, err := f.ReadAt(probe[:], 0)
	switch {
	case n > 0 && k.run.spec.Fixed:
		d.Racy = true // a run that is not Fixed reads its content
		return 0, nil
	case n > 0:
		return k.cut(littleReader{io.NewSectionReader(r, 0, math.MaxInt64)}, d.Index)
	case errors.Is(err, io.EOF):
		return 0, nil
	}
	return 0, err
}

// littleReader asks for little at a time: some files of /proc refuse to be read into
// a large buffer, whatever they hold.
type littleReader struct{ io.Reader }

// Read implements io.Reader.
func (r littleReader) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 64<<10)]) }

// touched is a file whose reads are watched, and counted.
type touched struct {
	io.ReaderAt
	k *chunker
}

// ReadAt implements io.ReaderAt.
func (t touched) ReadAt(p []byte, off int64) (int, error) {
	t.k.touch.Again()
	n, err := t.ReaderAt.ReadAt(p, off)
	t.k.bytes += int64(n)
	return n, err
}

// small reads a file that is one chunk straight into the buffer.
func (k *chunker) small(f io.ReaderAt, size int64, index int) (int64, error) {
	dst, err := k.room(int(size))
	if err != nil {
		return 0, err
	}
	n, err := f.ReadAt(dst, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if n > 0 {
		k.piece(index, n)
	}
	return int64(n), nil
}

// extent cuts one run of data. An extent starts a new chunk.
func (k *chunker) extent(f io.ReaderAt, e vfs.Extent, index int) (int64, error) {
	r := io.NewSectionReader(f, e.Off, e.Len)
	if e.Len <= int64(k.run.spec.Chunks.Min) {
		return k.small(r, e.Len, index)
	}
	return k.cut(r, index)
}

// cut cuts all that r has.
func (k *chunker) cut(r io.Reader, index int) (int64, error) {
	k.cutter.Reset(r)
	var n int64
	for {
		if err := k.stopped(); err != nil {
			return n, err
		}
		b, err := k.cutter.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		dst, err := k.room(len(b))
		if err != nil {
			return n, err
		}
		copy(dst, b)
		k.piece(index, len(b))
		n += int64(len(b))
	}
}

func (k *chunker) stopped() error {
	if err := k.run.ctx.Err(); err != nil {
		return context.Cause(k.run.ctx)
	}
	if k.run.reading.Err() != nil {
		return actors.ErrInterrupted
	}
	return nil
}

// room returns n free bytes of the buffer, after sending what is in its way.
func (k *chunker) room(n int) ([]byte, error) {
	if k.buf != nil && cap(k.buf.B)-len(k.buf.B) < n {
		k.flush()
	}
	if k.buf == nil {
		path, reading := k.touch.Leave() // Acquire waits for the store, not for the file
		b, err := k.run.Bufs.Acquire(k.run.ctx)
		if err != nil {
			return nil, err
		}
		if reading {
			k.touch.Enter(path)
		}
		k.buf = b
	}
	used := len(k.buf.B)
	return k.buf.B[used : used+n], nil
}

// piece takes the next n bytes of the buffer as one chunk.
func (k *chunker) piece(index, n int) {
	off := len(k.buf.B)
	k.buf.B = k.buf.B[:off+n]
	id := k.hasher.ID(k.buf.B[off : off+n])
	k.send(piece{Index: index, ID: id, Off: off, Len: n})
}

func (k *chunker) hole(index int, n int64) {
	k.send(piece{Index: index, Hole: n})
}

// send takes the next chunk or hole of the file under way.
func (k *chunker) send(p piece) {
	k.before.add(page.Ref{ID: p.ID, Hole: p.Hole})
	k.reading.add(p.ID, p.Hole+int64(p.Len))
	k.pieces = append(k.pieces, p)
}

func (k *chunker) flush() {
	if k.buf != nil && len(k.buf.B) == 0 {
		k.run.Bufs.Release(k.buf)
		k.buf = nil
	}
	if len(k.pieces) == 0 && len(k.done) == 0 && k.buf == nil {
		return
	}
	m := &entriesRead{Leaf: k.leaf, Attempt: k.attempt, Buf: k.buf, Pieces: k.pieces, Done: k.done}
	k.buf, k.pieces, k.done = nil, nil, nil
	k.packer(m)
}

// splitBatch isolates the entry that makes a chunker panic.
func splitBatch(j readEntries) []readEntries {
	parts := make([]readEntries, len(j.Tasks))
	for i := range j.Tasks {
		parts[i] = readEntries{Leaf: j.Leaf, Tasks: j.Tasks[i : i+1]}
	}
	return parts
}
