package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"vaultik/internal/treecmp"
)

// Machine is a host with a configuration, a store, and the key, which is given to
// commands that read. Use it from one goroutine.
type Machine struct {
	Dir    string // home
	Store  string // directory
	Target string // where Restore writes

	bin    string
	env    []string
	secret string
	prefix []string // what starts the program, if it is not started directly
}

// Options of a machine; the zero value is a machine as users have it.
type Options struct {
	Store    string // directory, not there yet; default: below the home
	Index    string // directory; default: below the home
	Settings string // lines of the configuration, added to those that init writes
	Cores    int    // that the program is to use; 0: all
}

// Event has the fields of the objects of --json that matter here; docs/json.md
// describes them.
type Event struct {
	Type        string  `json:"type"`
	Message     string  `json:"message"`
	Hint        string  `json:"hint"`
	Exit        int     `json:"exit"`
	Files       int64   `json:"files"`
	New         int64   `json:"new"`
	Changed     int64   `json:"changed"`
	Unchanged   int64   `json:"unchanged"`
	BytesRead   int64   `json:"bytes_read"`
	BytesStored int64   `json:"bytes_stored"`
	Objects     int64   `json:"objects_stored"`
	Written     int64   `json:"bytes_written"`
	Reused      int64   `json:"bytes_reused"`
	Errors      int64   `json:"errors"`
	Seconds     float64 `json:"seconds"`
}

// Outcome is how a command went.
type Outcome struct {
	Args     []string
	Killed   bool
	Exit     int   // -1 if killed
	Summary  Event // of type summary, zero if killed
	Error    Event // of type error, if there was one
	Restored Event // of type restored, if there was one
	Problems int   // that verify found
	Wall     time.Duration
	stderr   string
	line     []byte // of stdout, begun
}

// NewMachine makes a host in dir, which must not be there yet.
func NewMachine(ctx context.Context, bin, dir string, o Options) (*Machine, error) {
	m := &Machine{Dir: dir, Store: o.Store, Target: filepath.Join(dir, "back"), bin: bin}
	if m.Store == "" {
		m.Store = filepath.Join(dir, "store")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make machine: %w", err)
	}
	m.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_CONFIG_HOME=" + filepath.Join(dir, "config"),
		"XDG_STATE_HOME=" + filepath.Join(dir, "state"), "XDG_DATA_HOME=" + filepath.Join(dir, "data")}
	if o.Index != "" {
		m.env = append(m.env, "VAULTIK_INDEX_PATH="+o.Index)
	}
	if o.Cores > 0 {
		m.env = append(m.env, fmt.Sprintf("GOMAXPROCS=%d", o.Cores))
	}
	kit := filepath.Join(dir, "kit")
	if _, err := m.MustRun(ctx, "init", "--store", "file://"+m.Store, "--recovery-kit", kit); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(kit)
	if err != nil {
		return nil, fmt.Errorf("read recovery kit: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "AGE-SECRET-KEY-") {
			m.secret = strings.TrimSpace(line)
		}
	}
	if m.secret == "" {
		return nil, errors.New("read recovery kit: no secret key in it")
	}
	if err := os.Rename(kit, filepath.Join(dir, "kept-elsewhere")); err != nil {
		return nil, fmt.Errorf("move recovery kit: %w", err)
	}
	return m, m.configure(o.Settings)
}

