package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Memories are the parameters of Memory. What is zero or empty is not measured.
type Memories struct {
	Bin, Dir string // the program; a directory to work in, which is left empty
	Seed     uint64
	Files    []int // trees of so many tiny files
	Trees    []string
	Data     int64 // bytes of random text, that takes a quarter of it in the store
	Slow     int64 // bytes of random data to a store that is limited to SlowRate
	SlowRate int64 // bytes a second
	Log      io.Writer
}

// Usage is the memory of one command, in bytes at most, and what it did.
type Usage struct {
	What            string
	Anon, File, HWM int64 // RssAnon and RssFile as sampled; VmHWM, of both, by the kernel
	Files, Stored   int64
	Wall            time.Duration
}

// Memory measures how much memory backups need.
func Memory(ctx context.Context, p Memories) ([]Usage, error) {
	fmt.Fprintf(p.Log, "memory: seed %d\n", p.Seed)
	r := rand.New(rand.NewPCG(p.Seed, 4))
	var all []Usage
	measure := func(what, source string, o Options, prefix []string) error {
		m, err := NewMachine(ctx, p.Bin, filepath.Join(p.Dir, "machine"), o)
		if err != nil {
			return err
		}
		m.prefix = prefix
		if err := settle(ctx); err != nil {
			return err
		}
		for _, name := range []string{"first", "unchanged"} {
			u, err := m.measure(ctx, "backup", source)
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			u.What = what + ": " + name
			all = append(all, *u)
			fmt.Fprintf(p.Log, "memory: %s: %.0f MiB, %.1f s\n", u.What, mib(u.HWM), u.Wall.Seconds())
		}
		return os.RemoveAll(m.Dir)
	}
	made := filepath.Join(p.Dir, "source")
	for _, n := range p.Files {
		if err := makeTiny(made, n); err != nil {
			return nil, err
		}
		if err := measure(fmt.Sprintf("%d tiny files", n), made, Options{}, nil); err != nil {
			return nil, err
		}
		if err := os.RemoveAll(made); err != nil {
			return nil, err
		}
	}
	for _, tree := range p.Trees {
		if err := measure("tree "+filepath.Base(tree), tree, Options{}, nil); err != nil {
			return nil, err
		}
	}
	if p.Data > 0 {
		if err := makeText(made, r, p.Data); err != nil {
			return nil, err
		}
		if err := measure(fmt.Sprintf("%.1f GiB in 10 files", mib(p.Data)/1024), made, Options{}, nil); err != nil {
			return nil, err
		}
		if err := os.RemoveAll(made); err != nil {
			return nil, err
		}
	}
	if p.Slow == 0 {
		return all, nil
	}
	for i := range 4 {
		if err := writeRandom(filepath.Join(made, strconv.Itoa(i)), r, p.Slow/4); err != nil {
			return nil, err
		}
	}
	slow, err := newSlow(ctx, filepath.Join(p.Dir, "slow"), 2*p.Slow+(64<<20), p.SlowRate)
	if err != nil {
		return nil, err
	}
	err = measure(fmt.Sprintf("%.0f MiB to a store of %.1f MB/s", mib(p.Slow), float64(p.SlowRate)/1e6), made, Options{Store: filepath.Join(slow.dir, "store")}, slow.prefix())
	return all, errors.Join(err, slow.close(), os.RemoveAll(made))
}

// WriteUsages prints a table.
func WriteUsages(w io.Writer, all []Usage) error {
	var b bytes.Buffer
	b.WriteString("| backup | RssAnon MiB | RssFile MiB | VmHWM MiB | seconds | MB stored | MB/s stored |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, u := range all {
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.0f | %.1f | %.1f | %.1f |\n", u.What, mib(u.Anon), mib(u.File), mib(u.HWM),
			u.Wall.Seconds(), float64(u.Stored)/1e6, float64(u.Stored)/1e6/u.Wall.Seconds())
	}
	_, err := w.Write(b.Bytes())
	return err
}

// measure runs a command that must succeed and samples its memory.
func (m *Machine) measure(ctx context.Context, args ...string) (*Usage, error) {
	var u Usage
	o, err := m.Run(ctx, func(p *os.Process, ended <-chan struct{}) {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			u.sample(p.Pid)
			select {
			case <-ended:
				return
			case <-tick.C:
			}
		}
	}, args...)
	if err == nil && o.Exit != 0 {
		err = fmt.Errorf("run %q: exit %d: %s", args, o.Exit, o.stderr)
	}
	if err != nil {
		return nil, err
	}
	u.Files, u.Stored, u.Wall = o.Summary.Files, o.Summary.BytesStored, o.Wall
	return &u, nil
}

// sample reads what a process has now. One that is ending has nothing.
func (u *Usage) sample(pid int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return
	}
	for line := range bytes.Lines(status) {
		name, rest, _ := bytes.Cut(line, []byte(":"))
		var at *int64
		switch string(name) {
		case "VmHWM":
			at = &u.HWM
		case "RssAnon":
			at = &u.Anon
		case "RssFile":
			at = &u.File
		default:
			continue
		}
		if kib, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 64); err == nil {
			*at = max(*at, kib<<10)
		}
	}
}

// makeTiny makes a tree of files of a line each, 250 in a directory.
func makeTiny(dir string, files int) error {
	for i := range files {
		d := filepath.Join(dir, fmt.Sprintf("g%03d", i/25000), fmt.Sprintf("d%04d", i/250))
		if i%250 == 0 {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return fmt.Errorf("make tree: %w", err)
			}
		}
		if err := os.WriteFile(filepath.Join(d, fmt.Sprintf("f%07d", i)), fmt.Appendf(nil, "file %d\n", i), 0o644); err != nil {
			return fmt.Errorf("make tree: %w", err)
		}
	}
	return nil
}

// makeText makes ten files of letters drawn from four, so that nothing repeats and yet
// the store needs a quarter of the space.
func makeText(dir string, r *rand.Rand, size int64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range 10 {
		from := &letters{random: newChaCha(r)}
		if err := write(filepath.Join(dir, strconv.Itoa(i)), io.LimitReader(from, size/10)); err != nil {
			return fmt.Errorf("make data: %w", err)
		}
	}
	return nil
}

type letters struct{ random *rand.ChaCha8 }

func (l *letters) Read(p []byte) (int, error) {
	for i := 0; i < len(p); i += 32 {
		bits := l.random.Uint64()
		for j := i; j < min(i+32, len(p)); j++ {
			p[j] = "acgt"[bits&3]
			bits >>= 2
		}
	}
	return len(p), nil
}
