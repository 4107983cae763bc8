package actors

import (
	"errors"
	"sync"

	"vaultik/messages"
	vfs "vaultik/vault/fs"
)

// partFiles are the files that are being put together from several chunks. They
// are here, rather than with a writer, so that a writer that crashes loses none.
type partFiles struct {
	slots *credit // one each; the walker takes them, the planner gives them back

	mu   sync.Mutex
	open map[*messages.RestoreItem]*partFile
}

type partFile struct {
	mu    sync.Mutex
	file  *vfs.File
	named bool // it was committed
	attrs vfs.MetaProblems
}

// write puts one chunk in its place; the first one makes the file.
func (p *partFiles) write(t *vfs.Target, it *messages.RestoreItem, b []byte, at int64) error {
	f, err := p.get(t, it)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, at)
	return err
}

func (p *partFiles) get(t *vfs.Target, it *messages.RestoreItem) (*vfs.File, error) {
	p.mu.Lock()
	part := p.open[it]
	if part == nil {
		part = &partFile{}
		p.open[it] = part
	}
	p.mu.Unlock()
	part.mu.Lock()
	defer part.mu.Unlock()
	if part.file == nil {
		f, err := t.CreateTemp(it.Path, it.Entry.Size)
		if err != nil {
			return nil, err
		}
		part.file = f
	}
	return part.file, nil
}

// commit completes an item, all of whose chunks are written. A second time, after
// a crash, it says again what the first one did.
func (p *partFiles) commit(it *messages.RestoreItem) (vfs.MetaProblems, error) {
	p.mu.Lock()
	part := p.open[it]
	p.mu.Unlock()
	if part == nil {
		return nil, errors.New("internal error: a file without chunks is complete")
	}
	part.mu.Lock()
	defer part.mu.Unlock()
	if part.named {
		return part.attrs, nil
	}
	var err error
	part.attrs, err = part.file.Commit(&it.Entry)
	part.named = err == nil
	return part.attrs, err
}

// drop forgets an item that is done.
func (p *partFiles) drop(it *messages.RestoreItem) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, it)
}

// abort removes what there is of an item.
func (p *partFiles) abort(it *messages.RestoreItem) {
	p.mu.Lock()
	part := p.open[it]
	delete(p.open, it)
	p.mu.Unlock()
	part.abort()
}

func (p *partFiles) abortAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for it, part := range p.open {
		part.abort()
		delete(p.open, it)
	}
}

func (p *partFile) abort() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file != nil {
		p.file.Abort()
	}
}
