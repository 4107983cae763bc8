package backup

import (
	"errors"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/index"
	"vaultik/messages"
	"vaultik/vault/blob"
	"vaultik/vault/chunk"
	"vaultik/vault/page"
)

// maxRows seals a blob of very small chunks before its table, and the leaves
// that wait for it, grow large.
const maxRows = 16 << 10

// packer decides which chunks are stored already, groups the others into frames
// and frames into blobs, and follows each blob until the index knows it. It is
// the one authority on what is stored: what this run has promised, then the index.
type packer struct {
	run                                  *backupRun
	sealers, uploaders, indexer, builder *actor.PID

	backlog []*entriesRead
	placed  []placed    // of the first message in the backlog, not passed on yet
	next    int         // its next piece
	ask     []chunk.ID  // its chunks that this run has not promised ...
	found   []index.Loc // ... and what the index says of them
	known   map[chunk.ID]index.Loc

	seen     map[chunk.ID]promise // in frames that the index does not know yet
	frames   map[uint64]*frame
	frameSeq uint64
	open     *frame // collects small chunks
	freeRaw  [][]byte
	bufUses  map[*messages.Buf]int

	queue       []*frame // to be compressed
	compressing int
	freeOut     [][]byte
	ready       []*frame // compressed, to be put into a blob

	current   *openBlob
	freeBlobs [][]byte
	sealing   map[*seal]*openBlob
	uploading map[[32]byte]*openBlob
	indexing  []*openBlob // in the order of the rows sent to the indexer
	sealed    int         // blobs in this run

	flushing bool
	sealNow  bool
}

type promise struct {
	frame uint64
	off   uint32
}

type frame struct {
	seq  uint64
	raw  []byte
	rows []blob.Row
	buf  *messages.Buf // whose bytes raw aliases; nil: raw is one of the packer's own
	out  []byte
}

type openBlob struct {
	builder *blob.Builder
	buf     []byte // that the builder works in, and seals in place
	target  int
	frames  []framePlace
	info    *blob.Info // once sealed
}

func newPacker(run *backupRun, sealers, uploaders, indexer, builder *actor.PID) actor.Actor {
	p := &packer{
		run: run, sealers: sealers, uploaders: uploaders, indexer: indexer, builder: builder,
		known: map[chunk.ID]index.Loc{}, seen: map[chunk.ID]promise{}, frames: map[uint64]*frame{},
		bufUses: map[*messages.Buf]int{}, sealing: map[*seal]*openBlob{},
		uploading: map[[32]byte]*openBlob{},
	}
	p.freeRaw = make([][]byte, run.Limits.Frames)
	p.freeBlobs = make([][]byte, run.Limits.blobs)
	return p
}

func (p *packer) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *entriesRead:
		p.run.faults.Packer()
		p.backlog = append(p.backlog, m)
	case *messages.Finished[sealing, sealingDone]:
		if m.Job.Compress != nil {
			p.compressed(c, m)
		} else {
			p.blobSealed(c, m)
		}
	case *messages.Finished[storeObject, objectStored]:
		p.blobStored(c, m)
	case *rowsWritten:
		p.blobIndexed(c, m)
	case *sealNow:
		p.sealNow = true
	case *flush:
		p.flushing = true
	default:
		return
	}
	p.advance(c)
}

// advance does all that the free buffers allow.
func (p *packer) advance(c actor.Context) {
	for len(p.backlog) > 0 && p.decide(c, p.backlog[0]) {
		p.backlog[0] = nil
		p.backlog = p.backlog[1:]
	}
	if (p.flushing || p.sealNow) && len(p.backlog) == 0 {
		p.closeFrame()
	}
	p.compress(c)
	p.fill(c)
	packed := len(p.backlog) == 0 && p.open == nil && len(p.frames) == 0
	switch {
	case packed && p.flushing:
		p.finish(c)
	case packed && p.sealNow:
		p.closeBlob(c)
	}
}

// decide places the pieces of one message; false if it must wait for a frame buffer.
func (p *packer) decide(c actor.Context, m *entriesRead) bool {
	if p.next == 0 {
		if m.Buf != nil {
			p.bufUses[m.Buf] = 1
		}
		p.placed = make([]placed, 0, len(m.Pieces))
		if err := p.lookUp(m.Pieces); err != nil {
			c.Send(c.Parent(), &messages.StageFailed{Err: err})
			return true
		}
	}
	for ; p.next < len(m.Pieces); p.next++ {
		pc := &m.Pieces[p.next]
		switch {
		case pc.Restart:
			p.placed = append(p.placed, placed{Index: pc.Index, Restart: true})
		case pc.Known != nil:
			p.placed = append(p.placed, placed{Index: pc.Index, Ref: *pc.Known})
		case pc.Hole > 0:
			p.placed = append(p.placed, placed{Index: pc.Index, Ref: page.Ref{Hole: pc.Hole}})
		default:
			if err := p.lookUpSent(pc); err != nil {
				c.Send(c.Parent(), &messages.StageFailed{Err: err})
				return true
			}
			pl, ok := p.place(m.Buf, pc)
			if !ok {
				// The frames promised so far may be in the index before the next one is free:
				// the tree builder must have heard of the promises first.
				p.tell(c, m, nil)
				return false
			}
			p.placed = append(p.placed, pl)
		}
	}
	p.tell(c, m, m.Done)
	p.next = 0
	if m.Buf != nil {
		p.unuse(m.Buf)
	}
	return true
}

