package soak

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Increments are the parameters of Incremental.
type Increments struct {
	Bin, Dir string // the program; a directory to work in, which is left empty
	Seed     uint64
	Files    int
	Log      io.Writer
}

// Increment is one backup and what it cost.
type Increment struct {
	Name, Kind      string // Kind: first, unchanged, edit, rename
	Read            int64  // files
	BytesRead       int64
	Objects, Stored int64
	Seconds, Find   float64 // of the backup; of find, that asks for all attributes of the same tree
	Changed         int64   // bytes of the files that were edited or moved
}

// Incremental backs up a tree, unchanged, with ten edits, with a tenth of it renamed,
// and checks that the last snapshot is right.
func Incremental(ctx context.Context, p Increments) ([]Increment, error) {
	fmt.Fprintf(p.Log, "incremental: seed %d\n", p.Seed)
	r := rand.New(rand.NewPCG(p.Seed, 3))
	source := filepath.Join(p.Dir, "source")
	if err := makeTree(source, r, p.Files); err != nil {
		return nil, err
	}
	m, err := NewMachine(ctx, p.Bin, filepath.Join(p.Dir, "machine"), Options{})
	if err != nil {
		return nil, err
	}
	var all []Increment
	for _, step := range []struct {
		name, kind string
	}{
		{"first", "first"},
		{"unchanged", "unchanged"},
		{"ten edits", "edit"},
		{fmt.Sprintf("a directory of %d files renamed", p.Files/10), "rename"},
	} {
		var changed int64
		switch step.kind {
		case "edit":
			changed, err = edit(source, r)
		case "rename":
			changed, err = move(source)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: change the tree: %w", step.name, err)
		}
		if step.kind != "unchanged" {
			if err := settle(ctx); err != nil {
				return nil, err
			}
		}
		find, err := timeFind(ctx, source)
		if err != nil {
			return nil, err
		}
		o, err := m.MustRun(ctx, "backup", source)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
		s := o.Summary
		all = append(all, Increment{step.name, step.kind, s.New + s.Changed, s.BytesRead, s.Objects, s.BytesStored, o.Wall.Seconds(), find.Seconds(), changed})
		fmt.Fprintf(p.Log, "incremental: %s: %.2f s\n", step.name, o.Wall.Seconds())
	}
	if err := m.CheckStore(ctx); err != nil {
		return nil, err
	}
	if err := m.CheckRestore(ctx, source); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(m.Dir); err != nil {
		return nil, err
	}
	return all, os.RemoveAll(source)
}

// WriteIncrements prints a table.
func WriteIncrements(w io.Writer, all []Increment) error {
	var b strings.Builder
	b.WriteString("| backup | files read | bytes read | objects written | bytes written | seconds | seconds of `find` |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, i := range all {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %.2f | %.2f |\n", i.Name, i.Read, i.BytesRead, i.Objects, i.Stored, i.Seconds, i.Find)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// timeFind lists a tree with the times of each entry, the least that any incremental
// backup must do.
func timeFind(ctx context.Context, dir string) (time.Duration, error) {
	c := exec.CommandContext(ctx, "find", dir, "-printf", `%s %T@ %C@ %i %p\n`)
	c.Stdout = io.Discard
	start := time.Now()
	err := c.Run()
	return time.Since(start), err
}

// edit rewrites ten files, spread over the tree, and returns their bytes.
func edit(source string, r *rand.Rand) (total int64, err error) {
	var files []string
	err = filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	for i := 0; i < 10 && err == nil; i++ {
		size := smallSize(r)
		total += size
		err = writeRandom(files[(2*i+1)*len(files)/20], r, size)
	}
	return total, err
}

// move renames a tenth of the tree, and answers its bytes.
func move(source string) (int64, error) {
	to := filepath.Join(source, "renamed")
	if err := os.Rename(filepath.Join(source, "g4"), to); err != nil {
		return 0, err
	}
	n, _, err := diskUse(to)
	return n, err
}

// CheckIncrements compares what they cost with what is promised.
func CheckIncrements(all []Increment) error {
	for _, i := range all {
		ok := true
		switch i.Kind {
		case "unchanged":
			ok = i.Read == 0 && i.BytesRead == 0 && i.Objects <= 4
		case "edit":
			ok = i.Read == 10 && i.BytesRead == i.Changed
		case "rename": // only pages: a file needs some 100 bytes there, and has 3,000
			ok = i.Stored < i.Changed/3
		}
		if !ok {
			return fmt.Errorf("costs too much: %+v", i)
		}
	}
	return nil
}
