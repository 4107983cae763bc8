package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vaultik/internal/faultproxy"
	"vaultik/internal/testserver"
	"vaultik/internal/testsize"
	"vaultik/internal/testtree"
)

// benchSize says how much BenchmarkStores does.
type benchSize struct {
	files, fileMiB int
	connections    []int
	parallel       []int // of restores from far away
	runs           int   // of which the median counts
	memory         bool  // all files are in memory, where there is room: disks are not what is compared
}

// BenchmarkStores prints what transfers cost on one machine with its servers: by
// Vaultik, rclone and, where it is installed, restic. make bench-stores runs it.
func BenchmarkStores(b *testing.B) {
	for b.Loop() {
		fmt.Print(measureStores(b, benchSize{
			files: 32, fileMiB: 16, connections: []int{1, 4, 8}, parallel: []int{1, 4, 16}, runs: testsize.Pick(1, 3), memory: true,
		}))
	}
}

// The benchmark works, and what everybody in it restores is what was saved.
func TestStoresBench(t *testing.T) {
	table := measureStores(t, benchSize{files: 2, fileMiB: 1, connections: []int{2}, parallel: []int{2}, runs: 1})
	if !strings.Contains(table, "\n| MinIO, 50 ms away | vaultik, S3 | restore | 2 | ") {
		t.Errorf("nothing was restored from far away:\n%s", table)
	}
}

// storesBench measures programs that bring the same files to the same servers and
// back. Only one of them runs at a time; what the servers do is not counted.
type storesBench struct {
	testing.TB
	benchSize
	dir, src string
	sum      [sha256.Size]byte // of all there is in src
	minio    *testserver.S3
	webdav   *testserver.Server
	far      *testserver.S3 // minio, behind 50 ms
	env      []string
	rclone   string
	restic   string // "": not installed

	order []benchRow
	costs map[benchRow][]cost
}

// benchRow is what is measured.
type benchRow struct {
	server, program, step string
	connections           int
}

// cost is what one run took.
type cost struct {
	wall, cpu time.Duration
	peak      peaks
}

// peaks are bytes a process had at most.
type peaks struct{ anonymous, mapped, all int64 }

func measureStores(tb testing.TB, size benchSize) string {
	b := &storesBench{TB: tb, benchSize: size, dir: tb.TempDir(), costs: map[benchRow][]cost{}}
	if size.memory {
		dir, err := os.MkdirTemp("/dev/shm", "vaultik-bench-")
		b.check(err)
		tb.Cleanup(func() { _ = os.RemoveAll(dir) })
		b.dir = dir
	}
	b.src = filepath.Join(b.dir, "src")
	b.check(os.Mkdir(b.src, 0o755))
	for i := range b.files {
		b.check(os.WriteFile(filepath.Join(b.src, fmt.Sprintf("%02d", i)), testtree.Bytes(uint64(i), int64(b.fileMiB)<<20), 0o644))
	}
	b.sum = b.contents(b.src)
	served := func(name string) string {
		dir := filepath.Join(b.dir, "served", name)
		b.check(os.MkdirAll(dir, 0o755))
		return dir
	}
	b.minio = testserver.MinIO(tb, testserver.Dir(served("minio")))
	b.webdav = testserver.RcloneServe(tb, "webdav", served("webdav"))
	far := *b.minio
	far.Endpoint = faultproxy.HTTP(tb, far.Endpoint, faultproxy.Rule{Do: faultproxy.Latency(50 * time.Millisecond)}).URL
	b.far = &far
	conf := filepath.Join(b.dir, "rclone.conf")
	// rclone asks a server of WebDAV at most 100 times a second unless told otherwise.
	sections := b.minio.Section("minio") + b.webdav.Section("webdav") + "pacer_min_sleep = 0s\n"
	b.check(os.WriteFile(conf, []byte(sections), 0o600))
	b.env = append(os.Environ(), "RCLONE_CONFIG="+conf, "RESTIC_PASSWORD=x",
		"AWS_ACCESS_KEY_ID="+b.minio.AccessKey, "AWS_SECRET_ACCESS_KEY="+b.minio.SecretKey)
	b.rclone = testserver.Find(b, "rcloneserve")
	if path, err := exec.LookPath("restic"); err == nil {
		b.restic = path
	}
	for run := range b.runs {
		for _, n := range b.connections {
			b.there(run, n)
		}
		b.back(run)
	}
	return b.table()
}

