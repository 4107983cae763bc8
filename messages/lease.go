package messages

// Buf is one unit of a job's byte budget. Whoever received it in a message owns
// it, and gives it back to the budget or hands it on.
type Buf struct{ B []byte }

// StageFailed ends the job.
type StageFailed struct{ Err error }

// Cancel asks a job to end early.
type Cancel struct{ Reason error }

// Submit asks a pool to have one job done. The sender of the message receives
// the Finished.
type Submit[J any] struct{ Job J }

// Finished reports a job's end to whoever submitted it. Err is set only when the
// worker panicked on every attempt; failures that can be expected are part of R.
type Finished[J, R any] struct {
	Job    J
	Result R
	Err    error
}

// WorkerReady is sent by each incarnation of a worker when it starts. It means
// "I am idle, and whatever an earlier incarnation held is lost".
type WorkerReady struct{ Incarnation uint64 }

// Leased gives one job to one incarnation of a worker; any other incarnation drops it.
type Leased[J any] struct {
	Incarnation uint64
	Seq         uint64
	Attempt     int // 1 for the first
	Job         J
}

// Worked ends a lease.
type Worked[R any] struct {
	Incarnation uint64
	Seq         uint64
	Result      R
}
