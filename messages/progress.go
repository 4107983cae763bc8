package messages

import (
	"sync/atomic"
)

// Progress is polled by the display; coordinators add to it when they accept a
// result, workers never do.
type Progress struct {
	FilesTotal atomic.Int64 // known so far
	BytesTotal atomic.Int64 // known so far
	FilesDone  atomic.Int64
	BytesDone  atomic.Int64 // bytes of files that are done or were unchanged
	BytesRead  atomic.Int64
	Stored     atomic.Int64 // bytes acknowledged by the store
	Objects    atomic.Int64 // objects acknowledged by the store
	Restarts   atomic.Int64 // workers that panicked and were restarted
	Errors     atomic.Int64
	TotalKnown atomic.Bool // the totals will not grow any more
	Current    atomic.Pointer[string]
	Phase      atomic.Pointer[string]
	Unit       atomic.Pointer[string] // what FilesTotal and FilesDone count; nil: files
}

// SetCurrent notes the path being worked on.
func (p *Progress) SetCurrent(s string) { p.Current.Store(&s) }

// SetPhase notes what the job is doing.
func (p *Progress) SetPhase(s string) { p.Phase.Store(&s) }

// SetUnit notes what is counted, if that is not files.
func (p *Progress) SetUnit(s string) { p.Unit.Store(&s) }
