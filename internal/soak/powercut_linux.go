package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// PowerCuts are the parameters of PowerCut.
type PowerCuts struct {
	Bin, Dir string // the program; a directory to work in, which is left empty
	Seed     uint64
	Files    int // small ones of the tree
	Log      io.Writer
}

// PowerCutCase is what a file system had on its device at a moment, and what became of it.
type PowerCutCase struct {
	What    string
	Options string // of the mount
	Files   int    // of the tree
	Missing int    // that were not there
	Short   int    // of another size
	Wrong   int    // of the right size and mtime, with other contents
	After   string
}

// PowerCut restores to a file system on a loop device, and takes what is on the device at
// a moment: that is what would be left if the power failed then. No file system is
// synced for it, but its journal is written, as it is every few seconds. It mounts file
// systems, so it must run as root, in a mount namespace of its own.
func PowerCut(ctx context.Context, p PowerCuts) ([]PowerCutCase, error) {
	fmt.Fprintf(p.Log, "power-cut: seed %d\n", p.Seed)
	r := rand.New(rand.NewPCG(p.Seed, 3))
	c := &powerCut{PowerCuts: p, source: filepath.Join(p.Dir, "source")}
	if err := makeTree(filepath.Join(c.source, "small"), r, p.Files); err != nil {
		return nil, err
	}
	for i := range 2 {
		large := filepath.Join(c.source, fmt.Sprintf("x-large%d", i))
		if err := writeRandom(large, r, 6<<20); err != nil {
			return nil, err
		}
	}
	first := filepath.Join(c.source, "small/g0/d0000/f0000000")
	if err := os.Link(first, filepath.Join(c.source, "x-link")); err != nil {
		return nil, err
	}
	m, err := NewMachine(ctx, p.Bin, filepath.Join(p.Dir, "machine"), Options{})
	if err != nil {
		return nil, err
	}
	if _, err := m.MustRun(ctx, "backup", c.source); err != nil {
		return nil, err
	}
	c.m = m
	var all []PowerCutCase
	one, err := c.mounted(ctx, "commit=300")
	if err != nil {
		return nil, fmt.Errorf("power-cut: mounted in the target: %w", err)
	}
	all = append(all, *one)
	// The second gives files their sizes before their contents, as other file systems do.
	early := "commit=300,data=writeback,nodelalloc,dioread_lock"
	for _, options := range []string{"commit=300", early} {
		for _, run := range []func(context.Context, string) (*PowerCutCase, error){c.complete, c.killed} {
			one, err := run(ctx, options)
			if err != nil {
				return all, fmt.Errorf("power-cut: %s: %w", options, err)
			}
			all = append(all, *one)
		}
	}
	return all, errors.Join(os.RemoveAll(c.source), os.RemoveAll(m.Dir))
}

