// Command cmd runs Vaultik through long tests and prints the results:
//
//	kill-backup   kills backups at random moments, and goes on
//	kill-restore  kills restores, and goes on
//	in-place      what restores over a changed image cost
//	incremental   what backups of little change cost
//	memory        how much memory backups need; as root also with a slow store
//	full          what happens without space left, as root or where `unshare -r` works
//	power-cut     what is on the disk if the power fails while a restore runs, or when it has ended; as root
//	huge          what there is very much of, there and back; as root
//
// It exits 1 if something is not as it must be.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"

	"vaultik/internal/soak"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if ee := (*exec.ExitError)(nil); errors.As(err, &ee) {
		os.Exit(1) // it has spoken itself
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	if len(args) == 0 {
		return errors.New("which mode? kill-backup, kill-restore, in-place, incremental, memory, full, power-cut, huge")
	}
	mode := args[0]
	f := flag.NewFlagSet(mode, flag.ContinueOnError)
	bin := f.String("vaultik", "bin/vaultik", "`path` of the program")
	parent := f.String("dir", os.TempDir(), "where a directory to work in is made")
	seed := f.Uint64("seed", rand.Uint64(), "of all that is random")
	kills := f.Int("kills", map[string]int{"kill-backup": 200, "kill-restore": 50}[mode], "how many processes are killed")
	files := f.String("files", map[string]string{"huge": "1000000", "memory": "10000,100000,1000000", "incremental": "100000", "kill-restore": "20000", "kill-backup": "2000", "power-cut": "1000"}[mode],
		"files of the tree; of kill-backup, added each time; of memory several, or none; of huge in one directory")
	trees := f.String("trees", "", "memory: also these directories")
	data := f.Int64("data", 20<<10, "memory: MiB of data in large files")
	large := f.Int64("large", 20, "huge: GiB of one file, 1.4 times as much room is needed; 0 for none")
	links := f.Int("links", 100_000, "huge: names of one file; 0 for none")
	levels := f.Int("levels", 32_000, "huge: directories in each other; 0 for none")
	image := f.Int64("image", 1<<10, "in-place: MiB of the image")
	changes := f.Int("changes", 10, "in-place: how many MiB of it change")
	runs := f.Int("runs", 3, "in-place: how often each restore runs; medians count")
	slow := f.Int64("slow", 400, "memory: MiB of data for a slow store; 0 for none, since it needs root")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	if (mode == "full" || mode == "huge" || mode == "power-cut") && os.Getenv(inNamespace) == "" {
		return namespace(ctx, args)
	}
	program, err := filepath.Abs(*bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(*parent, "vaultik-soak-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			fmt.Fprintln(os.Stderr, "soak: what there is stays in", dir)
			return
		}
		err = os.Remove(dir)
	}()
	numbers, err := ints(*files)
	if err != nil {
		return err
	}
	log, one := os.Stderr, 0
	if len(numbers) > 0 {
		one = numbers[0]
	}
	switch mode {
	case "kill-backup":
		r, err := soak.KillBackup(ctx, soak.KillBackups{Bin: program, Dir: dir, Seed: *seed, Kills: *kills, PerRound: 10, Files: one, Large: 24 << 20, Log: log})
		return show(r, err)
	case "kill-restore":
		r, err := soak.KillRestore(ctx, soak.KillRestores{Bin: program, Dir: dir, Seed: *seed, Kills: *kills, Files: one, Large: 48 << 20, Part: 96 << 20, Log: log})
		return show(r, err)
	case "in-place":
		q := soak.InPlaces{Bin: program, Dir: dir, Seed: *seed, Size: *image << 20, Changes: *changes, Runs: *runs, Log: log}
		all, err := soak.InPlace(ctx, q)
		if err != nil {
			return err
		}
		return errors.Join(soak.WriteInPlace(os.Stdout, all), soak.CheckInPlace(all, q))
	case "incremental":
		all, err := soak.Incremental(ctx, soak.Increments{Bin: program, Dir: dir, Seed: *seed, Files: one, Log: log})
		return errors.Join(err, soak.WriteIncrements(os.Stdout, all), soak.CheckIncrements(all))
	case "memory":
		all, err := soak.Memory(ctx, soak.Memories{Bin: program, Dir: dir, Seed: *seed, Files: numbers, Trees: list(*trees), Data: *data << 20, Slow: *slow << 20, SlowRate: 5e6, Log: log})
		return errors.Join(err, soak.WriteUsages(os.Stdout, all))
	case "full":
		all, err := soak.Full(ctx, soak.Fulls{Bin: program, Dir: dir, Seed: *seed, Log: log})
		return errors.Join(err, soak.WriteFullCases(os.Stdout, all))
	case "power-cut":
		all, err := soak.PowerCut(ctx, soak.PowerCuts{Bin: program, Dir: dir, Seed: *seed, Files: one, Log: log})
		return errors.Join(err, soak.WritePowerCuts(os.Stdout, all))
	case "huge":
		all, err := soak.Huge(ctx, soak.Huges{Bin: program, Dir: dir, Seed: *seed, Files: one, Large: *large << 30, Links: *links, Levels: *levels, Log: log})
		return errors.Join(err, soak.WriteHuge(os.Stdout, all))
	}
	return fmt.Errorf("unknown mode %q", mode)
}

func show(r fmt.Stringer, err error) error {
	if err == nil {
		fmt.Print(r)
	}
	return err
}

// inNamespace is set in the environment of the process that may mount.
const inNamespace = "VAULTIK_SOAK_MAY_MOUNT"

// namespace runs this program again where its mounts are its own and vanish with it.
func namespace(ctx context.Context, args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, "unshare", append([]string{soak.UnshareFlags(), self}, args...)...)
	c.Env = append(os.Environ(), inNamespace+"=1")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	return c.Run()
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func ints(s string) (all []int, err error) {
	for _, n := range list(s) {
		i, err := strconv.Atoi(n)
		if err != nil {
			return nil, fmt.Errorf("-files: %w", err)
		}
		all = append(all, i)
	}
	return all, nil
}