// tell passes on what has been placed.
func (p *packer) tell(c actor.Context, m *entriesRead, done []entryDone) {
	if len(p.placed)+len(done) > 0 {
		c.Send(p.builder,
			&entriesPlaced{Leaf: m.Leaf, Attempt: m.Attempt, Pieces: p.placed, Done: done})
	}
	p.placed = nil
}

// lookUp asks the index once for all chunks of a message that this run has not promised.
func (p *packer) lookUp(pieces []piece) error {
	p.ask, p.found = p.ask[:0], p.found[:0]
	clear(p.known)
	for i := range pieces {
		if pc := &pieces[i]; pc.Len > 0 {
			if _, ok := p.seen[pc.ID]; !ok {
				p.ask = append(p.ask, pc.ID)
			}
		}
	}
	if len(p.ask) == 0 {
		return nil
	}
	for range p.ask {
		p.found = append(p.found, index.Loc{})
	}
	if err := p.run.spec.Index.Chunks(p.ask, p.found); err != nil {
		return err
	}
	for i, loc := range p.found {
		if loc.Blob != 0 {
			p.known[p.ask[i]] = loc
		}
	}
	return nil
}

// lookUpSent makes sure that place finds a chunk whose bytes do not come again. What was
// promised when the message came may be in the index by now, and only there.
func (p *packer) lookUpSent(pc *piece) error {
	if !pc.Sent {
		return nil
	}
	if _, ok := p.seen[pc.ID]; ok {
		return nil
	}
	if _, ok := p.known[pc.ID]; !ok {
		ids, found := [1]chunk.ID{pc.ID}, [1]index.Loc{}
		if err := p.run.spec.Index.Chunks(ids[:], found[:]); err != nil {
			return err
		}
		p.known[pc.ID] = found[0]
	}
	if _, ok := p.run.blobs.info(p.known[pc.ID].Blob); !ok {
		return errors.New("internal error: the contents of a file with several names are not " +
			"where they were stored")
	}
	return nil
}

func (p *packer) place(buf *messages.Buf, pc *piece) (placed, bool) {
	pl := placed{Index: pc.Index, Ref: page.Ref{ID: pc.ID}}
	if s, ok := p.seen[pc.ID]; ok {
		pl.Frame, pl.Ref.Span = s.frame, blob.Span{Off: s.off, Len: uint32(pc.Len)}
		return pl, true
	}
	if loc, ok := p.known[pc.ID]; ok {
		info, ok := p.run.blobs.info(loc.Blob)
		if ok && !(pc.Anew && p.run.compaction.leaves(info)) {
			pl.Ref.Blob, pl.Ref.Span = info, loc.Span
			return pl, true
		}
	}
	data := buf.B[pc.Off : pc.Off+pc.Len]
	f, off, ok := p.keep(buf, data, pc.ID)
	if !ok {
		return pl, false
	}
	if pc.Anew {
		p.run.compaction.stored.Add(int64(pc.Len))
	}
	p.seen[pc.ID] = promise{f, off}
	pl.Frame, pl.Ref.Span = f, blob.Span{Off: off, Len: uint32(pc.Len)}
	return pl, true
}

// keep puts a new chunk into a frame: its own, or the open one.
func (p *packer) keep(
	buf *messages.Buf,
	data []byte,
	id chunk.ID,
) (seq uint64, off uint32, ok bool) {
	row := blob.Row{ID: id, Span: blob.Span{Len: uint32(len(data))}}
	if len(data) >= blob.SmallChunk {
		f := p.newFrame()
		f.raw, f.buf, f.rows = data, buf, []blob.Row{row}
		p.bufUses[buf]++
		p.queue = append(p.queue, f)
		return f.seq, 0, true
	}
	if o := p.open; o != nil &&
		(len(o.raw)+len(data) > blob.FrameTarget || len(o.rows) >= maxFrameRows) {
		p.closeFrame()
	}
	if p.open == nil {
		n := len(p.freeRaw)
		if n == 0 {
			return 0, 0, false
		}
		f := p.newFrame()
		f.raw, p.freeRaw = p.freeRaw[n-1], p.freeRaw[:n-1]
		if f.raw == nil {
			f.raw = p.run.Mem.Make(blob.FrameTarget)
		}
		f.raw = f.raw[:0]
		p.open = f
	}
	row.Off = uint32(len(p.open.raw))
	p.open.raw = append(p.open.raw, data...)
	p.open.rows = append(p.open.rows, row)
	return p.open.seq, row.Off, true
}

func (p *packer) newFrame() *frame {
	p.frameSeq++
	f := &frame{seq: p.frameSeq}
	p.frames[f.seq] = f
	return f
}

func (p *packer) closeFrame() {
	if p.open != nil {
		p.queue = append(p.queue, p.open)
		p.open = nil
	}
}

func (p *packer) unuse(b *messages.Buf) {
	if p.bufUses[b]--; p.bufUses[b] == 0 {
		delete(p.bufUses, b)
		p.run.Bufs.Release(b)
	}
}
