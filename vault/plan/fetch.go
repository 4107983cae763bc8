package plan

// Fetch keeps account of a lease whose frames are being fetched. Whoever fetches
// them may crash and begin again, with all of them or with each by itself.
type Fetch[T any] struct {
	lease *Lease[T]
	came  []bool // by frame
	left  int    // frames whose job has not ended
}

// NewFetch expects all frames of a lease.
func NewFetch[T any](l *Lease[T]) *Fetch[T] {
	return &Fetch[T]{lease: l, came: make([]bool, len(l.Frames)), left: len(l.Frames)}
}

// Came notes a frame. It reports whether this is the first time that it comes.
func (f *Fetch[T]) Came(i int) bool {
	again := f.came[i]
	f.came[i] = true
	return !again
}

// Ended takes that a job for n frames from the first on has ended. It returns those
// that have not come, and never will.
func (f *Fetch[T]) Ended(first, n int) (lost []*Frame[T]) {
	for i := first; i < first+n; i++ {
		if f.Came(i) {
			lost = append(lost, &f.lease.Frames[i])
		}
	}
	if f.left -= n; f.left < 0 {
		panic("internal error: more frames ended than a lease has")
	}
	return lost
}

// Over reports whether all jobs of the lease have ended.
func (f *Fetch[T]) Over() bool { return f.left == 0 }
