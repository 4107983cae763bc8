package backendtest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Result is what became of one case.
type Result struct {
	Name     string
	Failures []string // in words, the first few; none: the promise holds
	Omitted  string   // why it did not run; "": it ran
	Lacks    string   // what the store cannot do, so that only its saying so was checked; "": nothing
	Took     time.Duration
}

// maxFailures is how many failures of one case are told.
const maxFailures = 5

// Check runs the cases one by one and reports each, for users who want to know
// what a store of theirs can do. It fails only when ctx ends, between two cases.
func Check(ctx context.Context, h Harness, report func(Result)) error {
	for _, c := range Cases() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if why := h.Omit[c.Name]; why != "" {
			report(Result{Name: c.Name, Omitted: why})
			continue
		}
		began := time.Now()
		r := &recorder{ctx: ctx}
		t := &T{TB: r, Name: c.Name, Profile: h.profile()}
		ended := make(chan struct{})
		go func() { // Fatalf ends the goroutine
			defer close(ended)
			defer r.cleanUp()
			defer r.recover()
			h.run(c, t)
		}()
		<-ended
		if err := ctx.Err(); err != nil { // what failed then says nothing about the store
			return err
		}
		report(Result{Name: c.Name, Failures: r.told(), Lacks: t.lacks, Took: time.Since(began)})
	}
	return nil
}

// recorder is a TB that remembers.
type recorder struct {
	ctx context.Context

	mu       sync.Mutex
	failures []string
	more     int
	cleanups []func()
}

func (r *recorder) Helper()                  {}
func (r *recorder) Logf(string, ...any)      {}
func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	switch {
	case slices.Contains(r.failures, text):
	case len(r.failures) < maxFailures:
		r.failures = append(r.failures, text)
	default:
		r.more++
	}
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failures) > 0
}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) cleanUp() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}

func (r *recorder) recover() {
	if v := recover(); v != nil {
		r.Errorf("panic: %v", v)
	}
}

func (r *recorder) told() []string {
	if r.more > 0 {
		return append(r.failures, fmt.Sprintf("and %d more", r.more))
	}
	return r.failures
}
