package backup

import (
	"slices"
	"sync"

	"vaultik/vault/chunk"
	vfs "vaultik/vault/fs"
)

// Bounds of what is remembered of files with hard links, in chunks and holes of 40 bytes: of
// one file, and of all, each of which counts as linkedCost more. Where all are full they are
// forgotten, and a larger file is not remembered: such files are read once a name.
const (
	maxLinked    = 32 << 10
	maxAllLinked = 128 << 10
	linkedCost   = 8
)

// linkedFiles remembers what was read in this round of files with several hard links, so
// that each is read once, not once a name. Nobody waits for a reading: a name that comes
// meanwhile is put aside, and the reading, however it ends, sends it to the chunkers again.
// Whoever has panicked in a batch has no part in this when it is tried again: each file is
// claimed at most once a name, so this comes to an end. Safe for many goroutines.
type linkedFiles struct {
	mu    sync.Mutex
	files map[vfs.Stat]*linkedFile
	size  int // of what is remembered, in chunks and holes
}

// linkedFile is a file that has been read, or is being read.
type linkedFile struct {
	key   vfs.Stat
	aside []readEntries // names that came while it was being read
	names uint64        // that have not come since then

	ended  bool // its reading; what follows is set then
	whole  bool // all bytes are with the packer, and nothing changed meanwhile
	read   vfs.Moment
	chunks []linkedChunk
}

// linkedChunk is a chunk of n bytes, or a hole if id is zero.
type linkedChunk struct {
	id chunk.ID
	n  int64
}

// linkedKey is all that tells the state of a file. How many blocks it takes may change by
// itself after it was written.
func linkedKey(st *vfs.Stat) vfs.Stat {
	key := *st
	key.Blocks = 0
	return key
}

// claim returns the file that st describes. If mine is set the caller has to read it, and to
// call end. If neither that nor whole is, another one reads it: see putAside.
func (l *linkedFiles) claim(st *vfs.Stat) (f *linkedFile, mine, whole bool) {
	key := linkedKey(st)
	l.mu.Lock()
	defer l.mu.Unlock()
	f = l.files[key]
	switch {
	case f == nil:
		if l.files == nil || l.size >= maxAllLinked {
			l.files, l.size = map[vfs.Stat]*linkedFile{}, 0
		}
		f = &linkedFile{key: key, names: st.Nlink - 1}
		l.files[key] = f
		l.size += linkedCost
		return f, true, false
	case !f.whole:
		return f, false, false
	}
	if f.names--; f.names == 0 {
		l.drop(f)
	}
	return f, false, true
}

// putAside keeps a name, a batch of one, until the reading of its file ends; false if it has
// ended. Names of one leaf are kept together, so that they are few batches.
func (l *linkedFiles) putAside(f *linkedFile, name readEntries) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.ended {
		return false
	}
	if n := len(f.aside) - 1; n >= 0 && f.aside[n].Leaf == name.Leaf &&
		len(f.aside[n].Tasks) < batchEntries {
		f.aside[n].Tasks = append(f.aside[n].Tasks, name.Tasks...)
		return true
	}
	f.aside = append(f.aside, name)
	return true
}

// end ends the reading of a file by whoever claimed it. If it was not read as a whole the
// next name reads it. The names that were put aside are to be sent to the chunkers again.
func (l *linkedFiles) end(f *linkedFile, read *linkedReading) (aside []readEntries) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if read.whole {
		f.whole, f.read, f.chunks = true, read.read, slices.Clone(read.chunks)
	}
	aside, f.aside, f.ended = f.aside, nil, true
	switch {
	case l.files[f.key] != f: // forgotten meanwhile
	case f.whole:
		l.size += len(f.chunks)
	default:
		l.drop(f) // the next name reads it
	}
	return aside
}

// drop forgets one file.
func (l *linkedFiles) drop(f *linkedFile) {
	if l.files[f.key] == f {
		delete(l.files, f.key)
		l.size -= linkedCost + len(f.chunks)
	}
}

// forget begins anew: what was stored may have been lost.
func (l *linkedFiles) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files, l.size = nil, 0
}

// linkedReading is what a chunker reads of a file that it has claimed. Nil keeps nothing.
type linkedReading struct {
	whole  bool
	read   vfs.Moment
	chunks []linkedChunk
}

// restart is for a file that is read once more from its beginning.
func (r *linkedReading) restart() {
	if r != nil {
		r.chunks = r.chunks[:0]
	}
}

// add takes the next chunk or hole.
func (r *linkedReading) add(id chunk.ID, n int64) {
	if r != nil && len(r.chunks) <= maxLinked {
		r.chunks = append(r.chunks, linkedChunk{id, n})
	}
}

// asideName is an entry of the batch under way whose file another chunker reads.
type asideName struct {
	file *linkedFile
	task *entryTask
}

// putAside leaves names to those who read their files. It is the last act of a batch: one
// that panics is tried again with all its names, and no entry may be in two batches.
func (k *chunker) putAside() {
	for _, a := range k.aside {
		name := readEntries{Leaf: k.leaf, Tasks: []entryTask{*a.task}}
		if !k.run.links.putAside(a.file, name) {
			k.again(name)
		}
	}
}

// linked reports whether the file of an entry is one of those that linkedFiles remembers.
func (r *backupRun) linked(t *entryTask) bool {
	return t.Stat.Nlink > 1 && t.Stat.Size > 0 && t.readsContent() &&
		r.systems.NumbersFiles(&t.Stat, absolute(t.Path))
}

// reuse sends what was read of another name of the same file.
func (k *chunker) reuse(t *entryTask, d *entryDone, f *linkedFile) {
	d.Read = f.read
	for _, c := range f.chunks {
		if c.id == (chunk.ID{}) {
			k.hole(t.Index, c.n)
			continue
		}
		k.send(piece{Index: t.Index, ID: c.id, Len: int(c.n), Sent: true})
	}
}

// wholeLinked has the other names of a file use what was read of it. The packer has the
// bytes before any chunker can refer to them.
func (k *chunker) wholeLinked(t *entryTask, st *vfs.Stat, d *entryDone) {
	r := k.reading
	if r == nil || len(r.chunks) > maxLinked || d.Racy ||
		linkedKey(st) != linkedKey(&t.Stat) || d.Reason != "" {
		return
	}
	k.flush()
	r.read, r.whole = d.Read, true
}
