package soak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// writeRandom writes a file of random bytes, and its directory.
func writeRandom(path string, r *rand.Rand, size int64) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return write(path, io.LimitReader(newChaCha(r), size))
}

func newChaCha(r *rand.Rand) *rand.ChaCha8 {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(r.Uint32())
	}
	return rand.NewChaCha8(seed)
}

func write(path string, from io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<16)
	_, err = io.Copy(w, from)
	return errors.Join(err, w.Flush(), f.Close())
}

// smallSize is 64 bytes to 16 KiB, 3 KB on average, small ones as often as large ones.
func smallSize(r *rand.Rand) int64 { return int64(64 * math.Exp2(8*r.Float64())) }

// makeTree makes a tree of small files with random contents: ten large directories
// g0 to g9, with directories of 250 files each.
func makeTree(dir string, r *rand.Rand, files int) error {
	for i := range files {
		group := i * 10 / files
		path := filepath.Join(dir, fmt.Sprintf("g%d", group), fmt.Sprintf("d%04d", i/250), fmt.Sprintf("f%07d", i))
		if err := writeRandom(path, r, smallSize(r)); err != nil {
			return fmt.Errorf("make tree: %w", err)
		}
	}
	return nil
}

// settle waits until nothing below the trees is so young that a change right after
// a backup could escape its notice: such files are read again, on purpose.
func settle(ctx context.Context) error {
	t := time.NewTimer(young)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// young is the age up to which a backup does not trust a time: two seconds and what
// counting whole ones adds.
const young = 3100 * time.Millisecond
