package soak

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
)

// TestMemory_Cores: the budget of memory holds on a machine with few cores and on one
// with many, whatever is done.
func TestMemory_Cores(t *testing.T) {
	const budget = 150 << 20
	source := t.TempDir()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 5)) //nolint:gosec // data
	if err := makeTiny(filepath.Join(source, "tiny"), 3000); err != nil {
		t.Fatal(err)
	}
	if err := makeText(filepath.Join(source, "text"), r, 80<<20); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if err := writeRandom(filepath.Join(source, "random", fmt.Sprint(i)), r, 40<<20); err != nil {
			t.Fatal(err)
		}
	}
	for _, cores := range []int{2, 16, 64} {
		m, err := NewMachine(t.Context(), binary(t), filepath.Join(t.TempDir(), "machine"), Options{
			Cores: cores, Settings: fmt.Sprintf("memory: %d\n", budget),
		})
		if err != nil {
			t.Fatal(err)
		}
		measureAll(t, m, cores, budget, [][]string{
			{"backup", source},
			{"restore", "latest", "--target", m.Target, "--connections", "64"},
			{"verify", "--read-data", "--connections", "64"},
			{"store", "copy", "--to", "file://" + filepath.Join(m.Dir, "mirror"), "--connections", "64"},
		})
	}
}

// TestMemory_Snapshots: the budget also holds for what goes through many snapshots, with as
// many cores and transfers as there may be.
func TestMemory_Snapshots(t *testing.T) {
	const budget, cores, snapshots = 150 << 20, 64, 150
	source := t.TempDir()
	if err := makeTiny(source, 300); err != nil {
		t.Fatal(err)
	}
	m, err := NewMachine(t.Context(), binary(t), filepath.Join(t.TempDir(), "machine"), Options{
		Cores: cores, Settings: fmt.Sprintf("memory: %d\n", budget),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range snapshots {
		name := filepath.Join(source, fmt.Sprint(i%100))
		if err := write(name, strings.NewReader(fmt.Sprintln("round", i))); err != nil {
			t.Fatal(err)
		}
		if _, err := m.MustRun(t.Context(), "backup", source); err != nil {
			t.Fatal(err)
		}
	}
	measureAll(t, m, cores, budget, [][]string{
		{"verify", "--connections", "64"},
		{"snapshots", "--connections", "64"},
		{"restore", "latest", "--target", m.Target, "--connections", "64"},
	})
}

// measureAll runs commands, each of which must keep to the budget.
func measureAll(t *testing.T, m *Machine, cores int, budget int64, commands [][]string) {
	t.Helper()
	for _, args := range commands {
		u, err := m.measure(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d cores: %s: %.0f MiB, %.1f s", cores, args[0], mib(u.Anon), u.Wall.Seconds())
		if u.Anon > budget || u.Anon < 5<<20 {
			t.Errorf("%d cores: %s takes %.0f MiB of %d", cores, args[0], mib(u.Anon), budget>>20)
		}
	}
}
