package soak

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Huges are the parameters of Huge.
type Huges struct {
	Bin, Dir string // the program; a directory to work in, which is left empty
	Seed     uint64
	Files    int   // in one directory
	Large    int64 // bytes of one file
	Links    int   // names of one file
	Levels   int   // of directories in each other
	Log      io.Writer
}

// HugeCase is one thing of which there is very much.
type HugeCase struct {
	What             string
	Backup, Restore  Usage
	Compared         string // how
	Made, CompareFor time.Duration
}

// hugeCase makes a source, and says how it is compared.
type hugeCase struct {
	what  string
	tmpfs bool // ext4 cannot have it: it is done in a file system in memory
	alone bool // there is no room for source and target at once: the source goes before
	deep  bool // too deep for the oracle, and for os.RemoveAll
	make  func(dir string) error
}

// Huge backs up what is huge, restores and compares it. It mounts a file system in
// memory, so it must run as root of its mount namespace.
func Huge(ctx context.Context, p Huges) ([]HugeCase, error) {
	fmt.Fprintf(p.Log, "huge: seed %d\n", p.Seed)
	var all []HugeCase
	for _, c := range p.cases() {
		h, err := p.one(ctx, c)
		if err != nil {
			return all, fmt.Errorf("%s: %w", c.what, err)
		}
		all = append(all, *h)
		fmt.Fprintf(p.Log, "huge: %s: backup %.1f s, %.0f MiB; restore %.1f s, %.0f MiB; %s\n", h.What,
			h.Backup.Wall.Seconds(), mib(h.Backup.HWM), h.Restore.Wall.Seconds(), mib(h.Restore.HWM), h.Compared)
	}
	return all, nil
}

