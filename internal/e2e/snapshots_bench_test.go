package e2e

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vaultik/internal/faultproxy"
	"vaultik/internal/testserver"
	"vaultik/internal/testtree"
)

// snapshotsBench measures commands on a store of many small snapshots: in a directory, and in
// S3, 50 ms away.
type snapshotsBench struct {
	testing.TB
	snapshots int
	patience  time.Duration // for one command
	programs  [][2]string   // what it is called, and its path
	home, key string
	src       string // what the set of the snapshots saves
	s3        *testserver.S3
	far       *faultproxy.Proxy
	table     strings.Builder
}

// BenchmarkSnapshots prints what commands cost with SNAPSHOTS snapshots (5,000), by the program
// and, if BEFORE names it, an older one. A command that takes longer than PATIENCE (10m) is
// ended. The store is kept for the next time. make bench-snapshots runs it.
func BenchmarkSnapshots(b *testing.B) {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("SNAPSHOTS"), "5000"))
	if err != nil {
		b.Fatal(err)
	}
	patience, err := time.ParseDuration(cmp.Or(os.Getenv("PATIENCE"), "10m"))
	if err != nil {
		b.Fatal(err)
	}
	dir := filepath.Join(os.TempDir(), "vaultik-bench", fmt.Sprintf("snapshots-%d", n))
	for b.Loop() {
		fmt.Print(measureSnapshots(b, dir, n, patience, os.Getenv("BEFORE")))
	}
}

// The benchmark works: each command comes to its end, in both places.
func TestSnapshotsBench(t *testing.T) {
	table := measureSnapshots(t, filepath.Join(t.TempDir(), "made"), 5, time.Minute, "")
	for _, place := range []string{"directory", "S3, 50 ms away"} {
		for _, step := range []string{"snapshots", "snapshots with key", "verify with key", "backup"} {
			if !strings.Contains(table, "| "+place+" | now | "+step+" |") {
				t.Errorf("%s, %s is missing", place, step)
			}
		}
	}
	if strings.Contains(table, "| over ") {
		t.Error("a command did not end")
	}
	if t.Failed() {
		t.Log(table)
	}
}

func measureSnapshots(tb testing.TB, made string, n int, patience time.Duration,
	before string) string {
	b := &snapshotsBench{TB: tb, snapshots: n, patience: patience, home: tb.TempDir()}
	if before != "" {
		b.programs = append(b.programs, [2]string{"before", before})
	}
	b.programs = append(b.programs, [2]string{"now", vaultik})
	if _, err := os.Stat(made); err != nil {
		b.generate(made)
	}
	b.do(exec.Command("cp", "-a", made+"/.", b.home))
	src, err := os.ReadFile(filepath.Join(b.home, "source"))
	b.check(err)
	b.src = string(src)
	text, err := os.ReadFile(filepath.Join(b.home, "kit.txt"))
	b.check(err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "AGE-SECRET-KEY-") {
			b.key = strings.TrimSpace(line)
		}
	}
	b.table.WriteString("\n| place | program | command | s | CPU s | requests | MiB | peak MiB |\n" +
		"| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |\n")
	b.setStore("file://" + b.store())
	b.upload() // both places begin with the same snapshots
	for _, p := range b.programs {
		b.measure("directory", p)
	}
	b.moveAway()
	for _, p := range b.programs {
		b.measure("S3, 50 ms away", p)
	}
	return b.table.String()
}

// generate makes a home with a store, whose snapshots differ in one of a hundred small files.
func (b *snapshotsBench) generate(dir string) {
	temp, src := dir+".temp", dir+".source"
	b.check(os.RemoveAll(temp))
	b.home = temp
	write := func(i, round, size int) {
		name := filepath.Join(src, fmt.Sprintf("d%d", i%10), fmt.Sprintf("f%d", i))
		b.check(os.MkdirAll(filepath.Dir(name), 0o700))
		b.check(os.WriteFile(name, testtree.Bytes(uint64(100*round+i), int64(size)), 0o600))
	}
	for i := range 100 {
		write(i, 0, 200*i)
	}
	b.check(os.MkdirAll(temp, 0o700))
	b.check(os.WriteFile(filepath.Join(temp, "source"), []byte(src), 0o600))
	b.do(b.command(vaultik, false, "init"))
	b.check(os.Rename(filepath.Join(temp, ".config/vaultik/recovery-kit.txt"),
		filepath.Join(temp, "kit.txt")))
	for n := range b.snapshots {
		write(n%100, n+1, 2000)
		b.do(b.command(vaultik, false, "-q", "backup", src))
	}
	b.check(os.Rename(temp, dir))
	b.home = b.TempDir()
}

// store is the directory of the store.
func (b *snapshotsBench) store() string {
	return filepath.Join(b.home, ".local/share/vaultik/store")
}

