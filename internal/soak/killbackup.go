package soak

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// KillBackups are the parameters of KillBackup.
type KillBackups struct {
	Bin, Dir string // the program; a directory to work in, which is left empty
	Seed     uint64
	Kills    int
	Settings string // of the configuration
	// A round changes the tree and kills backups of it, up to PerRound, until one is
	// complete. It adds so many small files and bytes of large ones.
	PerRound, Files int
	Large           int64
	Log             io.Writer
}

// KilledBackups is what came of them.
type KilledBackups struct {
	Kills            int            // processes that died by it
	Moments          map[string]int // what they were drawn from
	Early            int            // kills that came too late: the backup was complete
	Rounds           int
	Files            int64 // at the end
	Bytes            int64
	Store, Reference int64 // bytes; the reference had the same rounds without kills
	Snapshots        int
	Slowest          time.Duration
}

// Ratio is how much larger the kills made the store.
func (k *KilledBackups) Ratio() float64 { return float64(k.Store) / float64(k.Reference) }

func (k *KilledBackups) String() string {
	return fmt.Sprintf(`| what | |
| --- | ---: |
| backups killed | %d |
| ... up to 40 ms after the start | %d |
| ... at any moment of its length, up to %.1f s | %d |
| ... up to 8 ms after the root was stored, before, at and after the commit | %d |
| complete before the kill came | %d |
| states of the tree, each completed in the end | %d |
| files, MiB at the end | %d, %.0f |
| snapshots | %d |
| store, MiB | %.1f |
| store of the same states without kills, MiB | %.1f |
| ratio | %.3f |
`, k.Kills, k.Moments["start"], k.Slowest.Seconds(), k.Moments["any"], k.Moments["commit"], k.Early, k.Rounds, k.Files,
		mib(k.Bytes), k.Snapshots, mib(k.Store), mib(k.Reference), k.Ratio())
}

// KillBackup kills backups at random moments and resumes them, then checks: the store
// verifies with all its data, and the last snapshot is what the tree is.
func KillBackup(ctx context.Context, p KillBackups) (*KilledBackups, error) {
	fmt.Fprintf(p.Log, "kill-backup: seed %d\n", p.Seed)
	r := rand.New(rand.NewPCG(p.Seed, 1))
	res := &KilledBackups{Moments: map[string]int{}}
	source := filepath.Join(p.Dir, "source")
	killed, err := NewMachine(ctx, p.Bin, filepath.Join(p.Dir, "killed"), Options{Settings: p.Settings})
	if err != nil {
		return nil, err
	}
	reference, err := NewMachine(ctx, p.Bin, filepath.Join(p.Dir, "reference"), Options{Settings: p.Settings})
	if err != nil {
		return nil, err
	}
	for res.Kills < p.Kills {
		if err := p.change(source, r, res.Rounds); err != nil {
			return nil, fmt.Errorf("change the tree: %w", err)
		}
		o, err := reference.MustRun(ctx, "backup", source)
		if err != nil {
			return nil, err
		}
		res.Slowest = max(res.Slowest, o.Wall)
		if err := p.round(ctx, killed, source, r, o.Wall, res); err != nil {
			return nil, err
		}
		res.Rounds++
		fmt.Fprintf(p.Log, "kill-backup: %d killed, %d states\n", res.Kills, res.Rounds)
	}
	if err := killed.CheckStore(ctx); err != nil {
		return nil, err
	}
	if err := killed.CheckRestore(ctx, source); err != nil {
		return nil, err
	}
	// A kill after the commit leaves a snapshot more, as does each backup that was
	// complete before its kill.
	res.Snapshots = killed.snapshots()
	if res.Store, _, err = diskUse(killed.Store); err != nil {
		return nil, err
	}
	if res.Reference, _, err = diskUse(reference.Store); err != nil {
		return nil, err
	}
	var files int
	res.Bytes, files, err = diskUse(source)
	res.Files = int64(files)
	for _, dir := range []string{source, killed.Dir, reference.Dir} {
		if err == nil {
			err = os.RemoveAll(dir)
		}
	}
	return res, err
}

// round kills backups of the tree as it is, and completes one.
func (p *KillBackups) round(ctx context.Context, m *Machine, source string, r *rand.Rand, length time.Duration, res *KilledBackups) error {
	for k := 0; k < p.PerRound && res.Kills < p.Kills; k++ {
		moment, watch := p.moment(m, r, length)
		o, err := m.Run(ctx, watch, "backup", source)
		switch {
		case err != nil:
			return err
		case o.Killed:
			res.Kills++
			res.Moments[moment]++
			continue
		case o.Exit != 0:
			return fmt.Errorf("backup after %d kills: exit %d: %s", res.Kills, o.Exit, o.stderr)
		}
		res.Early++
		break
	}
	_, err := m.MustRun(ctx, "backup", source)
	return err
}

// moment draws when the next backup is killed.
func (p *KillBackups) moment(m *Machine, r *rand.Rand, length time.Duration) (string, func(*os.Process, <-chan struct{})) {
	switch r.IntN(4) {
	case 0:
		return "start", killAfter(time.Duration(r.Int64N(int64(40 * time.Millisecond))))
	case 1:
		wait := time.Duration(r.Int64N(int64(8 * time.Millisecond)))
		before := roots(m.Store)
		return "commit", func(proc *os.Process, ended <-chan struct{}) {
			for roots(m.Store) == before {
				select {
				case <-ended:
					return
				case <-time.After(500 * time.Microsecond):
				}
			}
			killAfter(wait)(proc, ended)
		}
	default:
		return "any", killAfter(time.Duration(r.Int64N(int64(length))))
	}
}

// killAfter kills a process some time after its start, unless it has ended.
func killAfter(d time.Duration) func(*os.Process, <-chan struct{}) {
	return func(proc *os.Process, ended <-chan struct{}) {
		select {
		case <-ended:
		case <-time.After(d):
			_ = proc.Kill() // that it has just ended is seen by its state
		}
	}
}

// roots counts the roots in a store: one is stored right before a commit.
func roots(store string) int {
	list, _ := filepath.Glob(filepath.Join(store, "h/*/r/*")) // the pattern is well formed
	return len(list)
}

// change makes the next state of the tree: files added, changed, removed, a
// directory renamed.
func (p *KillBackups) change(source string, r *rand.Rand, round int) error {
	dir := filepath.Join(source, fmt.Sprintf("round%03d", round))
	for i := range p.Files {
		if err := writeRandom(filepath.Join(dir, fmt.Sprintf("d%d", i/100), fmt.Sprintf("f%04d", i)), r, smallSize(r)); err != nil {
			return err
		}
	}
	if err := writeRandom(filepath.Join(dir, "large"), r, p.Large); err != nil {
		return err
	}
	if round == 0 {
		return nil
	}
	last := filepath.Join(source, fmt.Sprintf("round%03d", round-1))
	if err := writeRandom(filepath.Join(last, "d0", "f0001"), r, smallSize(r)); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(last, "d0", "f0002")); err != nil {
		return err
	}
	return os.Rename(filepath.Join(last, "d0"), filepath.Join(last, "renamed"))
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