// there moves the files to the servers and back, by each program with n connections.
func (b *storesBench) there(run, n int) {
	bucket, name := b.minio.Bucket, fmt.Sprintf("run%d-%d", run, n)
	for _, c := range []struct{ server, program, url string }{
		{"MinIO", "vaultik, S3", b.minio.URL(name + "-own")},
		{"MinIO", "vaultik, rclone", "rclone://minio/" + bucket + "/" + name + "-through"},
		{"WebDAV", "vaultik, rclone", "rclone://webdav/" + name + "-through"},
	} {
		v := b.vaultik(name+c.server+c.program, c.url)
		b.row(benchRow{c.server, c.program, "backup", n}, v("--connections", fmt.Sprint(n), "backup", b.src))
		b.restored(benchRow{c.server, c.program, "restore", n}, v("--connections", fmt.Sprint(n), "restore", "latest", "--target", b.out()))
	}
	for _, c := range []struct{ server, remote string }{
		{"MinIO", "minio:" + bucket + "/" + name + "-copy"},
		{"WebDAV", "webdav:" + name + "-copy"},
	} {
		copies := func(from, to string) *exec.Cmd {
			return exec.Command(b.rclone, "copy", "--transfers", fmt.Sprint(n), from, to)
		}
		b.row(benchRow{c.server, "rclone copy", "backup", n}, copies(b.src, c.remote))
		b.restored(benchRow{c.server, "rclone copy", "restore", n}, copies(c.remote, b.out()))
	}
	if b.restic == "" {
		return
	}
	for _, c := range []struct {
		server string
		repo   []string
	}{
		{"MinIO", []string{"-o", fmt.Sprint("s3.connections=", n), "-r", "s3:" + b.minio.Endpoint + "/" + bucket + "/" + name + "-restic"}},
		{"WebDAV", []string{
			"-o", fmt.Sprint("rclone.connections=", n), "-o", "rclone.program=" + b.rclone, "-o", "rclone.args=serve restic --stdio",
			"-r", "rclone:webdav:" + name + "-restic",
		}},
	} {
		b.withRestic(c.repo, func(restic func(args ...string) *exec.Cmd) {
			b.row(benchRow{c.server, "restic", "backup", n}, restic("backup", b.src))
			b.restored(benchRow{c.server, "restic", "restore", n}, restic("restore", "latest", "--target", b.out()))
		})
	}
	b.clear()
}

// back restores what is 50 ms away.
func (b *storesBench) back(run int) {
	name := fmt.Sprintf("far%d", run)
	b.run(b.vaultik(name, b.minio.URL(name))("backup", b.src))
	repo := func(s *testserver.S3, o ...string) []string {
		return append(o, "-r", "s3:"+s.Endpoint+"/"+s.Bucket+"/"+name+"-restic")
	}
	if b.restic != "" {
		b.withRestic(repo(b.minio), func(restic func(args ...string) *exec.Cmd) { b.run(restic("backup", b.src)) })
	}
	for _, n := range b.parallel {
		v := b.vaultik(name, "")
		b.restored(benchRow{"MinIO, 50 ms away", "vaultik, S3", "restore", n},
			v("--store", b.far.URL(name), "restore", "latest", "--parallel", fmt.Sprint(n), "--target", b.out()))
		if b.restic != "" {
			there := append([]string{"--no-cache", "-q"}, repo(b.far, "-o", fmt.Sprint("s3.connections=", n))...)
			b.restored(benchRow{"MinIO, 50 ms away", "restic", "restore", n},
				exec.Command(b.restic, append(there, "restore", "latest", "--target", b.out())...))
		}
	}
	b.clear()
}

// withRestic makes a repository and hands out commands on it.
func (b *storesBench) withRestic(repo []string, use func(restic func(args ...string) *exec.Cmd)) {
	restic := func(args ...string) *exec.Cmd {
		return exec.Command(b.restic, slices.Concat([]string{"--no-cache", "-q"}, repo, args)...)
	}
	b.run(restic("init"))
	use(restic)
}

// vaultik returns commands of a machine with a home of its own, set up for the store
// at url if there is one.
func (b *storesBench) vaultik(name, url string) func(args ...string) *exec.Cmd {
	home := filepath.Join(b.dir, "home "+name)
	key := ""
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command(vaultik, args...)
		cmd.Env = append(slices.Clone(b.env), "HOME="+home)
		if slices.Contains(args, "restore") {
			cmd.Env = append(cmd.Env, "VAULTIK_AGE_SECRET_KEY="+key)
		}
		return cmd
	}
	kit := filepath.Join(home, ".config/vaultik/recovery-kit.txt")
	if url != "" {
		b.check(os.Mkdir(home, 0o700))
		b.run(command("init", "--store", url))
	}
	text, err := os.ReadFile(kit)
	b.check(err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "AGE-SECRET-KEY-") {
			key = strings.TrimSpace(line)
		}
	}
	return command
}

