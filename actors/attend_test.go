package actors_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vaultik/actors"
)

// said takes warnings.
type said struct {
	mu   sync.Mutex
	text []string
}

func (s *said) warn(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, text)
}

func (s *said) count(part string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.text {
		n += strings.Count(t, part)
	}
	return n
}

func never() time.Time { return time.Time{} }

// A call that does not return is named with its path, once and then rarely; and it does not
// hold what is to end.
func TestAttendance_Do(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w actors.Watch
		var s said
		ctx, cancel := context.WithCancelCause(t.Context())
		a := actors.Attendance{Name: "ls", Watch: &w, Warn: s.warn, Alone: never}
		stuck := make(chan struct{})
		ended := make(chan error, 1)
		go func() {
			ended <- a.Do(ctx, func() {
				touch := w.Touch()
				touch.Enter("/quick")
				touch.Leave()
				touch.Enter("/mnt/dead")
				<-stuck
			})
		}()
		time.Sleep(59 * time.Second)
		if n := s.count(""); n != 0 {
			t.Errorf("said too early: %q", s.text)
		}
		time.Sleep(10 * time.Minute)
		if n := s.count(`"/mnt/dead" not responding`); n != 1 {
			t.Errorf("said %d times: %q", n, s.text)
		}
		time.Sleep(time.Hour)
		if n := s.count(`"/mnt/dead" not responding`); n != 3 {
			t.Errorf("said %d times in an hour: %q", n, s.text)
		}
		why := errors.New("enough")
		cancel(why)
		time.Sleep(10 * time.Second)
		select {
		case err := <-ended:
			if !errors.Is(err, why) {
				t.Error(err)
			}
		default:
			t.Error("it waits for a call that never returns")
		}
		if s.count(`"/mnt/dead" is not responding; ending the ls without it`) != 1 {
			t.Errorf("%q", s.text)
		}
		close(stuck)
	})
}

// What is in no known call is left behind only if no job is under way in it.
func TestAttendance_Alone(t *testing.T) {
	for _, alone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var s said
			ctx, cancel := context.WithCancelCause(t.Context())
			a := actors.Attendance{Name: "x", Watch: &actors.Watch{}, Warn: s.warn, Alone: never}
			if alone {
				began := time.Now()
				a.Alone = func() time.Time { return began }
			}
			stuck, ended := make(chan struct{}), make(chan error, 1)
			go func() { ended <- a.Do(ctx, func() { <-stuck }) }()
			cancel(errors.New("enough"))
			time.Sleep(20 * time.Second)
			if left := len(ended) == 1; left != alone {
				t.Errorf("alone %v: left behind %v", alone, left)
			}
			close(stuck)
			synctest.Wait()
		})
	}
}

// What the work panics with is what its caller sees, with the stack of the work.
func TestAttendance_Panic(t *testing.T) {
	defer func() {
		p, ok := recover().(*actors.PanicError)
		if !ok || p.Value != "bug" || !strings.Contains(string(p.Stack), "TestAttendance_Panic") {
			t.Errorf("%+v", p)
		}
	}()
	a := actors.Attendance{Watch: &actors.Watch{}}
	_ = a.Do(t.Context(), func() { panic("bug") })
}
