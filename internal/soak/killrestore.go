package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// KillRestores are the parameters of KillRestore.
type KillRestores struct {
	Bin, Dir string // the program; a directory to work in, which is left empty
	Seed     uint64
	Kills    int
	Files    int   // small ones of the tree
	Large    int64 // bytes of each of three large ones
	Part     int64 // bytes of one file large enough for a restore to resume within it; 0: none
	Log      io.Writer
}

// KilledRestores is what came of them.
type KilledRestores struct {
	Kills    int
	Early    int // kills that came too late: the restore was complete
	Files    int // regular ones, of the tree
	Bytes    int64
	Length   time.Duration
	Full     int64 // bytes that a restore without a kill reads from the store
	Pages    int64 // bytes that a restore reads when nothing is missing
	Temps    int   // temporary files that kills left behind
	Kept     int64 // files that were there after a kill; none was written again
	Missing  int64 // files that were not, in all
	MissingB int64 // their bytes
	Written  int64 // bytes that second runs wrote
	Reused   int64 // bytes of large files that were incomplete and resumed
	Read     int64 // bytes that second runs read from the store
}

func (k *KilledRestores) String() string {
	return fmt.Sprintf(`| what | |
| --- | ---: |
| restores killed, then continued | %d |
| complete before the kill came | %d |
| files, MiB of the tree | %d, %.1f |
| seconds without a kill | %.1f |
| temporary files and parts left by kills, then by the second run | %d, 0 |
| files there after the kill, in all; written again | %d, 0 |
| files missing after the kill, in all; MiB | %d, %.1f |
| MiB written by second runs; taken from parts | %.1f, %.1f |
| MiB read from the store by second runs, pages left out | %.1f |
`, k.Kills, k.Early, k.Files, mib(k.Bytes), k.Length.Seconds(), k.Temps, k.Kept, k.Missing, mib(k.MissingB), mib(k.Written), mib(k.Reused), mib(k.Read-int64(k.Kills)*k.Pages))
}

// KillRestore kills restores at random moments and continues each once. What it
// promises of the second run is checked: no temporary file and no part is left, files
// that were there are not written again, of those missing nothing is written but what
// their parts have not, and the trees are identical.
func KillRestore(ctx context.Context, p KillRestores) (*KilledRestores, error) {
	fmt.Fprintf(p.Log, "kill-restore: seed %d\n", p.Seed)
	r := rand.New(rand.NewPCG(p.Seed, 2))
	source := filepath.Join(p.Dir, "source")
	if err := p.tree(source, r); err != nil {
		return nil, err
	}
	m, err := NewMachine(ctx, p.Bin, filepath.Join(p.Dir, "machine"), Options{})
	if err != nil {
		return nil, err
	}
	if _, err := m.MustRun(ctx, "backup", source); err != nil {
		return nil, err
	}
	restore := []string{"restore", "latest:" + source, "--target", m.Target}
	o, err := m.MustRun(ctx, restore...)
	if err != nil {
		return nil, err
	}
	res := &KilledRestores{Length: o.Wall, Full: o.Summary.BytesRead}
	if o, err = m.MustRun(ctx, restore...); err != nil {
		return nil, err
	}
	if res.Pages = o.Summary.BytesRead; o.Summary.Written != 0 {
		return nil, fmt.Errorf("a restore of what is there already wrote %d bytes", o.Summary.Written)
	}
	all, err := filesOf(source)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		res.Files++
		res.Bytes += f.once
	}
	for res.Kills < p.Kills {
		if err := os.RemoveAll(m.Target); err != nil {
			return nil, fmt.Errorf("clear target: %w", err)
		}
		o, err := m.Run(ctx, killAfter(time.Duration(r.Int64N(int64(res.Length)))), restore...)
		if err != nil {
			return nil, err
		}
		if !o.Killed {
			res.Early++
			continue
		}
		res.Kills++
		if err := p.goOn(ctx, m, restore, source, all, res); err != nil {
			return nil, fmt.Errorf("after kill %d: %w", res.Kills, err)
		}
		if res.Kills%10 == 0 {
			fmt.Fprintf(p.Log, "kill-restore: %d killed\n", res.Kills)
		}
	}
	if err := os.RemoveAll(m.Dir); err != nil {
		return nil, err
	}
	return res, os.RemoveAll(source)
}

