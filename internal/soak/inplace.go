package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// InPlaces are the parameters of InPlace.
type InPlaces struct {
	Bin, Dir string // the program; a directory to work in, which is left empty
	Seed     uint64
	Size     int64 // bytes of an image
	Changes  int   // of 1 MiB each, at places that do not touch
	Runs     int   // of each restore; medians count
	Log      io.Writer
}

// Replaced is one way to restore an image, and what it cost.
type Replaced struct {
	Name          string
	Seconds       float64 // median
	Read          int64   // bytes fetched from the store
	Written, Used int64   // bytes written to the target; taken from what was there
}

// InPlace restores an image to where nothing is, and over one in which little has
// changed: by a new file and in place. Each result is compared with the source.
func InPlace(ctx context.Context, p InPlaces) ([]Replaced, error) {
	fmt.Fprintf(p.Log, "in-place: seed %d\n", p.Seed)
	r := rand.New(rand.NewPCG(p.Seed, 5))
	source := filepath.Join(p.Dir, "source")
	image := filepath.Join(source, "image")
	if err := writeRandom(image, r, p.Size); err != nil {
		return nil, err
	}
	m, err := NewMachine(ctx, p.Bin, filepath.Join(p.Dir, "machine"), Options{})
	if err != nil {
		return nil, err
	}
	if _, err := m.MustRun(ctx, "backup", source); err != nil {
		return nil, err
	}
	there := filepath.Join(m.Target, "image")
	change := func() error { return damage(there, r, p.Size, p.Changes) }
	all := []Replaced{}
	for _, way := range []struct {
		name   string
		before func() error
		flags  []string
	}{
		{"into an empty directory", func() error { return os.RemoveAll(m.Target) }, nil},
		{"over the changed file", change, nil},
		{"over the changed file, `--in-place`", change, []string{"--in-place"}},
		{"where nothing has changed", func() error { return nil }, nil},
	} {
		one := Replaced{Name: way.name}
		var seconds []float64
		for range p.Runs {
			if err := way.before(); err != nil {
				return nil, fmt.Errorf("%s: %w", way.name, err)
			}
			o, err := m.MustRun(ctx, append([]string{"restore", "latest:" + source, "--target", m.Target}, way.flags...)...)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way.name, err)
			}
			if err := Identical(ctx, source, m.Target); err != nil {
				return nil, fmt.Errorf("%s: %w", way.name, err)
			}
			seconds = append(seconds, o.Wall.Seconds())
			one.Read, one.Written, one.Used = o.Summary.BytesRead, o.Summary.Written, o.Restored.Reused
		}
		slices.Sort(seconds)
		one.Seconds = seconds[len(seconds)/2]
		all = append(all, one)
		fmt.Fprintf(p.Log, "in-place: %s: %.2f s\n", one.Name, one.Seconds)
	}
	return all, errors.Join(os.RemoveAll(m.Dir), os.RemoveAll(source))
}

// damage writes n times a mebibyte of something else into a file, spread over all of it.
func damage(path string, r *rand.Rand, size int64, n int) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	b := make([]byte, 1<<20)
	for i := range int64(n) {
		room := size / int64(n)
		if _, err = io.ReadFull(newChaCha(r), b); err != nil {
			break
		}
		if _, err = f.WriteAt(b, i*room+r.Int64N(room-int64(len(b)))); err != nil {
			break
		}
	}
	return errors.Join(err, f.Close())
}

// CheckInPlace holds restores over an image to what they promise: they fetch about what differs.
func CheckInPlace(all []Replaced, p InPlaces) error {
	// A changed mebibyte lies in two or three chunks; where several lie in one blob, that is
	// fetched whole.
	most := int64(p.Changes)*12<<20 + 4<<20
	for _, w := range all[1:3] {
		if w.Read > most || w.Used == 0 {
			return fmt.Errorf("%s: %d bytes were fetched, %d are allowed, %d taken from what was there", w.Name, w.Read, most, w.Used)
		}
	}
	if way := all[2]; way.Written > most {
		return fmt.Errorf("%s: %d bytes were written, %d are allowed", way.Name, way.Written, most)
	}
	return nil
}

// WriteInPlace prints a table.
func WriteInPlace(w io.Writer, all []Replaced) error {
	var b strings.Builder
	b.WriteString("| restore | seconds | MiB fetched from the store | MiB written | MiB taken from what was there |\n| --- | ---: | ---: | ---: | ---: |\n")
	for _, i := range all {
		fmt.Fprintf(&b, "| %s | %.2f | %.1f | %.1f | %.1f |\n", i.Name, i.Seconds, mib(i.Read), mib(i.Written), mib(i.Used))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
