package fs

import (
	"fmt"
	"strings"
	"sync"
)

// FileSystems tells the file systems of one run from each other, by what they are called
// when this machine or its devices are started anew: hard-link ids are made of it. Safe for
// many goroutines.
type FileSystems struct {
	identify func(dev uint64, path string) string // what one calls itself
	mu       sync.Mutex
	byDev    map[uint64]string
	taken    map[string]bool
}

// NewFileSystems knows none yet.
func NewFileSystems() *FileSystems {
	return &FileSystems{identify: identify, byDev: map[uint64]string{}, taken: map[string]bool{}}
}

// Of is the identity of the file system of the entry at an absolute path, which st describes.
// It depends on neither mount points nor device numbers, where the file system has an identity
// of its own. If several call themselves the same, as a volume and its snapshot do, or two
// file systems made of one image, those after the first that is asked for get a number.
func (f *FileSystems) Of(st *Stat, path string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id, ok := f.byDev[st.Dev]; ok {
		return id
	}
	own := f.identify(st.Dev, path)
	id := own
	for n := 2; f.taken[id]; n++ {
		id = fmt.Sprintf("%s #%d", own, n)
	}
	f.byDev[st.Dev], f.taken[id] = id, true
	return id
}

// NumbersFiles reports whether inode numbers say which names are one file at the absolute path
// of an entry, which st describes: where the file system has an identity of its own, and
// neither a program (FUSE) nor this machine (SMB) makes up the numbers.
func (f *FileSystems) NumbersFiles(st *Stat, path string) bool {
	id := f.Of(st, path)
	for _, kind := range []string{"65735546 ", "ff534d42 ", "fe534d42 ", "517b "} {
		if strings.HasPrefix(id, kind) {
			return false
		}
	}
	return strings.Contains(id, " id ") || strings.Contains(id, " uuid ")
}