func (b *storesBench) out() string { return filepath.Join(b.dir, "out") }

// clear removes what was stored, behind the servers' backs: nobody asks for it again.
func (b *storesBench) clear() {
	for _, dir := range []string{filepath.Join(b.minio.Dir, b.minio.Bucket), b.webdav.Dir} {
		list, err := os.ReadDir(dir)
		b.check(err)
		for _, e := range list {
			b.check(os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
}

func (b *storesBench) check(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// contents is a hash of the names and contents of all files below dir.
func (b *storesBench) contents(dir string) (sum [sha256.Size]byte) {
	var all []string
	b.check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			all = append(all, path)
		}
		return err
	}))
	h := sha256.New()
	for _, path := range all {
		f, err := os.Open(path)
		b.check(err)
		fmt.Fprintf(h, "%s\n", filepath.Base(path))
		_, err = io.Copy(h, f)
		b.check(err)
		b.check(f.Close())
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// restored is row for what fills out, which is compared and removed.
func (b *storesBench) restored(r benchRow, cmd *exec.Cmd) {
	b.Helper()
	b.row(r, cmd)
	if b.contents(b.out()) != b.sum {
		b.Errorf("%v: what came back is not what was saved", r)
	}
	b.check(os.RemoveAll(b.out()))
}

// row runs a command that is measured.
func (b *storesBench) row(r benchRow, cmd *exec.Cmd) {
	b.Helper()
	unix.Sync() // what others have written is not to be paid for now
	if b.costs[r] == nil {
		b.order = append(b.order, r)
	}
	b.costs[r] = append(b.costs[r], b.run(cmd))
}

// run runs a command.
func (b *storesBench) run(cmd *exec.Cmd) cost {
	b.Helper()
	if cmd.Env == nil {
		cmd.Env = b.env
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	began := time.Now()
	b.check(cmd.Start())
	done, most := make(chan struct{}), make(chan peaks)
	go watchPeaks(cmd.Process.Pid, done, most)
	err := cmd.Wait()
	c := cost{wall: time.Since(began), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	close(done)
	if c.peak = <-most; err != nil {
		b.Fatalf("%q: %v\n%s", cmd.Args, err, out.String())
	}
	return c
}

// watchPeaks looks at a process until done is closed, and then says what it had at most.
func watchPeaks(pid int, done <-chan struct{}, most chan<- peaks) {
	var p peaks
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.look(pid)
		case <-done:
			most <- p
			return
		}
	}
}

// look notes what a process has now.
func (p *peaks) look(pid int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // it may have gone
	for line := range strings.Lines(string(text)) {
		for prefix, to := range map[string]*int64{"RssAnon:": &p.anonymous, "RssFile:": &p.mapped, "VmHWM:": &p.all} {
			var kib int64
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				if _, err := fmt.Sscanf(rest, "%d kB", &kib); err == nil {
					*to = max(*to, kib<<10)
				}
			}
		}
	}
}

// table is what was measured, the median of the runs.
func (b *storesBench) table() string {
	var t strings.Builder
	fmt.Fprintf(&t, "\n%d files of %d MiB of random bytes; median of %d\n\n", b.files, b.fileMiB, b.runs)
	t.WriteString("| server | program | | connections | s | MiB/s | CPU s/GiB | RssAnon MiB | RssFile MiB | VmHWM MiB |\n| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	slices.SortStableFunc(b.order, func(x, y benchRow) int { return strings.Compare(x.server, y.server) })
	mib := float64(b.files * b.fileMiB)
	for _, r := range b.order {
		median := func(of func(cost) float64) float64 {
			var all []float64
			for _, c := range b.costs[r] {
				all = append(all, of(c))
			}
			slices.Sort(all)
			return all[len(all)/2]
		}
		wall := median(func(c cost) float64 { return c.wall.Seconds() })
		fmt.Fprintf(&t, "| %s | %s | %s | %d | %.2f | %.0f | %.2f", r.server, r.program, r.step, r.connections,
			wall, mib/wall, median(func(c cost) float64 { return c.cpu.Seconds() })*1024/mib)
		for _, of := range []func(cost) int64{
			func(c cost) int64 { return c.peak.anonymous }, func(c cost) int64 { return c.peak.mapped }, func(c cost) int64 { return c.peak.all },
		} {
			fmt.Fprintf(&t, " | %.0f", median(func(c cost) float64 { return float64(of(c)) })/(1<<20))
		}
		t.WriteString(" |\n")
	}
	return t.String()
}