func (p *Huges) cases() []hugeCase {
	r := rand.New(rand.NewPCG(p.Seed, 6))
	var list []hugeCase
	add := func(c hugeCase) { list = append(list, c) }
	if p.Files > 0 {
		add(hugeCase{what: fmt.Sprintf("a directory with %d files", p.Files), make: func(dir string) error {
			for i := range p.Files {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%07d", i)), fmt.Appendf(nil, "file %d\n", i), 0o644); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	if p.Large > 0 {
		add(hugeCase{what: fmt.Sprintf("a file of %.0f GiB", mib(p.Large)/1024), alone: true, make: func(dir string) error {
			return write(filepath.Join(dir, "large"), io.LimitReader(&letters{random: newChaCha(r)}, p.Large))
		}})
	}
	add(hugeCase{what: "a file of 1 TiB with 1 MiB of data", make: func(dir string) (err error) {
		f, err := os.Create(filepath.Join(dir, "sparse"))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		data := make([]byte, 1<<20)
		_, _ = newChaCha(r).Read(data) // never fails
		_, err = f.WriteAt(data, 1<<39)
		return errors.Join(err, f.Truncate(1<<40))
	}})
	add(hugeCase{what: "100 levels of directories", make: func(dir string) error {
		for i := range 100 {
			dir = filepath.Join(dir, fmt.Sprintf("level-%02d", i))
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, "file"), fmt.Appendf(nil, "level %d\n", i), 0o644); err != nil {
				return err
			}
		}
		return nil
	}})
	if p.Levels > 0 {
		add(hugeCase{what: fmt.Sprintf("%d levels of directories", p.Levels), deep: true, make: func(dir string) error {
			return makeLevels(dir, p.Levels)
		}})
	}
	add(hugeCase{what: "100 xattrs of 64 KiB in total on a file", tmpfs: true, make: func(dir string) error {
		name := filepath.Join(dir, "file")
		if err := os.WriteFile(name, []byte("file"), 0o644); err != nil {
			return err
		}
		value := make([]byte, 64<<10/100)
		for i := range 100 {
			_, _ = newChaCha(r).Read(value) // never fails
			if err := unix.Setxattr(name, fmt.Sprintf("user.number-%02d", i), value, 0); err != nil {
				return fmt.Errorf("attribute %d: %w", i, err)
			}
		}
		return nil
	}})
	if p.Links > 0 {
		add(hugeCase{what: fmt.Sprintf("%d hard links to a file", p.Links), tmpfs: true, make: func(dir string) error {
			first := filepath.Join(dir, "l0000000")
			if err := os.WriteFile(first, []byte("one file\n"), 0o644); err != nil {
				return err
			}
			for i := 1; i < p.Links; i++ {
				if err := os.Link(first, filepath.Join(dir, fmt.Sprintf("l%07d", i))); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	return list
}

func (p *Huges) one(ctx context.Context, c hugeCase) (_ *HugeCase, err error) {
	dir := p.Dir
	if c.tmpfs {
		dir = filepath.Join(p.Dir, "memory")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1g"); err != nil {
			return nil, fmt.Errorf("mount a file system in memory: %w", err)
		}
		defer func() { err = errors.Join(err, unix.Unmount(dir, 0), os.Remove(dir)) }()
	}
	if c.alone {
		if err := roomFor(dir, p.Large+p.Large*2/5); err != nil {
			return nil, err
		}
	}
	m, err := NewMachine(ctx, p.Bin, filepath.Join(dir, "machine"), Options{})
	if err != nil {
		return nil, err
	}
	source := filepath.Join(dir, "source")
	defer func() {
		if c.deep {
			err = errors.Join(err, removeLevels(source), removeLevels(m.Target))
		}
		err = errors.Join(err, os.RemoveAll(source), os.RemoveAll(m.Dir))
	}()
	h := &HugeCase{What: c.what, Compared: "identical"}
	began := time.Now()
	if err := os.Mkdir(source, 0o755); err != nil {
		return nil, err
	}
	if err := c.make(source); err != nil {
		return nil, fmt.Errorf("make the source: %w", err)
	}
	h.Made = time.Since(began)
	u, err := m.measure(ctx, "backup", source)
	if err != nil {
		return nil, err
	}
	h.Backup = *u
	var sum [sha256.Size]byte
	if c.alone {
		if sum, err = sumOf(source); err != nil {
			return nil, err
		}
		if err := os.RemoveAll(source); err != nil {
			return nil, err
		}
	}
	if u, err = m.measure(ctx, "restore", "latest:"+source, "--target", m.Target); err != nil {
		return nil, err
	}
	h.Restore = *u
	began = time.Now()
	switch {
	case c.deep:
		if err := sameLevels(source, m.Target); err != nil {
			return nil, err
		}
		h.Compared = "identical in names, modes, owners and mtimes"
	case c.alone:
		now, err := sumOf(m.Target)
		if err == nil && now != sum {
			err = errors.New("what was restored has another SHA-256, or other attributes")
		}
		if err != nil {
			return nil, err
		}
		h.Compared = "identical by SHA-256, mode, owner and mtime"
	default:
		if err := Identical(ctx, source, m.Target); err != nil {
			return nil, err
		}
	}
	h.CompareFor = time.Since(began)
	return h, nil
}

// sumOf is one sum over the names, attributes and contents of the files in a directory.
func sumOf(dir string) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	list, err := os.ReadDir(dir)
	if err != nil {
		return sum, err
	}
	for _, e := range list {
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			return sum, err
		}
		var st unix.Stat_t
		err = unix.Fstat(int(f.Fd()), &st)
		_, _ = fmt.Fprintln(h, e.Name(), st.Mode, st.Uid, st.Gid, st.Size, st.Mtim.Sec, st.Mtim.Nsec)
		if err == nil {
			_, err = io.Copy(h, f)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return sum, err
		}
	}
	h.Sum(sum[:0])
	return sum, nil
}

// roomFor fails if a file system has not so many bytes to spare, and some more: a test
// that fills a disk harms others.
func roomFor(dir string, need int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	need += 5 << 30
	if free := int64(st.Bavail) * st.Bsize; free < need {
		return fmt.Errorf("%d GiB are free, %d are needed", free>>30, need>>30)
	}
	return nil
}

// WriteHuge prints a table.
func WriteHuge(w io.Writer, all []HugeCase) error {
	var b bytes.Buffer
	b.WriteString("| | backup s | RssAnon MiB | VmHWM MiB | MB stored | restore s | RssAnon MiB | VmHWM MiB | compared |\n" +
		"| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n")
	for _, h := range all {
		fmt.Fprintf(&b, "| %s | %.1f | %.0f | %.0f | %.1f | %.1f | %.0f | %.0f | %s |\n", grouped(h.What), h.Backup.Wall.Seconds(), mib(h.Backup.Anon),
			mib(h.Backup.HWM), float64(h.Backup.Stored)/1e6, h.Restore.Wall.Seconds(), mib(h.Restore.Anon), mib(h.Restore.HWM), h.Compared)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// grouped writes the large numbers of a text with commas.
func grouped(text string) string {
	words := strings.Fields(text)
	for i, w := range words {
		if len(w) < 5 || strings.Trim(w, "0123456789") != "" {
			continue
		}
		for at := len(w) - 3; at > 0; at -= 3 {
			w = w[:at] + "," + w[at:]
		}
		words[i] = w
	}
	return strings.Join(words, " ")
}
