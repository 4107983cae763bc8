package backup

import (
	"vaultik/messages"
	"vaultik/vault/blob"
	"vaultik/vault/page"
)

// resolvedFrame is where a frame is stored: in which blob, and where in its plaintext.
type resolvedFrame struct {
	info     *blob.Info // nil: the adopted blob, self
	off, len uint32
}

// leafState is a leaf on its way to a page.
type leafState struct {
	m          *leafScanned
	entries    []entryState
	left       int // entries not done
	frames     map[uint64]resolvedFrame
	unresolved int
	blocked    bool
	kept       int64 // bytes of finished files that the index knows already
	queued     bool
	counts     messages.Counts
}

// entryState is one entry of a leaf.
type entryState struct {
	done    *entryDone
	attempt int
	pieces  []placed
	shown   int64 // bytes of the pieces: progress does not wait for the end of a large file
}

// refs are the references of a file, its promised places resolved.
func (l *leafState) refs(pieces []placed) []page.Ref {
	if len(pieces) == 0 {
		return nil
	}
	refs := make([]page.Ref, len(pieces))
	for i := range pieces {
		refs[i] = pieces[i].Ref
		if p := pieces[i].Frame; p != 0 {
			f := l.frames[p]
			refs[i].Blob = f.info
			refs[i].Span.FrameOff, refs[i].Span.FrameLen = f.off, f.len
		}
	}
	return refs
}
