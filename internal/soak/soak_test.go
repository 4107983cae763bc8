package soak

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"vaultik/internal/testsize"
)

// program builds the program once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "vaultik-soak-test-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "vaultik")
	out, err := exec.Command("go", "build", "-o", bin, "vaultik/cmd/vaultik").CombinedOutput()
	if err != nil {
		_, _ = os.Stderr.Write(out)
	}
	return bin, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv(mayMount) == "" {
		if bin, err := program(); err == nil {
			os.RemoveAll(filepath.Dir(bin))
		}
	}
	os.Exit(code)
}

func binary(t *testing.T) string {
	t.Helper()
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

func TestKillBackup(t *testing.T) {
	t.Parallel()
	r, err := KillBackup(t.Context(), KillBackups{
		Bin: binary(t), Dir: t.TempDir(), Seed: testsize.Seed(t), Kills: 6, Settings: "blob_size: 1MiB\n",
		PerRound: 3, Files: 200, Large: 48 << 20, Log: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%v", r)
	if r.Ratio() > 1.3 {
		t.Errorf("the store grew by %.3f", r.Ratio())
	}
	if r.Kills != 6 || r.Snapshots < r.Rounds {
		t.Errorf("%+v", r)
	}
}

func TestKillRestore(t *testing.T) {
	t.Parallel()
	r, err := KillRestore(t.Context(), KillRestores{
		Bin: binary(t), Dir: t.TempDir(), Seed: testsize.Seed(t), Kills: 4, Files: 1000, Large: 8 << 20, Part: 80 << 20, Log: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%v", r)
}

func TestInPlace(t *testing.T) {
	t.Parallel()
	p := InPlaces{Bin: binary(t), Dir: t.TempDir(), Seed: testsize.Seed(t), Size: 64 << 20, Changes: 2, Runs: 1, Log: t.Output()}
	all, err := InPlace(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := WriteInPlace(&table, all); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", table.String())
	if err := CheckInPlace(all, p); err != nil || len(all) != 4 {
		t.Error(err, len(all))
	}
}

func TestIncremental(t *testing.T) {
	t.Parallel()
	all, err := Incremental(t.Context(), Increments{Bin: binary(t), Dir: t.TempDir(), Seed: testsize.Seed(t), Files: 3000, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := WriteIncrements(&table, all); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", table.String())
	if err := CheckIncrements(all); err != nil || len(all) != 4 {
		t.Error(err, len(all))
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	all, err := Memory(t.Context(), Memories{Bin: binary(t), Dir: t.TempDir(), Seed: testsize.Seed(t), Files: []int{500}, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 {
		t.Fatalf("%+v", all)
	}
	for _, u := range all {
		if u.Anon < 4<<20 || u.File < 4<<20 || u.HWM < max(u.Anon, u.File) || u.HWM > 300<<20 || u.Files == 0 {
			t.Errorf("odd: %+v", u)
		}
	}
}

// mayMount is in the environment of the process that may mount.
const mayMount = "VAULTIK_SOAK_MAY_MOUNT"

func TestFull(t *testing.T) {
	t.Parallel()
	if os.Getenv(mayMount) == "" {
		// Once more, where mounts are this test's own and vanish with it.
		c := exec.CommandContext(t.Context(), "unshare", UnshareFlags(), os.Args[0], "-test.run=^TestFull$", "-test.v")
		c.Env = append(os.Environ(), mayMount+"="+binary(t))
		out, err := c.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	all, err := Full(t.Context(), Fulls{Bin: os.Getenv(mayMount), Dir: t.TempDir(), Seed: testsize.Seed(t), Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := WriteFullCases(&table, all); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", table.String())
	for _, c := range all {
		if c.Exit != 1 || c.Hint == "" || c.Unharmed == "" || c.After == "" {
			t.Errorf("%+v", c)
		}
	}
}

func TestHuge(t *testing.T) {
	t.Parallel()
	if os.Getenv(mayMount) == "" {
		c := exec.CommandContext(t.Context(), "unshare", UnshareFlags(), os.Args[0], "-test.run=^TestHuge$", "-test.v")
		c.Env = append(os.Environ(), mayMount+"="+binary(t))
		out, err := c.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	all, err := Huge(t.Context(), Huges{Bin: os.Getenv(mayMount), Dir: t.TempDir(), Seed: testsize.Seed(t), Files: 300, Large: 3 << 20, Links: 200, Levels: 500, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := WriteHuge(&table, all); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", table.String())
	if len(all) != 7 || strings.Count(table.String(), "| identical") != 7 {
		t.Errorf("%d cases", len(all))
	}
	for _, h := range all {
		if h.Backup.HWM == 0 || h.Restore.HWM == 0 || h.Restore.Files == 0 && h.What != "500 levels of directories" {
			t.Errorf("odd: %+v", h)
		}
	}
}

func TestPowerCut(t *testing.T) {
	t.Parallel()
	if os.Getenv(mayMount) == "" {
		if os.Geteuid() != 0 {
			t.Skip("only root may mount a file system on a loop device")
		}
		for _, name := range []string{"/dev/loop-control", "/sbin/mkfs.ext4"} {
			if _, err := os.Stat(name); err != nil {
				t.Skip("no file system can be made on a loop device: ", err)
			}
		}
		c := exec.CommandContext(t.Context(), "unshare", "-m", os.Args[0], "-test.run=^TestPowerCut$", "-test.v")
		c.Env = append(os.Environ(), mayMount+"="+binary(t))
		out, err := c.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	all, err := PowerCut(t.Context(), PowerCuts{Bin: os.Getenv(mayMount), Dir: t.TempDir(), Seed: testsize.Seed(t), Files: 600, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := WritePowerCuts(&table, all); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", table.String())
	if len(all) != 5 {
		t.Fatalf("%d cases", len(all))
	}
	// Only if there is something to find has anything been tried.
	if n := all[2].Missing + all[2].Short; n == 0 {
		t.Errorf("nothing was lost: %+v", all[2])
	}
	if all[4].Wrong == 0 {
		t.Errorf("no file has lost its contents only: %+v", all[4])
	}
}
