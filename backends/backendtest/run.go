package backendtest

import (
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"
)

// Runner is *testing.T, without package testing.
type Runner[R any] interface {
	TB
	Run(name string, f func(R)) bool
}

// Run holds a kind of store to the contract of backends.Backend: every case is a
// subtest. Each must also end its goroutines and close its files.
func Run[R Runner[R]](t R, h Harness) {
	for name := range h.Omit {
		if !known(name) {
			t.Errorf("no case %q that could be left out", name)
		}
	}
	for _, c := range Cases() {
		if h.Omit[c.Name] != "" {
			t.Logf("%s is left out: %s", c.Name, h.Omit[c.Name])
			h.report(Result{Name: c.Name, Omitted: h.Omit[c.Name]})
			continue
		}
		r := Result{Name: c.Name}
		began := time.Now()
		if !t.Run(c.Name, func(t R) {
			goroutines, fds := runtime.NumGoroutine(), openFiles(t)
			own := &T{TB: t, Name: c.Name, Profile: h.profile()}
			h.run(c, own)
			r.Lacks = own.lacks
			wantGoroutines(t, goroutines)
			wantFiles(t, fds)
		}) {
			r.Failures = []string{"see the test"}
		}
		r.Took = time.Since(began)
		h.report(r)
	}
}

func (h *Harness) report(r Result) {
	if h.Report != nil {
		h.Report(r)
	}
}

func known(name string) bool {
	for _, c := range Cases() {
		if c.Name == name {
			return true
		}
	}
	return false
}

// openFiles counts the open descriptors of this process, without its own.
func openFiles(t TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatalf("%v", err)
	}
	return len(list)
}

// endTime is how long goroutines and connections that are about to end may take, on
// a busy machine.
const endTime = 10 * time.Second

// wantFiles checks that not more than n files are open, once those that are about to
// be closed are: the goroutine that does so may be one of another time, which was
// counted before.
func wantFiles(t TB, n int) {
	t.Helper()
	for deadline := time.Now().Add(endTime); ; time.Sleep(time.Millisecond) {
		now := openFiles(t)
		if now <= n {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%d files open after the test, %d before", now, n)
			return
		}
	}
}

// wantGoroutines checks that there are not more than n, once those that are about
// to end have ended.
func wantGoroutines(t TB, n int) {
	t.Helper()
	for deadline := time.Now().Add(endTime); runtime.NumGoroutine() > n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			var stacks strings.Builder
			err := pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			t.Errorf("%d goroutines after the test, %d before (%v)\n%s", runtime.NumGoroutine(), n, err, stacks.String())
			return
		}
	}
}
