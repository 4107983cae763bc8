package e2e

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vaultik/internal/bench"
	"vaultik/internal/testserver"
	"vaultik/internal/testsize"
)

// place is a kind of store behind a server.
type place struct {
	name string
	// open starts the server; dir is where it keeps its files.
	open func(t *testing.T, m *machine) (url, dir string)
}

func places() []place {
	remote := func(kind string) func(*testing.T, *machine) (string, string) {
		return func(t *testing.T, m *machine) (string, string) {
			s := testserver.RcloneServe(t, kind, t.TempDir())
			conf := filepath.Join(m.root, "rclone.conf")
			must(t, os.WriteFile(conf, []byte(s.Section("there")), 0o600))
			m.env = append(m.env, "RCLONE_CONFIG="+conf)
			return "rclone://there/backup", s.Dir
		}
	}
	return []place{
		{"S3 (MinIO)", func(t *testing.T, m *machine) (string, string) {
			s := testserver.MinIO(t)
			m.env = append(m.env, "AWS_ACCESS_KEY_ID="+s.AccessKey, "AWS_SECRET_ACCESS_KEY="+s.SecretKey)
			return s.URL("backup"), filepath.Join(s.Dir, s.Bucket)
		}},
		{"rclone, sftp", remote("sftp")},
		{"rclone, webdav", remote("webdav")},
	}
}

// A store's life on each kind of server: a backup that is killed, gone on with,
// an unchanged one and one of edits, verified, restored with an interruption, and
// mirrored. make soak runs it with 50,000 files.
func TestLifecycle(t *testing.T) {
	files := testsize.Pick(1_000, 50_000)
	seed := testsize.Seed(t)
	src := filepath.Join(t.TempDir(), "tree")
	what, err := bench.MakeCorpus("tree", src, float64(files)/100_000)
	must(t, err)
	t.Log(what)
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) { lifecycle(t, p, src, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func lifecycle(t *testing.T, p place, src string, r *rand.Rand) {
	m := newMachine(t)
	url, served := p.open(t, m)
	m.exits(0, "init", "--store", url)
	key := secretOf(t, m.config("recovery-kit.txt"))
	kit, err := os.ReadFile(m.config("recovery-kit.txt"))
	must(t, err)
	must(t, os.Remove(m.config("recovery-kit.txt")))
	say := func(what string, l logged, began time.Time) {
		lines := strings.Split(strings.TrimSpace(l.stdout+l.stderr), "\n")
		t.Logf("%-22s %6.1f s  %s", what, time.Since(began).Seconds(), lines[len(lines)-1])
	}
	do := func(what string, code int, args ...string) logged {
		t.Helper()
		began := time.Now()
		l := m.exits(code, args...)
		say(what, l, began)
		return l
	}
	// Another machine: whatever it does it does with the kit, the URL and nothing else.
	rescue := func(what string, code int, args ...string) logged {
		t.Helper()
		m.key = key
		defer func() { m.key = "" }()
		return do(what, code, append([]string{"--config", filepath.Join(m.root, "rescue/config.yaml"), "--store", url}, args...)...)
	}

	before := countFiles(t, served)
	killed(t, m, func() bool { return countFiles(t, served) >= before+2 }, "backup", src)
	do("backup goes on", 0, "backup", src)
	do("unchanged", 0, "backup", src)
	edits := edit(t, src, r)
	do(fmt.Sprintf("%d edits", edits), 0, "backup", src)
	rescue("verify --read-data", 0, "verify", "--read-data")

	out := filepath.Join(m.root, "out")
	m.key = key
	killed(t, m, func() bool { return countFiles(t, out) >= 200 }, "restore", "latest:"+src, "--target", out)
	m.key = ""
	rescue("restore goes on", 0, "restore", "latest:"+src, "--target", out, "--verify")
	sameTree(t, src, out)

	mirror := filepath.Join(m.root, "mirror")
	do("store copy", 0, "store", "copy", "--to", mirror)
	m.key = key
	do("verify the mirror", 0, "--store", mirror, "verify", "--read-data")
	m.key = ""
	if !strings.Contains(string(kit), url) {
		t.Errorf("the recovery kit does not name %s:\n%s", url, strings.ReplaceAll(string(kit), key, "(the key)"))
	}
}

// killed runs the program and kills it as soon as when says so. It may have ended before.
func killed(t *testing.T, m *machine, when func() bool, args ...string) {
	t.Helper()
	cmd := m.command(args...)
	must(t, cmd.Start())
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			t.Errorf("vaultik %q ended before it could be killed: %v", args, cmd.ProcessState)
			return
		case <-tick.C:
			if when() {
				must(t, cmd.Process.Signal(syscall.SIGKILL))
				<-done
				return
			}
		}
	}
}

// countFiles counts the regular files below dir, which need not be there.
func countFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return nil // what is being made and removed meanwhile does not matter
	})
	return n
}

// edit changes, adds and removes some files below dir.
func edit(t *testing.T, dir string, r *rand.Rand) (n int) {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			all = append(all, path)
		}
		return err
	}))
	for i := range 9 {
		path := all[r.IntN(len(all))]
		switch i % 3 {
		case 0:
			must(t, os.WriteFile(path, fmt.Appendf(nil, "edit %d", r.Uint64()), 0o600))
		case 1:
			must(t, os.WriteFile(path+fmt.Sprint(".new", i), fmt.Appendf(nil, "new %d", r.Uint64()), 0o600))
		case 2:
			if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		n++
	}
	return n
}