func (m *Machine) configure(settings string) error {
	if settings == "" {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(m.Dir, "config", "vaultik", "config.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("configure machine: %w", err)
	}
	_, err = f.WriteString("\n" + settings)
	return errors.Join(err, f.Close())
}

// Run runs the program with --json. While it runs, watch, if there is one, is called
// with its process, which it may kill; its channel closes when the program has
// ended. That a command fails or is killed is no error.
func (m *Machine) Run(ctx context.Context, watch func(p *os.Process, ended <-chan struct{}), args ...string) (*Outcome, error) {
	all := append(slices.Clone(m.prefix), m.bin, "--json")
	all = append(all, args...)
	c := exec.CommandContext(ctx, all[0], all[1:]...)
	c.Env = m.env
	if args[0] != "backup" {
		c.Env = append(slices.Clone(m.env), "VAULTIK_AGE_SECRET_KEY="+m.secret)
	}
	o := &Outcome{Args: args}
	var stderr bytes.Buffer
	c.Stdout, c.Stderr = o, &stderr
	start := time.Now()
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", all[0], err)
	}
	ended, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		if watch != nil {
			watch(c.Process, ended)
		}
	}()
	err := c.Wait()
	o.Wall, o.Exit, o.stderr = time.Since(start), c.ProcessState.ExitCode(), stderr.String()
	close(ended)
	<-watched
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if ee := (*exec.ExitError)(nil); err != nil && !errors.As(err, &ee) {
		return nil, fmt.Errorf("run %q: %w", args, err)
	}
	if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		if o.Killed = status.Signal() == syscall.SIGKILL; !o.Killed {
			return nil, fmt.Errorf("run %q: ended by %v: %s", args, status.Signal(), o.stderr)
		}
		return o, nil
	}
	if o.Summary.Type == "" || o.Summary.Exit != o.Exit {
		return o, fmt.Errorf("run %q: exit %d, but the summary says %+v: %s", args, o.Exit, o.Summary, o.stderr)
	}
	return o, nil
}

// MustRun is Run of a command that has to succeed.
func (m *Machine) MustRun(ctx context.Context, args ...string) (*Outcome, error) {
	o, err := m.Run(ctx, nil, args...)
	if err == nil && (o.Exit != 0 || o.Killed) {
		err = fmt.Errorf("run %q: exit %d: %s", args, o.Exit, o.stderr)
	}
	return o, err
}

// Write takes the objects of --json apart as they come. Those of single files, of which there
// may be millions, are not kept.
func (o *Outcome) Write(p []byte) (int, error) {
	o.line = append(o.line, p...)
	for {
		line, rest, whole := bytes.Cut(o.line, []byte("\n"))
		if !whole {
			o.line = append(o.line[:0], line...)
			return len(p), nil
		}
		o.line = rest
		if bytes.HasPrefix(line, []byte(`{"type":"item",`)) {
			continue
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return 0, fmt.Errorf("run %q: read %q: %w", o.Args, line, err)
		}
		switch e.Type {
		case "summary":
			o.Summary = e
		case "error":
			o.Error = e
		case "restored":
			o.Restored = e
		case "problem":
			o.Problems++
		}
	}
}

// CheckStore verifies all data of the store.
func (m *Machine) CheckStore(ctx context.Context) error {
	o, err := m.MustRun(ctx, "verify", "--read-data")
	if err == nil && o.Problems > 0 {
		err = fmt.Errorf("verify: %d problems", o.Problems)
	}
	return err
}

// snapshots counts the manifests in the store.
func (m *Machine) snapshots() int {
	list, _ := filepath.Glob(filepath.Join(m.Store, "h/*/m/*/*")) // the pattern is well formed
	return len(list)
}

// CheckRestore restores the newest snapshot to a fresh directory and compares it
// with source.
func (m *Machine) CheckRestore(ctx context.Context, source string) error {
	if err := os.RemoveAll(m.Target); err != nil {
		return fmt.Errorf("clear target: %w", err)
	}
	if _, err := m.MustRun(ctx, "restore", "latest:"+source, "--target", m.Target); err != nil {
		return err
	}
	if err := Identical(ctx, source, m.Target); err != nil {
		return err
	}
	return os.RemoveAll(m.Target)
}

// Identical compares two trees, by the oracle of all tests.
func Identical(ctx context.Context, a, b string) error {
	r, err := treecmp.Compare(ctx, a, b, treecmp.Options{})
	if err == nil && len(r.Differences) > 0 {
		err = fmt.Errorf("%s and %s differ: %d times, first %v", a, b, len(r.Differences), r.Differences[0])
	}
	return err
}

// diskUse is the sum of the sizes of all files below dir, and their number.
func diskUse(dir string) (bytes int64, files int, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes += info.Size()
			files++
		}
		return err
	})
	return bytes, files, err
}
