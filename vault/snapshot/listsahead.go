package snapshot

import (
	"context"

	"vaultik/vault/layout"
)

// ListsAhead reads blob lists before they are asked for, in the order in which they will be:
// where each request takes a while, thousands of lists take only a part of it. A few are in
// memory at once. It is used by one goroutine.
type ListsAhead struct {
	s       *Store
	host    layout.HostID
	asked   map[Sum]bool
	next    []ListRef // not begun
	reading map[Sum]chan listRead
}

type listRead struct {
	blobs []BlobSize
	err   error
}

// ReadListsAhead begins with none.
func (s *Store) ReadListsAhead(host layout.HostID) *ListsAhead {
	return &ListsAhead{s: s, host: host, asked: make(map[Sum]bool), reading: make(map[Sum]chan listRead)}
}

// Add says which lists will be asked for next, each only the first time that it is named. The
// reads end with ctx.
func (a *ListsAhead) Add(ctx context.Context, refs []ListRef) {
	for _, ref := range refs {
		if !a.asked[ref.Name] {
			a.asked[ref.Name] = true
			a.next = append(a.next, ref)
		}
	}
	a.begin(ctx)
}

func (a *ListsAhead) begin(ctx context.Context) {
	parallel := a.s.Parallel
	if parallel < 1 {
		parallel = defaultParallel
	}
	for len(a.next) > 0 && len(a.reading) < parallel {
		ref, done := a.next[0], make(chan listRead, 1)
		a.next, a.reading[ref.Name] = a.next[1:], done
		go func() {
			blobs, err := a.s.BlobList(ctx, a.host, ref)
			done <- listRead{blobs, err}
		}()
	}
}

// Read returns a list, as [Store.BlobList] does.
func (a *ListsAhead) Read(ctx context.Context, ref ListRef) ([]BlobSize, error) {
	done := a.reading[ref.Name]
	if done == nil {
		return a.s.BlobList(ctx, a.host, ref)
	}
	read := <-done
	delete(a.reading, ref.Name)
	a.begin(ctx)
	return read.blobs, read.err
}

// Close waits for what was begun and not asked for.
func (a *ListsAhead) Close() {
	for name, done := range a.reading {
		<-done
		delete(a.reading, name)
	}
	a.next = nil
}
