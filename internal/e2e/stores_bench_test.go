package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vaultik/internal/bench"
	"vaultik/internal/faultproxy"
	"vaultik/internal/testserver"
	"vaultik/internal/testsize"
)

// BenchmarkStores prints what transfers cost over one MinIO server on this
// machine, in MiB/s and seconds of CPU for a GiB (of the client alone), and the
// peak of resident memory: Vaultik by S3 and through rclone, `rclone copy` and
// restic where it is installed; and restores with 50 ms before every answer.
// Run it with make bench-stores; SOAK=1 takes 1 GiB instead of 256 MiB.
func BenchmarkStores(b *testing.B) {
	for b.Loop() {
		stores(b)
	}
}

type storesBench struct {
	*testing.B
	dir  string
	src  string
	mib  float64
	env  []string
	s3   *testserver.S3
	rows []string
}

func stores(tb *testing.B) {
	b := &storesBench{B: tb, dir: tb.TempDir(), s3: testserver.MinIO(tb)}
	b.src = filepath.Join(b.dir, "src")
	scale := float64(testsize.Pick(128, 512)) / 1024
	what, err := bench.MakeCorpus("big", b.src, scale)
	b.check(err)
	b.mib = 2 * 1024 * scale
	conf := filepath.Join(b.dir, "rclone.conf")
	b.check(os.WriteFile(conf, []byte(b.s3.Section("there")), 0o600))
	b.env = append(os.Environ(), "RCLONE_CONFIG="+conf, "RESTIC_PASSWORD=x",
		"AWS_ACCESS_KEY_ID="+b.s3.AccessKey, "AWS_SECRET_ACCESS_KEY="+b.s3.SecretKey)

	for _, n := range []int{1, 4, 8} {
		b.upload(n)
	}
	b.latency()
	fmt.Printf("\n%s\n\n| what | connections | s | MiB/s | CPU s/GiB | peak MiB |\n| --- | ---: | ---: | ---: | ---: | ---: |\n%s\n", what, strings.Join(b.rows, "\n"))
}

// upload moves the data there and back by each program with n connections.
func (b *storesBench) upload(n int) {
	own := func(name, url string) {
		home := filepath.Join(b.dir, fmt.Sprint(name, n))
		v := b.vaultik(home, url)
		flags := []string{"--connections", fmt.Sprint(n)}
		b.row("vaultik backup, "+name, n, v(append(flags, "backup", "--parallel", fmt.Sprint(n), b.src)...))
		out := filepath.Join(b.dir, "out")
		b.row("vaultik restore, "+name, n, v(append(flags, "restore", "latest", "--parallel", fmt.Sprint(n), "--target", out)...))
		b.check(os.RemoveAll(out))
	}
	own("S3", b.s3.URL(fmt.Sprint("own", n)))
	own("rclone", fmt.Sprintf("rclone://there/%s/through%d", b.s3.Bucket, n))
	rclone := testserver.Find(b, "rcloneserve")
	b.row("rclone copy there", n, exec.Command(rclone, "copy", "--transfers", fmt.Sprint(n), b.src, fmt.Sprintf("there:%s/copy%d", b.s3.Bucket, n)))
	out := filepath.Join(b.dir, "out")
	b.row("rclone copy back", n, exec.Command(rclone, "copy", "--transfers", fmt.Sprint(n), fmt.Sprintf("there:%s/copy%d", b.s3.Bucket, n), out))
	b.check(os.RemoveAll(out))
	restic, err := exec.LookPath("restic")
	if err != nil {
		return
	}
	repo := []string{"--no-cache", "-q", "-o", "s3.connections=" + fmt.Sprint(n), "-r", fmt.Sprintf("s3:%s/%s/restic%d", b.s3.Endpoint, b.s3.Bucket, n)}
	b.run(exec.Command(restic, append(repo, "init")...))
	b.row("restic backup", n, exec.Command(restic, append(repo, "backup", b.src)...))
	b.row("restic restore", n, exec.Command(restic, append(repo, "restore", "latest", "--target", out)...))
	b.check(os.RemoveAll(out))
}

// latency restores with 50 ms before each answer of the server.
func (b *storesBench) latency() {
	home := filepath.Join(b.dir, "far")
	tree := filepath.Join(b.dir, "tree")
	scale := float64(testsize.Pick(2_000, 10_000)) / 100_000
	_, err := bench.MakeCorpus("tree", tree, scale)
	b.check(err)
	b.mib += scale * 2100 * 1e6 / (1 << 20)
	b.run(b.vaultik(home, b.s3.URL("far"))("backup", tree, b.src))
	proxy := faultproxy.HTTP(b, b.s3.Endpoint, faultproxy.Rule{Do: faultproxy.Latency(50 * time.Millisecond)})
	far := *b.s3
	far.Endpoint = proxy.URL
	for _, n := range []int{1, 4, 16} {
		out := filepath.Join(b.dir, "out")
		v := b.vaultik(home, "")
		b.row("vaultik restore, S3, 50 ms away", n, v("--store", far.URL("far"), "--connections", fmt.Sprint(n), "restore", "latest", "--parallel", fmt.Sprint(n), "--target", out))
		b.check(os.RemoveAll(out))
	}
}

// vaultik returns commands of a machine with a home of its own, set up for the store at url.
func (b *storesBench) vaultik(home, url string) func(args ...string) *exec.Cmd {
	key := ""
	make := func(args ...string) *exec.Cmd {
		cmd := exec.Command(vaultik, args...)
		cmd.Env = append(b.env, "HOME="+home)
		for _, a := range args {
			if a == "restore" {
				cmd.Env = append(cmd.Env, "VAULTIK_AGE_SECRET_KEY="+key)
			}
		}
		return cmd
	}
	if url != "" {
		b.check(os.MkdirAll(home, 0o700))
		b.run(make("init", "--store", url))
	}
	kit, err := os.ReadFile(filepath.Join(home, ".config/vaultik/recovery-kit.txt"))
	b.check(err)
	for line := range strings.Lines(string(kit)) {
		if strings.HasPrefix(line, "AGE-SECRET-KEY-") {
			key = strings.TrimSpace(line)
		}
	}
	return make
}

func (b *storesBench) check(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// run runs a command and returns how long it took and what it had resident at most.
func (b *storesBench) run(cmd *exec.Cmd) (time.Duration, int64) {
	b.Helper()
	if cmd.Env == nil {
		cmd.Env = b.env
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	b.check(cmd.Start())
	done := make(chan struct{})
	peak := make(chan int64)
	go func() {
		var most int64
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				most = max(most, peakOf(cmd.Process.Pid))
			case <-done:
				peak <- most
				return
			}
		}
	}()
	err := cmd.Wait()
	took := time.Since(began)
	close(done)
	most := <-peak
	if err != nil {
		b.Fatalf("%q: %v\n%s", cmd.Args[:2], err, out.String())
	}
	return took, most
}

func (b *storesBench) row(what string, n int, cmd *exec.Cmd) {
	b.Helper()
	took, peak := b.run(cmd)
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	b.rows = append(b.rows, fmt.Sprintf("| %s | %d | %.2f | %.0f | %.2f | %.0f |", what, n, took.Seconds(), b.mib/took.Seconds(), cpu.Seconds()*1024/b.mib, float64(peak)/(1<<20)))
}