func (p *KillRestores) tree(source string, r *rand.Rand) error {
	if err := makeTree(filepath.Join(source, "small"), r, p.Files); err != nil {
		return err
	}
	for i := range 3 {
		if err := writeRandom(filepath.Join(source, fmt.Sprintf("large%d", i)), r, p.Large); err != nil {
			return err
		}
	}
	if p.Part > 0 {
		if err := writeRandom(filepath.Join(source, "part"), r, p.Part); err != nil {
			return err
		}
	}
	first := filepath.Join(source, "small/g0/d0000/f0000000")
	for i := range 10 {
		name := filepath.Join(source, fmt.Sprintf("link%d", i))
		if err := errors.Join(os.Link(first, name+"-hard"), os.Symlink("nowhere", name+"-soft"), os.Mkdir(name+"-dir", 0o500)); err != nil {
			return err
		}
	}
	return nil
}

// unfinished is what the program says of a restore that was interrupted.
const unfinished = "did not finish; contents of existing files are compared"

// goOn runs a killed restore again and checks what it did.
func (p *KillRestores) goOn(ctx context.Context, m *Machine, restore []string, source string, all map[string]file, res *KilledRestores) error {
	there, err := filesOf(m.Target)
	if err != nil {
		return err
	}
	var missing, missingBytes, marks, compared int64
	for path := range there {
		if _, ok := all[path]; ok {
			continue
		}
		base := filepath.Base(path)
		if strings.HasPrefix(base, ".vaultik-restoring-") && filepath.Dir(path) == "." {
			marks++
			continue
		}
		res.Temps++
		if !strings.HasPrefix(base, ".vaultik-tmp-") && !strings.HasPrefix(base, ".vaultik-part-") {
			return fmt.Errorf("%q is in the target, not in the source", path)
		}
	}
	for path, f := range all {
		if _, ok := there[path]; !ok {
			missing++
			missingBytes += f.once
		} else if marks > 0 {
			compared += f.once
		}
	}
	if int64(len(there)) > marks && marks != 1 {
		return fmt.Errorf("%d marks say that the restore was killed", marks)
	}
	o, err := m.MustRun(ctx, restore...)
	if err != nil {
		return err
	}
	if said := strings.Contains(o.stderr, unfinished); said != (marks > 0) {
		return fmt.Errorf("%d marks, and the second run said: %q", marks, o.stderr)
	}
	after, err := filesOf(m.Target)
	if err != nil {
		return err
	}
	for path, f := range there {
		if now, ok := after[path]; ok && now.inode != f.inode {
			return fmt.Errorf("%q was there, and was written again", path)
		}
	}
	if err := Identical(ctx, source, m.Target); err != nil { // finds temporary files as well
		return err
	}
	// What was there is compared, and counts as taken from there; parts do besides.
	fromParts := o.Restored.Reused - compared
	if n := o.Summary.Written + fromParts; n > missingBytes {
		return fmt.Errorf("%d bytes were missing, %d were written and %d taken from parts", missingBytes, o.Summary.Written, fromParts)
	}
	// A blob of which a quarter is wanted is fetched whole, once for each stretch of the walk.
	if read, most := o.Summary.BytesRead, res.Pages+min(2*res.Full, 4*missingBytes+(16<<20)); read > most {
		return fmt.Errorf("the second run read %d bytes of the store to write %d, a whole restore reads %d", read, o.Summary.Written, res.Full)
	}
	res.Kept += int64(len(all)) - missing
	res.Missing += missing
	res.MissingB += missingBytes
	res.Written += o.Summary.Written
	res.Reused += fromParts
	res.Read += o.Summary.BytesRead
	return nil
}

// file is a regular file; of several names of one file the first counts its bytes.
type file struct {
	inode uint64
	once  int64
}

func filesOf(dir string) (map[string]file, error) {
	files, seen := map[string]file{}, map[uint64]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if path == dir && os.IsNotExist(err) {
			return fs.SkipAll // killed before it was made
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f := file{inode: info.Sys().(*syscall.Stat_t).Ino}
		if !seen[f.inode] {
			f.once = info.Size()
		}
		seen[f.inode] = true
		rel, err := filepath.Rel(dir, path)
		files[rel] = f
		return err
	})
	return files, err
}