// WritePowerCuts prints a table.
func WritePowerCuts(w io.Writer, all []PowerCutCase) error {
	var b strings.Builder
	b.WriteString("| the power fails | ext4 | files | missing | of another size | " +
		"of the right size and mtime, with other contents | then |\n" +
		"| --- | --- | ---: | ---: | ---: | ---: | --- |\n")
	for _, c := range all {
		fmt.Fprintf(&b, "| %s | `%s` | %d | %d | %d | %d | %s |\n",
			c.What, c.Options, c.Files, c.Missing, c.Short, c.Wrong, c.After)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type powerCut struct {
	PowerCuts
	m      *Machine
	source string
}

func (c *powerCut) restore(mnt string, more ...string) []string {
	all := []string{"restore", "latest:" + c.source, "--target", filepath.Join(mnt, "back")}
	return append(all, more...)
}

// complete has the power fail when the program has said that it is done.
func (c *powerCut) complete(ctx context.Context, options string) (*PowerCutCase, error) {
	return c.cut(ctx, options, "after a restore has ended", "back", func(mnt string) error {
		_, err := c.m.MustRun(ctx, c.restore(mnt)...)
		return err
	}, func(res *PowerCutCase, mnt string) error {
		err := errors.Join(res.lost(), Identical(ctx, c.source, filepath.Join(mnt, "back")))
		if err != nil {
			return err
		}
		res.After = "identical"
		return c.nothingLeft(ctx, mnt)
	})
}

// nothingLeft fails if a restore of what is there already has anything to do.
func (c *powerCut) nothingLeft(ctx context.Context, mnt string) error {
	o, err := c.m.MustRun(ctx, c.restore(mnt)...)
	if err != nil {
		return err
	}
	if strings.Contains(o.stderr, unfinished) || o.Restored.Reused+o.Summary.Written > 0 {
		return fmt.Errorf("the next restore compared or wrote files: %s", o.stderr)
	}
	return nil
}

// mounted has it fail when a restore has ended to a directory in which the file system is mounted.
func (c *powerCut) mounted(ctx context.Context, options string) (*PowerCutCase, error) {
	return c.cut(ctx, options, "after a restore has ended, mounted in its target", "", func(mnt string) error {
		target := filepath.Join(c.Dir, "disks", "target")
		place := filepath.Join(target, filepath.Base(c.source))
		if err := os.MkdirAll(place, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(mnt, place, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s at %s: %w", mnt, place, err)
		}
		_, err := c.m.MustRun(ctx, "restore", "latest:"+c.Dir, "--target", target)
		return errors.Join(err, unix.Unmount(place, unix.MNT_DETACH))
	}, func(res *PowerCutCase, mnt string) error {
		res.After = "identical"
		a, b := filepath.Join(c.source, "small"), filepath.Join(mnt, "small")
		return errors.Join(res.lost(), Identical(ctx, a, b))
	})
}

// lost fails if anything of a restore that has ended was lost.
func (res *PowerCutCase) lost() error {
	if res.Missing+res.Short+res.Wrong == 0 {
		return nil
	}
	return fmt.Errorf("of %d files of a restore that has ended %d are missing, "+
		"%d have another size and %d other contents",
		res.Files, res.Missing, res.Short, res.Wrong)
}

// killed has it fail in the middle of a restore, and restores again.
func (c *powerCut) killed(ctx context.Context, options string) (*PowerCutCase, error) {
	return c.cut(ctx, options, "in the middle", "back", func(mnt string) error {
		begun := func() bool { return filesIn(filepath.Join(mnt, "back"), c.Files/4) }
		o, err := c.m.Run(ctx, killWhen(begun), c.restore(mnt, "--bwlimit", "off:8M")...)
		if err == nil && !o.Killed {
			err = errors.New("the restore was complete before it was killed")
		}
		return err
	}, func(res *PowerCutCase, mnt string) error {
		dry, err := c.m.MustRun(ctx, c.restore(mnt, "--dry-run")...)
		if err != nil {
			return err
		}
		if !strings.Contains(dry.stderr, unfinished) {
			return fmt.Errorf("a dry run does not say what was found: %q", dry.stderr)
		}
		part := filepath.Join(c.source, "x-link")
		if _, err := c.m.MustRun(ctx, c.restore(mnt, part)...); err != nil { // covers only a part
			return err
		}
		o, err := c.m.MustRun(ctx, c.restore(mnt)...)
		if err != nil {
			return err
		}
		if strings.Count(o.stderr, unfinished) != 1 {
			return fmt.Errorf("the restore does not say once what was found: %q", o.stderr)
		}
		// It finds marks as well.
		if err := Identical(ctx, c.source, filepath.Join(mnt, "back")); err != nil {
			return err
		}
		res.After = fmt.Sprintf("the same command: identical, %.1f of %.1f MiB were there",
			mib(o.Restored.Reused), mib(o.Restored.Reused+o.Summary.Written))
		return c.nothingLeft(ctx, mnt)
	})
}

// cut makes a file system, has something done on it, and shows what is on its device then.
// The tree is to be in the directory called tree.
func (c *powerCut) cut(ctx context.Context, options, what, tree string, do func(mnt string) error,
	look func(*PowerCutCase, string) error,
) (_ *PowerCutCase, err error) {
	res := &PowerCutCase{What: what, Options: options}
	disks := filepath.Join(c.Dir, "disks") // in memory, so that nobody else's data is waited for
	image, left := filepath.Join(disks, "image"), filepath.Join(disks, "left")
	mnt, after := filepath.Join(c.Dir, "mnt"), filepath.Join(c.Dir, "after")
	defer func() {
		for _, dir := range []string{mnt, after, disks} {
			_ = unix.Unmount(dir, unix.MNT_DETACH) // it may be none
			if err == nil {
				err = os.Remove(dir)
			}
		}
	}()
	for _, dir := range []string{mnt, after, disks} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if err := unix.Mount("tmpfs", disks, "tmpfs", 0, "size=256m"); err != nil {
		return nil, fmt.Errorf("mount a tmpfs: %w", err)
	}
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 96<<20)); err != nil {
		return nil, err
	}
	now := "lazy_itable_init=0,lazy_journal_init=0" // rather than while it is mounted
	if err := command(ctx, "mkfs.ext4", "-q", "-F", "-E", now, image); err != nil {
		return nil, err
	}
	if err := command(ctx, "mount", "-o", "loop,"+options, image, mnt); err != nil {
		return nil, err
	}
	if err := do(mnt); err != nil {
		return nil, err
	}
	if err := writeJournal(mnt); err != nil {
		return nil, err
	}
	if err := command(ctx, "cp", "--sparse=always", image, left); err != nil {
		return nil, err
	}
	if err := command(ctx, "mount", "-o", "loop", left, after); err != nil {
		return nil, err
	}
	if err := res.count(c.source, filepath.Join(after, tree)); err != nil {
		return nil, err
	}
	fmt.Fprintf(c.Log, "power-cut: %s, %s: of %d files %d missing, %d of another size, %d with other contents\n",
		what, options, res.Files, res.Missing, res.Short, res.Wrong)
	return res, look(res, after)
}

// writeJournal has the file system write its journal, and none of the contents of other files.
func writeJournal(mnt string) error {
	f, err := os.Create(filepath.Join(mnt, "other"))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// count compares the files of a tree with what is left of them.
func (res *PowerCutCase) count(source, left string) error {
	return filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		want, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		was, err := d.Info()
		if err != nil {
			return err
		}
		res.Files++
		got, err := os.ReadFile(filepath.Join(left, rel))
		if errors.Is(err, fs.ErrNotExist) {
			res.Missing++
			return nil
		}
		if err != nil {
			return err
		}
		is, err := os.Stat(filepath.Join(left, rel))
		switch {
		case err != nil:
			return err
		case len(got) != len(want):
			res.Short++
		case string(got) != string(want) && is.ModTime().Equal(was.ModTime()):
			res.Wrong++
		}
		return nil
	})
}

// killWhen kills a process as soon as something is the case.
func killWhen(is func() bool) func(*os.Process, <-chan struct{}) {
	return func(p *os.Process, ended <-chan struct{}) {
		for tick := time.NewTicker(2 * time.Millisecond); ; {
			select {
			case <-ended:
				return
			case <-tick.C:
				if is() {
					_ = p.Kill() // it may have ended by itself
					return
				}
			}
		}
	}
}

// filesIn reports whether there are n files below dir.
func filesIn(dir string, n int) bool {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n--
		}
		if n <= 0 {
			return fs.SkipAll
		}
		return nil // what cannot be seen is not there yet
	})
	return n <= 0
}
