package soak

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Fulls are the parameters of Full.
type Fulls struct {
	Bin, Dir string // the program; a directory to work in, which is left empty
	Seed     uint64
	Log      io.Writer
}

// FullCase is one way to run out of space.
type FullCase struct {
	What     string
	Exit     int
	Message  string // of the error
	Hint     string
	Unharmed string // what was checked before space was made
	After    string // the same command, after space was made
}

// Full runs out of space in the store, in the index, in the target of a restore, all at
// the same time. It mounts small file systems, so it must run as root of its mount
// namespace.
func Full(ctx context.Context, p Fulls) ([]FullCase, error) {
	fmt.Fprintf(p.Log, "full: seed %d\n", p.Seed)
	cases := []func(*fullRun, context.Context) (*FullCase, error){
		(*fullRun).storeAtOnce, (*fullRun).storeLater, (*fullRun).index, (*fullRun).target,
	}
	all, errs := make([]FullCase, len(cases)), make([]error, len(cases))
	var running sync.WaitGroup
	for i, run := range cases {
		running.Go(func() {
			all[i], errs[i] = p.one(ctx, i, run)
		})
	}
	running.Wait()
	return all, errors.Join(errs...)
}

// WriteFullCases prints a table.
func WriteFullCases(w io.Writer, all []FullCase) error {
	var b strings.Builder
	b.WriteString("| full | exit | said | unharmed | the same command, after space was made |\n| --- | ---: | --- | --- | --- |\n")
	for _, c := range all {
		said := c.Message
		if c.Hint != "" {
			said += "; hint: " + c.Hint
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s |\n", c.What, c.Exit, said, c.Unharmed, c.After)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// fullRun is one case: a source of 6 MiB, later 24, and a small file system.
type fullRun struct {
	Fulls
	r             *rand.Rand
	source, small string
}

func (p Fulls) one(ctx context.Context, i int, run func(*fullRun, context.Context) (*FullCase, error)) (_ FullCase, err error) {
	p.Dir = filepath.Join(p.Dir, fmt.Sprintf("case%d", i))
	f := &fullRun{p, rand.New(rand.NewPCG(p.Seed, uint64(i))), filepath.Join(p.Dir, "source"), filepath.Join(p.Dir, "small")}
	if err := os.MkdirAll(f.small, 0o755); err != nil {
		return FullCase{}, err
	}
	if err := f.add("old", 6); err != nil {
		return FullCase{}, err
	}
	if err := settle(ctx); err != nil {
		return FullCase{}, err
	}
	c, err := run(f, ctx)
	if err != nil {
		return FullCase{}, fmt.Errorf("full: %w", err)
	}
	// What ran there has ended, so that nothing holds it.
	if err := unix.Unmount(f.small, 0); err != nil {
		return FullCase{}, fmt.Errorf("unmount %s: %w", f.small, err)
	}
	return *c, os.RemoveAll(p.Dir)
}

func (f *fullRun) machine() string { return filepath.Join(f.Dir, "machine") }

// add adds so many files of a MiB to the source.
func (f *fullRun) add(name string, files int) error {
	for i := range files {
		if err := writeRandom(filepath.Join(f.source, name, fmt.Sprintf("f%02d", i)), f.r, 1<<20); err != nil {
			return err
		}
	}
	return nil
}

// addLater adds 18 MiB more, old enough to be trusted.
func (f *fullRun) addLater(ctx context.Context) error {
	if err := f.add("new", 18); err != nil {
		return err
	}
	return settle(ctx)
}

// mount gives the small file system so many bytes, the first time and later.
func (f *fullRun) mount(size int64, again uintptr) error {
	if err := unix.Mount("tmpfs", f.small, "tmpfs", again, fmt.Sprintf("size=%d,mode=755", size)); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	return nil
}

func (f *fullRun) grow() error { return f.mount(256<<20, unix.MS_REMOUNT) }

// fails runs a command that has to fail for want of space.
func (f *fullRun) fails(ctx context.Context, m *Machine, what string, args ...string) (*FullCase, error) {
	o, err := m.Run(ctx, nil, args...)
	if err != nil {
		return nil, err
	}
	c := &FullCase{What: what, Exit: o.Exit, Message: o.Error.Message, Hint: o.Error.Hint}
	for _, s := range []*string{&c.Message, &c.Hint} {
		*s = strings.ReplaceAll(strings.ReplaceAll(*s, f.Dir, "…"), f.Bin, "vaultik")
	}
	if o.Exit == 0 || !strings.Contains(o.stderr, "no space left") {
		return nil, fmt.Errorf("%s: exit %d, said %q", what, o.Exit, o.stderr)
	}
	return c, nil
}

// saved completes the backup that had failed and checks all of it.
func (f *fullRun) saved(ctx context.Context, m *Machine) (string, error) {
	o, err := m.MustRun(ctx, "backup", f.source)
	if err != nil {
		return "", err
	}
	if err := m.CheckStore(ctx); err != nil {
		return "", err
	}
	if err := m.CheckRestore(ctx, f.source); err != nil {
		return "", err
	}
	bytes, _, err := diskUse(f.source)
	return fmt.Sprintf("exit 0: %.1f of %.1f MiB read, %.1f MiB stored; `verify --read-data` clean, restore identical",
		mib(o.Summary.BytesRead), mib(bytes), mib(o.Summary.BytesStored)), err
}

func (f *fullRun) storeAtOnce(ctx context.Context) (*FullCase, error) {
	if err := f.mount(4<<20, 0); err != nil {
		return nil, err
	}
	m, err := NewMachine(ctx, f.Bin, f.machine(), Options{Store: filepath.Join(f.small, "store"), Settings: "blob_size: 2MiB\n"})
	if err != nil {
		return nil, err
	}
	c, err := f.fails(ctx, m, "store, in the first backup", "backup", f.source)
	if err != nil {
		return nil, err
	}
	if err := m.CheckStore(ctx); err != nil {
		return nil, err
	}
	if n := m.snapshots(); n != 0 {
		return nil, fmt.Errorf("%d snapshots after a backup that failed", n)
	}
	c.Unharmed = "no snapshot; `verify --read-data` clean"
	if err := f.grow(); err != nil {
		return nil, err
	}
	c.After, err = f.saved(ctx, m)
	return c, err
}

func (f *fullRun) storeLater(ctx context.Context) (*FullCase, error) {
	if err := f.mount(14<<20, 0); err != nil {
		return nil, err
	}
	m, err := NewMachine(ctx, f.Bin, f.machine(), Options{Store: filepath.Join(f.small, "store"), Settings: "blob_size: 2MiB\n"})
	if err != nil {
		return nil, err
	}
	if _, err := m.MustRun(ctx, "backup", f.source); err != nil {
		return nil, err
	}
	if err := f.addLater(ctx); err != nil {
		return nil, err
	}
	c, err := f.fails(ctx, m, "store, in a later backup", "backup", f.source)
	if err != nil {
		return nil, err
	}
	if err := m.CheckStore(ctx); err != nil {
		return nil, err
	}
	if err := m.CheckRestore(ctx, filepath.Join(f.source, "old")); err != nil {
		return nil, err
	}
	c.Unharmed = "`verify --read-data` clean, the snapshot before restored, identical"
	if err := f.grow(); err != nil {
		return nil, err
	}
	c.After, err = f.saved(ctx, m)
	return c, err
}

func (f *fullRun) index(ctx context.Context) (*FullCase, error) {
	if err := f.mount(64<<20, 0); err != nil {
		return nil, err
	}
	m, err := NewMachine(ctx, f.Bin, f.machine(), Options{Index: filepath.Join(f.small, "index")})
	if err != nil {
		return nil, err
	}
	if _, err := m.MustRun(ctx, "backup", f.source); err != nil {
		return nil, err
	}
	if err := f.addLater(ctx); err != nil {
		return nil, err
	}
	ballast := filepath.Join(f.small, "ballast")
	if err := fill(ballast); err != nil {
		return nil, err
	}
	before, err := sums(m.Store)
	if err != nil {
		return nil, err
	}
	c, err := f.fails(ctx, m, "index", "backup", f.source)
	if err != nil {
		return nil, err
	}
	after, err := sums(m.Store)
	if err != nil {
		return nil, err
	}
	if !maps.Equal(before, after) {
		return nil, errors.New("the store was changed")
	}
	if err := m.CheckRestore(ctx, filepath.Join(f.source, "old")); err != nil {
		return nil, err
	}
	c.Unharmed = "the store, byte by byte; the snapshot before restored, identical"
	if err := os.Remove(ballast); err != nil {
		return nil, err
	}
	c.After, err = f.saved(ctx, m)
	return c, err
}

func (f *fullRun) target(ctx context.Context) (*FullCase, error) {
	if err := f.mount(9<<20, 0); err != nil {
		return nil, err
	}
	if err := f.add("new", 18); err != nil {
		return nil, err
	}
	m, err := NewMachine(ctx, f.Bin, f.machine(), Options{})
	if err != nil {
		return nil, err
	}
	if _, err := m.MustRun(ctx, "backup", f.source); err != nil {
		return nil, err
	}
	restore := []string{"restore", "latest:" + f.source, "--target", filepath.Join(f.small, "back"), "--no-space-check"}
	c, err := f.fails(ctx, m, "target of a restore", restore...)
	if err != nil {
		return nil, err
	}
	want, err := sums(f.source)
	if err != nil {
		return nil, err
	}
	got, err := sums(filepath.Join(f.small, "back"))
	if err != nil {
		return nil, err
	}
	for path, sum := range got {
		if want[path] != sum {
			return nil, fmt.Errorf("%q is in the target, and not as in the source", path)
		}
	}
	c.Unharmed = fmt.Sprintf("%d of %d files are in the target, whole; no temporary file", len(got), len(want))
	if err := f.grow(); err != nil {
		return nil, err
	}
	o, err := m.MustRun(ctx, restore...)
	if err != nil {
		return nil, err
	}
	c.After = fmt.Sprintf("exit 0: %.1f MiB written, %d files were there already; identical", mib(o.Summary.Written), o.Summary.Unchanged)
	if missing := int64(len(want)-len(got)) << 20; o.Summary.Written != missing {
		return nil, fmt.Errorf("%d bytes were missing, %d were written", missing, o.Summary.Written)
	}
	return c, Identical(ctx, f.source, filepath.Join(f.small, "back"))
}

// fill writes a file until there is no space left.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for err == nil {
		_, err = f.Write(make([]byte, 64<<10))
	}
	if errors.Is(err, unix.ENOSPC) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// sums are the SHA-256 of all files below dir.
func sums(dir string) (map[string][32]byte, error) {
	all := map[string][32]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		all[rel] = sha256.Sum256(b)
		return err
	})
	return all, err
}

// UnshareFlags make unshare start a process that Full may run in.
func UnshareFlags() string {
	if os.Geteuid() == 0 {
		return "-m"
	}
	return "-rm"
}
