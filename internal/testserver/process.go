package testserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	startTime = 60 * time.Second // until a server must answer, on a busy machine
	logShown  = 8 << 10          // bytes of its log when a test fails
)

// process is one running server.
type process struct {
	name    string
	command string // how it was started, for people
	work    string // directory of its log, settings and data; removed in the end
	log     string
	cmd     *exec.Cmd
	done    chan struct{} // closed when it has ended
	err     error         // why it ended; after done
}

// plan says how to start a server. It is rebuilt for each attempt, because a port that
// was free may be taken by then.
type plan struct {
	program string
	args    []string
	env     []string // in addition to a clean environment
	ready   func(ctx context.Context) error
}

// start runs a server and waits until it is ready.
func start(tb testing.TB, name string, newPlan func(work string) plan) *process {
	tb.Helper()
	work, err := os.MkdirTemp("", "vaultik-server-"+name+"-")
	if err != nil {
		tb.Fatal(err)
	}
	for attempt := 1; ; attempt++ {
		p := &process{name: name, work: work, log: filepath.Join(work, "log"), done: make(chan struct{})}
		err := p.run(tb, newPlan(work))
		if err == nil {
			return p
		}
		p.kill()
		if attempt < 3 && bytes.Contains(p.logFrom(0), []byte("address already in use")) {
			continue
		}
		tb.Errorf("start %s: %v\n%s", name, err, p.logFrom(0))
		_ = os.RemoveAll(work)
		tb.FailNow()
	}
}

func (p *process) run(tb testing.TB, pl plan) error {
	tb.Helper()
	path := Find(tb, pl.program)
	log, err := os.Create(p.log)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	p.command = strings.Join(append([]string{pl.program}, pl.args...), " ")
	p.cmd = exec.Command(path, pl.args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.work, log, log
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.work, "TMPDIR=" + p.work}, pl.env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		// The signal comes when the thread that started the child ends: this one
		// stays until the child is gone.
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return err
	}
	return p.wait(pl.ready)
}

// wait returns when the server is ready, has ended, or takes too long.
func (p *process) wait(ready func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("it has ended: %w", errors.Join(p.err, err))
		case <-ctx.Done():
			return fmt.Errorf("not ready after %v: %w", startTime, err)
		case <-tick.C:
		}
	}
}

func (p *process) kill() {
	if p.cmd != nil && p.cmd.Process != nil {
		_ = p.cmd.Process.Kill() // it may have ended by itself
	}
	if p.cmd != nil {
		<-p.done
	}
}

// stop ends the server and removes what it kept.
func (p *process) stop(tb testing.TB) {
	tb.Helper()
	select {
	case <-p.done:
		tb.Errorf("%s has ended by itself: %v\n%s", p.name, p.err, p.logFrom(0))
	default:
	}
	p.kill()
	if err := os.RemoveAll(p.work); err != nil {
		tb.Error(err)
	}
}

// logFrom returns the end of what was logged since offset.
func (p *process) logFrom(offset int64) []byte {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	b = b[min(offset, int64(len(b))):]
	return b[max(0, len(b)-logShown):]
}

func (p *process) logSize() int64 {
	info, err := os.Stat(p.log)
	if err != nil {
		return 0
	}
	return info.Size()
}

// showLog makes a failing test show what the server logs from now on.
func (p *process) showLog(tb testing.TB) {
	tb.Helper()
	from := p.logSize()
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("log of %s:\n%s", p.name, p.logFrom(from))
		}
	})
}

// Find returns the path of a program that scripts/tools installs: on PATH, or in
// .tools/bin of this module.
func Find(tb testing.TB, program string) string {
	tb.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if path, err := exec.LookPath(filepath.Join(dir, ".tools", "bin", program)); err == nil {
			return path
		}
		if dir == filepath.Dir(dir) {
			tb.Fatalf("%s is not installed; run: make tools", program)
		}
	}
}

// freePort returns an address on the loopback interface that was free just now.
func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
