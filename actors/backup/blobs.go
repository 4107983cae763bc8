package backup

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/backends"
	"vaultik/index"
	"vaultik/messages"
	"vaultik/vault/blob"
	"vaultik/vault/layout"
)

// compress keeps the sealers busy, and no more.
func (p *packer) compress(c actor.Context) {
	for len(p.queue) > 0 && p.compressing+len(p.ready) < p.run.Limits.compressing {
		f := p.queue[0]
		p.queue[0] = nil
		p.queue = p.queue[1:]
		var out []byte
		if n := len(p.freeOut); n > 0 {
			out, p.freeOut = p.freeOut[n-1], p.freeOut[:n-1]
		} else {
			out = p.run.Mem.Make(p.run.Limits.frameOut)
		}
		p.compressing++
		c.Request(p.sealers, &messages.Submit[sealing]{Job: sealing{
			Compress: &compress{Frame: f.seq, Raw: f.raw, Out: out},
		}})
	}
}

func (p *packer) compressed(c actor.Context, m *messages.Finished[sealing, sealingDone]) {
	p.compressing--
	if m.Err != nil {
		c.Send(c.Parent(), &messages.StageFailed{Err: fmt.Errorf("compress: %w", m.Err)})
		return
	}
	f := p.frames[m.Job.Compress.Frame]
	f.out = m.Result.Frame
	if f.buf != nil {
		p.unuse(f.buf)
	} else {
		p.freeRaw = append(p.freeRaw, f.raw)
	}
	f.raw, f.buf = nil, nil
	p.ready = append(p.ready, f)
}

// fill appends compressed frames to the open blob, and seals it when it is full.
func (p *packer) fill(c actor.Context) {
	for len(p.ready) > 0 {
		if p.current == nil && !p.openBlob() {
			return
		}
		f, b := p.ready[0], p.current
		if !b.builder.Empty() &&
			b.builder.Len()+len(f.out)+len(f.rows)*maxTable/maxFrameRows > b.target {
			p.closeBlob(c) // the frame does not fit into its buffer
			continue
		}
		p.ready[0] = nil
		p.ready = p.ready[1:]
		off, n := b.builder.AddFrame(f.out, f.rows)
		b.frames = append(b.frames, framePlace{Frame: f.seq, Off: off, Len: n})
		p.freeOut = append(p.freeOut, f.out[:0])
		delete(p.frames, f.seq)
		if b.builder.Len() >= b.target || len(b.builder.Rows()) >= maxRows {
			p.closeBlob(c)
		}
	}
}

func (p *packer) openBlob() bool {
	n := len(p.freeBlobs)
	if n == 0 {
		return false
	}
	buf := p.freeBlobs[n-1]
	p.freeBlobs = p.freeBlobs[:n-1]
	if buf == nil {
		buf = p.run.Mem.Make(p.run.Limits.blobBuffer)[:0]
	}
	target := blob.RandomTarget(p.run.Limits.blobTarget)
	p.current = &openBlob{builder: blob.NewBuilder(buf), buf: buf, target: target}
	return true
}

// closeBlob has the open blob sealed, in its buffer.
func (p *packer) closeBlob(c actor.Context) {
	p.sealNow = false
	b := p.current
	if b == nil {
		return
	}
	p.current = nil
	p.sealed++
	m := &seal{Builder: b.builder}
	p.sealing[m] = b
	c.Request(p.sealers, &messages.Submit[sealing]{Job: sealing{Seal: m}})
}

func (p *packer) blobSealed(c actor.Context, m *messages.Finished[sealing, sealingDone]) {
	b := p.sealing[m.Job.Seal]
	delete(p.sealing, m.Job.Seal)
	sealed, err := sealed(m)
	if err != nil {
		c.Send(c.Parent(), &messages.StageFailed{Err: err})
		return
	}
	b.info = p.run.blobs.add(sealed.Info)
	p.uploading[sealed.Name] = b
	c.Send(p.builder, &blobSealed{Info: b.info, Frames: b.frames})
	c.Request(p.uploaders, &messages.Submit[storeObject]{Job: p.run.blobObject(sealed)})
}

// blobObject is how a blob is stored.
func (r *backupRun) blobObject(s blob.Sealed) storeObject {
	return storeObject{Key: layout.Blob(r.spec.Host.ID, s.Name), Bytes: s.Bytes, Sum: s.Name,
		Parity: r.spec.Parity}
}

func (p *packer) blobStored(c actor.Context, m *messages.Finished[storeObject, objectStored]) {
	if err := stored(m); err != nil {
		c.Send(c.Parent(), &messages.StageFailed{Err: err})
		return
	}
	b := p.uploading[m.Job.Sum]
	delete(p.uploading, m.Job.Sum)
	p.run.acceptedBlob(m)
	p.freeBlobs = append(p.freeBlobs, b.buf)
	b.buf = nil
	p.indexing = append(p.indexing, b)
	stored := index.StoredBlob{Info: *b.info, Rows: b.builder.Rows()}
	c.Request(p.indexer, &writeRows{Batch: &index.Batch{Blobs: []index.StoredBlob{stored}}})
}

// blobIndexed makes the packer forget the chunks of a blob: the index has them from now on.
func (p *packer) blobIndexed(c actor.Context, m *rowsWritten) {
	if m.err != nil {
		c.Send(c.Parent(), &messages.StageFailed{Err: m.err})
		return
	}
	b := p.indexing[0]
	p.indexing[0] = nil
	p.indexing = p.indexing[1:]
	for _, r := range b.builder.Rows() {
		delete(p.seen, r.ID)
	}
	c.Send(p.builder, &blobIndexed{Info: b.info, Frames: b.frames})
}

// finish answers flush once everything is stored; the only blob of a small run
// goes to the tree builder instead, open, for the pages to join it.
func (p *packer) finish(c actor.Context) {
	small := p.current != nil && p.sealed == 0 &&
		p.current.builder.Len() <= p.run.Limits.blobTarget/2
	if small && !p.run.interrupted() {
		b := p.current
		p.current = nil
		for _, r := range b.builder.Rows() {
			delete(p.seen, r.ID) // in another round the index answers, or the chunk is stored again
		}
		p.freeBlobs = append(p.freeBlobs, nil) // its buffer is the tree builder's now
		c.Send(p.builder, &handedOver{Builder: b.builder, Frames: b.frames})
	}
	p.closeBlob(c)
	if len(p.sealing)+len(p.uploading)+len(p.indexing) == 0 {
		p.flushing = false
		c.Send(c.Parent(), &flushed{})
	}
}

// stored returns why an object is not in the store; nil if it is.
func stored(m *messages.Finished[storeObject, objectStored]) error {
	err := m.Err
	if err == nil {
		err = m.Result.Err
	}
	if err != nil {
		return notStored(m.Job.Key, err)
	}
	return nil
}

// notStored is the error for an object that could not be stored, whose key backends name.
func notStored(key string, err error) error {
	if of := (*backends.OpError)(nil); errors.As(err, &of) && of.Key == key {
		return err
	}
	return fmt.Errorf("store %s: %w", key, err)
}

// sealed is the blob, or why it could not be sealed.
func sealed(m *messages.Finished[sealing, sealingDone]) (blob.Sealed, error) {
	err := m.Err
	if err == nil {
		err = m.Result.Err
	}
	if err != nil {
		return blob.Sealed{}, fmt.Errorf("seal blob: %w", err)
	}
	return m.Result.Sealed, nil
}
