package restore

import (
	"sync"

	"vaultik/actors"
	vfs "vaultik/vault/fs"
	"vaultik/vault/plan"
)

// partFiles are the files that are being put together from several chunks. They
// are here, rather than with a writer, so that a writer that crashes loses none.
type partFiles struct {
	slots *actors.Credit // one each; the walker takes them, the planner gives them back

	mu   sync.Mutex
	open map[*restoreItem]*partFile
}

type partFile struct {
	mu    sync.Mutex
	file  *vfs.File
	named bool // it was committed
	attrs vfs.MetaProblems
}

// write puts one chunk in its place; the first one makes the file.
func (p *partFiles) write(
	t *vfs.Target,
	it *restoreItem,
	from plan.Source,
	b []byte,
	at int64,
) error {
	f, err := p.get(t, it, from)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, at)
	return err
}

// get returns the file of an item; the first one makes it.
func (p *partFiles) get(t *vfs.Target, it *restoreItem, from plan.Source) (*vfs.File, error) {
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
		f, err := openFor(t, it, from)
		if err != nil {
			return nil, err
		}
		part.file = f
	}
	return part.file, nil
}

// openFor begins the file of an item, or resumes it.
func openFor(t *vfs.Target, it *restoreItem, from plan.Source) (*vfs.File, error) {
	switch from {
	case plan.SourceInPlace:
		return t.OpenInPlace(it.Path, &it.Entry)
	case plan.FromPart:
		return t.ResumeTemp(it.Path, it.Entry.Size)
	}
	return t.CreateTemp(it.Path, it.Entry.Size)
}

// begun reports whether anything of an item was written.
func (p *partFiles) begun(it *restoreItem) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open[it] != nil
}

// commit completes an item, all of whose chunks are there. A second time, after
// a crash, it says again what the first one did.
func (p *partFiles) commit(
	t *vfs.Target,
	it *restoreItem,
	from plan.Source,
) (vfs.MetaProblems, error) {
	if _, err := p.get(t, it, from); err != nil {
		return nil, err
	}
	p.mu.Lock()
	part := p.open[it]
	p.mu.Unlock()
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

// disown gives up an item that is changed in place.
func (p *partFiles) disown(it *restoreItem) {
	p.mu.Lock()
	part := p.open[it]
	p.mu.Unlock()
	part.mu.Lock()
	defer part.mu.Unlock()
	if part.file != nil && !part.named {
		part.file.Abort()
	}
}

// half reports whether an item that could not be completed is left changed in part.
func (p *partFiles) half(it *restoreItem) bool {
	p.mu.Lock()
	part := p.open[it]
	p.mu.Unlock()
	if part == nil {
		return false
	}
	part.mu.Lock()
	defer part.mu.Unlock()
	return part.file != nil && part.file.Unfinished()
}

// items are those that are not complete.
func (p *partFiles) items() (all []*restoreItem) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for it := range p.open {
		all = append(all, it)
	}
	return all
}

// drop forgets an item that is done.
func (p *partFiles) drop(it *restoreItem) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, it)
}

// abort removes what there is of an item. It reports whether it is left changed in part.
func (p *partFiles) abort(it *restoreItem) (half bool) {
	p.mu.Lock()
	part := p.open[it]
	delete(p.open, it)
	p.mu.Unlock()
	if part == nil {
		return false
	}
	part.mu.Lock()
	defer part.mu.Unlock()
	if part.file == nil {
		return false
	}
	part.file.Abort()
	return part.file.Unfinished()
}

// suspendAll closes what is unfinished: parts stay for the next restore. It
// returns how many, and the items that were to be changed in place and are left changed in part.
func (p *partFiles) suspendAll() (parts int64, half []*restoreItem) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for it, part := range p.open {
		part.mu.Lock()
		if f := part.file; f != nil && !part.named {
			if f.Suspend() {
				parts++
			}
			if f.Unfinished() {
				half = append(half, it)
			}
		}
		part.mu.Unlock()
		delete(p.open, it)
	}
	return parts, half
}
