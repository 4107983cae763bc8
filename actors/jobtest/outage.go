package jobtest

import (
	"errors"
	"sync"
	"time"

	"vaultik/backends"
	"vaultik/backends/faulty"
	"vaultik/backends/retry"
)

var ErrAway = &backends.OpError{Op: "test", Retryable: true, Err: errors.New("connection refused")}

// away makes every call fail for a while, from the nth call of op on.
type away struct {
	*faulty.Backend
	op  faulty.Op
	nth int
	d   time.Duration

	mu    sync.Mutex
	began time.Time
	Hits  int
}

func (a *away) rules() []faulty.Rule {
	begin := func(faulty.Op, string) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.began = time.Now()
	}
	out := func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		is := !a.began.IsZero() && time.Since(a.began) < a.d
		if is {
			a.Hits++
		}
		return is
	}
	return []faulty.Rule{
		{Op: a.op, Nth: a.nth, Do: faulty.Tell(begin)},
		{Do: faulty.When(out, faulty.Fail(ErrAway))},
	}
}

// Patient puts package retry between h and a store that goes away for d at the nth call of op.
func (h *Host) Patient(op faulty.Op, nth int, d time.Duration, o retry.Options) *away {
	a := &away{Backend: faulty.New(h.Store), op: op, nth: nth, d: d}
	a.Add(a.rules()...)
	o.Connections = 4
	h.Store = retry.Wrap(a.Backend, o)
	return a
}
