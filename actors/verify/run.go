package verify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"filippo.io/age"

	"vaultik/actors"
	"vaultik/backends"
	"vaultik/internal/arena"
	"vaultik/messages"
	"vaultik/vault/blob"
	"vaultik/vault/page"
	"vaultik/vault/plan"
	"vaultik/vault/read"
	"vaultik/vault/snapshot"
)

// VerifyRun is what the actors of one verify share.
type VerifyRun struct {
	spec     *Spec
	Parallel int
	Ctx      context.Context
	Cancel   context.CancelCauseFunc
	Inv      *plan.Inventory
	hosts    []*hostSecrets // by number; complete before the first check of a blob
	Jobs     *actors.Credit // checks under way
	queued   int            // capacity of jobs
	Mem      arena.Arena
	Blobs    *actors.Budget
	checkers int // that may be at work
	read     atomic.Int64
	Faults   *actors.Faults

	mu  sync.Mutex
	bad map[int]bool // objects known to be bad

	report Report // of the job until it has ended
}

// hostSecrets are what opens the blobs of one host.
type hostSecrets struct {
	ids     []age.Identity
	chunkID [][32]byte // one, unless the host began anew
}

const (
	verifyFixed    = 48 << 20 // bytes beside the buffers
	VerifyBlobSize = 20 << 20 // of one buffer; larger blobs are read in parts

	usualBlob = 17 << 20 // of the largest that backups make by default; only what is used counts

	// checkerMemory is what a checker that decodes blobs takes beside its buffer, in bytes.
	checkerMemory = 8 << 20
)

func NewVerifyRun(spec *Spec) *VerifyRun {
	r := &VerifyRun{spec: spec, Parallel: spec.Parallel, Inv: plan.NewInventory(), bad: map[int]bool{}, Faults: &spec.Faults}
	if r.Parallel <= 0 {
		r.Parallel = actors.DefaultParallel
	}
	memory := spec.Memory
	if memory <= 0 {
		memory = actors.DefaultMemory
	}
	if spec.Progress == nil {
		spec.Progress = &messages.Progress{}
	}
	r.Ctx, r.Cancel = context.WithCancelCause(context.Background())
	r.queued = 2 * r.Parallel
	r.Jobs = actors.NewCredit(r.queued)
	buffers := min(max(1, (memory-verifyFixed)/(usualBlob+checkerMemory)), int64(r.Parallel))
	if r.checkers = r.Parallel; spec.ReadData {
		r.checkers = int(buffers) // each has one all the time
	}
	r.Blobs = actors.NewBudget(&r.Mem, int(buffers), VerifyBlobSize)
	return r
}

// setBad notes that an object is bad.
func (r *VerifyRun) setBad(i int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bad[i] = true
}

// Ids are the snapshots that need an object, by their ids.
func (r *VerifyRun) Ids(i int) []string {
	nums := r.Inv.Snapshots(i)
	out := make([]string, len(nums))
	for k, n := range nums {
		out[k] = r.spec.Snapshots[n].ID()
	}
	return out
}

// KindOf says what sort of problem an error is.
func KindOf(err error) ProblemKind {
	switch {
	case errors.Is(err, errReference):
		return ProblemReference
	case errors.Is(err, blob.ErrDamaged), errors.Is(err, blob.ErrTooLarge), errors.Is(err, backends.ErrInvalidRange),
		errors.Is(err, page.ErrDamaged), errors.Is(err, page.ErrTooLarge), errors.Is(err, snapshot.ErrDamaged):
		return ProblemDamaged
	case errors.Is(err, backends.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return ProblemMissing
	}
	return ProblemUnreadable
}

// errReference means that a page refers to something that is not there.
var errReference = errors.New("a page refers to what is not there")

// maxPaths is how many paths a problem names.
const maxPaths = 5

// ProblemFound tells the job of a problem. One of the same kind and key is the
// same problem: what is new of it is added.
type ProblemFound struct{ Problem }

// pathAffected tells the job of an entry that needs a bad object, or of those lost with it.
type pathAffected struct {
	key, path string
	lost      *read.LostPaths // instead of path
}

// Problems gathers what is wrong; one a kind and key.
type Problems struct {
	list  []Problem
	index map[string]int
	Found int64
}

// Add reports whether the problem is a new one.
func (p *Problems) Add(n Problem) bool {
	key := string(n.Kind) + " " + n.Key
	if p.index == nil {
		p.index = map[string]int{}
	}
	i, ok := p.index[key]
	if !ok {
		p.Found++
		i = -1
		if len(p.list) < actors.MaxResultList {
			i = len(p.list)
			p.list = append(p.list, Problem{Kind: n.Kind, Key: n.Key, Reason: n.Reason, Snapshots: n.Snapshots})
		}
		p.index[key] = i
	}
	if i < 0 {
		return !ok
	}
	q := &p.list[i]
	q.MorePaths = q.MorePaths || n.MorePaths
	for _, s := range n.Snapshots {
		if !slices.Contains(q.Snapshots, s) {
			q.Snapshots = append(q.Snapshots, s)
		}
	}
	for _, s := range n.Paths {
		switch {
		case slices.Contains(q.Paths, s):
		case len(q.Paths) >= maxPaths:
			q.MorePaths = true
		default:
			q.Paths = append(q.Paths, s)
		}
	}
	for _, l := range n.Lost {
		switch {
		case slices.Contains(q.Lost, l):
		case len(q.Lost) >= maxPaths:
			q.MorePaths = true
		default:
			q.Lost = append(q.Lost, l)
		}
	}
	return !ok
}

// affects adds a path to the problems of an object.
func (p *Problems) affects(m *pathAffected) {
	for _, kind := range []ProblemKind{ProblemMissing, ProblemSize, ProblemDamaged, ProblemUnreadable} {
		if i, ok := p.index[string(kind)+" "+m.key]; ok && i >= 0 {
			n := Problem{Kind: kind, Key: m.key}
			if m.lost != nil {
				n.Lost = []read.LostPaths{*m.lost}
			} else {
				n.Paths = []string{m.path}
			}
			p.Add(n)
		}
	}
}

func (p *Problems) Sorted() []Problem {
	slices.SortFunc(p.list, func(a, b Problem) int {
		return strings.Compare(a.Key+" "+string(a.Kind), b.Key+" "+string(b.Kind))
	})
	return p.list
}

// plainReason is an error's text without the object's key in front, which is told beside it.
func plainReason(err error, key string) string {
	return strings.TrimPrefix(err.Error(), fmt.Sprintf("read %s: ", key))
}
