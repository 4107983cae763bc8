package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vaultik/internal/treecmp"
)

// Usage is what one step cost.
type Usage struct {
	Wall, CPU time.Duration
	Peak      int64 // bytes resident at most (VmHWM as sampled), summed over the processes
}

// Sample is one round of one tool on one corpus. Steps that the tool has not are nil.
type Sample struct {
	First, Again, Restore *Usage
	Store                 int64 // bytes after the first backup
}

// Round runs all steps of a tool once, in a fresh directory under dir that is
// removed afterwards.
func (t *Tool) Round(ctx context.Context, corpus, dir string) (s Sample, err error) {
	work, err := os.MkdirTemp(dir, t.Name+"-")
	if err != nil {
		return s, fmt.Errorf("run %s: %w", t.Name, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	p := paths{corpus: corpus, work: work, target: filepath.Join(work, "target")}
	if err := os.Mkdir(p.target, 0o755); err != nil {
		return s, fmt.Errorf("run %s: %w", t.Name, err)
	}
	if _, err := t.step(ctx, "init", t.init, p, false); err != nil {
		return s, err
	}
	if s.First, err = t.step(ctx, "first backup", t.first, p, false); err != nil {
		return s, err
	}
	if s.Store, err = sizeOf(t.store(p)); err != nil {
		return s, fmt.Errorf("run %s: measure its store: %w", t.Name, err)
	}
	if s.Again, err = t.step(ctx, "unchanged backup", t.again, p, false); err != nil {
		return s, err
	}
	if s.Restore, err = t.step(ctx, "restore", t.restore, p, true); err != nil {
		return s, err
	}
	if t.check {
		err = compare(ctx, corpus, filepath.Join(p.target, corpus))
	}
	return s, err
}

// compare fails if the restored tree is not the corpus: speed does not excuse a wrong
// result.
func compare(ctx context.Context, corpus, restored string) error {
	r, err := treecmp.Compare(ctx, corpus, restored, treecmp.Options{})
	if err != nil {
		return err
	}
	if n := len(r.Differences); n > 0 {
		return fmt.Errorf("restored tree differs in %d things, the first: %s", n, r.Differences[0])
	}
	return nil
}

// step runs the commands and answers what the last pipeline cost. The secret that a
// tool keeps apart is in the environment only where keyed is set.
func (t *Tool) step(ctx context.Context, name string, commands func(paths) []pipeline, p paths, keyed bool) (*Usage, error) {
	if commands == nil {
		return nil, nil
	}
	env := os.Environ()
	if t.env != nil {
		more, err := t.env(p)
		if err != nil {
			return nil, fmt.Errorf("run %s: %w", t.Name, err)
		}
		for _, e := range more {
			if keyed || !strings.HasPrefix(e, "VAULTIK_AGE_SECRET_KEY=") {
				env = append(env, e)
			}
		}
	}
	var u Usage
	for _, pl := range commands(p) {
		unix.Sync()
		var err error
		if u, err = pl.run(ctx, env); err != nil {
			return nil, fmt.Errorf("run %s, %s: %w", t.Name, name, err)
		}
	}
	return &u, nil
}

// run starts all commands, connected, and waits for them.
func (pl pipeline) run(ctx context.Context, env []string) (u Usage, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var cmds []*exec.Cmd
	var said bytes.Buffer
	var pipes []io.Closer
	var before io.Reader
	for i, args := range pl.commands {
		c := exec.CommandContext(ctx, args[0], args[1:]...)
		c.Dir, c.Env = pl.dir, env
		if i == len(pl.commands)-1 { // one writer only: the buffer has no lock
			c.Stderr = &said
		}
		if before != nil {
			c.Stdin = before
		}
		if i < len(pl.commands)-1 {
			r, w, err := os.Pipe()
			if err != nil {
				return u, err
			}
			pipes = append(pipes, r, w)
			before, c.Stdout = r, w
		}
		cmds = append(cmds, c)
	}
	start := time.Now()
	started := 0
	for _, c := range cmds {
		if err = c.Start(); err != nil {
			cancel()
			break
		}
		started++
	}
	watched := watchPeaks(cmds[:started])
	for _, p := range pipes { // the children have their own
		err = errors.Join(err, p.Close())
	}
	for _, c := range cmds[:started] {
		if werr := c.Wait(); werr != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", c.Path, werr))
		}
		u.CPU += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	}
	u.Wall = time.Since(start)
	u.Peak = watched()
	if err != nil {
		return u, fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return u, nil
}

// Measure runs rounds of all tools in turn on one corpus, which it reads once
// before. It keeps stores under dir while it works.
func Measure(ctx context.Context, tools []*Tool, name, corpus, dir string, rounds int, say func(tool string, round int)) (Results, error) {
	r := Results{Corpus: name, Samples: map[string][]Sample{}}
	if _, err := warm(corpus); err != nil {
		return r, fmt.Errorf("read corpus %s: %w", name, err)
	}
	for round := range rounds {
		for _, t := range tools {
			say(t.Name, round)
			s, err := t.Round(ctx, corpus, dir)
			if err != nil {
				return r, err
			}
			r.Samples[t.Name] = append(r.Samples[t.Name], s)
		}
	}
	return r, nil
}