// upload brings the store to S3 as it is.
func (b *snapshotsBench) upload() {
	dir := b.TempDir()
	if d, err := os.MkdirTemp("/dev/shm", "vaultik-bench-"); err == nil {
		b.Cleanup(func() { _ = os.RemoveAll(d) })
		dir = d
	}
	b.s3 = testserver.MinIO(b, testserver.Dir(dir))
	conf := filepath.Join(b.home, "rclone.conf")
	b.check(os.WriteFile(conf, []byte(b.s3.Section("minio")), 0o600))
	cmd := exec.Command(testserver.Find(b, "rcloneserve"), "copy", "--transfers", "16",
		b.store(), "minio:"+b.s3.Bucket+"/backups")
	cmd.Env = append(os.Environ(), "RCLONE_CONFIG="+conf)
	b.do(cmd)
	b.check(exec.Command("cp", "-a", filepath.Join(b.home, ".config"),
		filepath.Join(b.home, ".local/state"), b.away()).Run())
}

// away is where the state is kept that belongs to the store in S3.
func (b *snapshotsBench) away() string {
	dir := filepath.Join(b.home, "away")
	b.check(os.MkdirAll(dir, 0o700))
	return dir
}

// moveAway makes the store in S3 the one of this machine.
func (b *snapshotsBench) moveAway() {
	for _, dir := range []string{".config", ".local/state"} {
		b.check(os.RemoveAll(filepath.Join(b.home, dir)))
		b.check(os.Rename(filepath.Join(b.away(), filepath.Base(dir)), filepath.Join(b.home, dir)))
	}
	b.far = faultproxy.HTTP(b, b.s3.Endpoint,
		faultproxy.Rule{Do: faultproxy.Latency(50 * time.Millisecond)})
	far := *b.s3
	far.Endpoint = b.far.URL
	b.setStore(far.URL("backups"))
}

// setStore makes the store at url the one of this machine.
func (b *snapshotsBench) setStore(url string) {
	name := filepath.Join(b.home, ".config/vaultik/config.yaml")
	text, err := os.ReadFile(name)
	b.check(err)
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "storage_url:") {
			line = "storage_url: " + strconv.Quote(url) + "\n"
		}
		out.WriteString(line)
	}
	b.check(os.WriteFile(name, []byte(out.String()), 0o600))
}

// measure runs all commands of one program. The cache is empty first; where there is
// something in it then, commands are run again.
func (b *snapshotsBench) measure(place string, program [2]string) {
	b.check(os.RemoveAll(filepath.Join(b.home, ".cache")))
	out := filepath.Join(b.home, "out")
	for _, step := range []struct {
		name string
		key  bool
		args []string
	}{
		{"ls latest", true, []string{"ls", "latest"}},
		{"restore latest", true, []string{"restore", "latest", "--target", out}},
		{"snapshots", false, []string{"snapshots"}},
		{"snapshots with key", true, []string{"snapshots"}},
		{"snapshots with key, again", true, []string{"snapshots"}},
		{"verify", false, []string{"verify"}},
		{"verify with key", true, []string{"verify"}},
		{"backup", false, []string{"backup", b.src}},
	} {
		if b.far != nil {
			b.far.Script(faultproxy.Rule{Do: faultproxy.Latency(50 * time.Millisecond)})
			step.args = append([]string{"--connections", "32"}, step.args...)
		}
		c, err := b.run(b.command(program[1], step.key, step.args...))
		took := fmt.Sprintf("%.2f", c.wall.Seconds())
		if err != nil {
			took = "over " + b.patience.String()
		}
		requests, mib := "-", "-"
		if b.far != nil {
			n, _ := b.far.Seen()
			requests, mib = strconv.Itoa(n), fmt.Sprintf("%.1f", float64(b.far.Sent())/(1<<20))
		}
		row := fmt.Sprintf("| %s | %s | %s | %s | %.1f | %s | %s | %d |\n", place, program[0],
			step.name, took, c.cpu.Seconds(), requests, mib, c.peak.all>>20)
		fmt.Fprint(os.Stderr, row) // it takes a while until there is a table
		b.table.WriteString(row)
		b.check(os.RemoveAll(out))
	}
}

func (b *snapshotsBench) command(program string, key bool, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = []string{"HOME=" + b.home, "PATH=" + os.Getenv("PATH")}
	if b.s3 != nil {
		cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID="+b.s3.AccessKey,
			"AWS_SECRET_ACCESS_KEY="+b.s3.SecretKey)
	}
	if key {
		cmd.Env = append(cmd.Env, "VAULTIK_AGE_SECRET_KEY="+b.key)
	}
	return cmd
}

// errTooLong: a command was ended.
var errTooLong = errors.New("it takes too long")

// run runs a command that is measured, and ends it when patience is over.
func (b *snapshotsBench) run(cmd *exec.Cmd) (cost, error) {
	b.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ctx, cancel := context.WithTimeoutCause(b.Context(), b.patience, errTooLong)
	defer cancel()
	began := time.Now()
	b.check(cmd.Start())
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	done, most := make(chan struct{}), make(chan peaks)
	go watchPeaks(cmd.Process.Pid, done, most)
	err := cmd.Wait()
	c := cost{wall: time.Since(began),
		cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	close(done)
	c.peak = <-most
	switch {
	case context.Cause(ctx) != nil:
		return c, context.Cause(ctx)
	case err != nil:
		b.Fatalf("%q: %v\n%s", cmd.Args, err, out.String())
	}
	return c, nil
}

// do runs a command that is not measured.
func (b *snapshotsBench) do(cmd *exec.Cmd) {
	b.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%q: %v\n%s", cmd.Args, err, out)
	}
}

func (b *snapshotsBench) check(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
