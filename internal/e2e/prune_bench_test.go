package e2e

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vaultik/backends"
	"vaultik/backends/file"
	"vaultik/config"
	"vaultik/internal/faultproxy"
	"vaultik/internal/testserver"
	"vaultik/internal/testtree"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// pruneBench measures prune, and other commands, on a store of very many blobs.
type pruneBench struct {
	snapshotsBench
	blobs, manifests, rounds int
	keep                     []string // rules for the directory; then, for S3, the last 24 stay
}

// BenchmarkPrune prints what commands cost on a store of BLOBS blobs (1,000,000) and MANIFESTS
// manifests (10,000), the median of ROUNDS (3) for those that change nothing, in a directory and
// by S3; then forget --prune of 300 real snapshots beside restic, where that is installed. It
// needs some 3 GiB and 1.2 million inodes. make bench-prune runs it.
func BenchmarkPrune(b *testing.B) {
	number := func(name, usual string) int {
		n, err := strconv.Atoi(cmp.Or(os.Getenv(name), usual))
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	for b.Loop() {
		p := &pruneBench{blobs: number("BLOBS", "1000000"), manifests: number("MANIFESTS", "10000"),
			rounds: number("ROUNDS", "3"),
			keep:   []string{"--keep-last", "24", "--keep-daily", "30", "--keep-monthly", "12"}}
		fmt.Print(p.measure(b), measureBesideRestic(b, number("REAL", "300")))
	}
}

// The benchmark works: each command comes to its end, in both places.
func TestPruneBench(t *testing.T) {
	p := &pruneBench{blobs: 600, manifests: 80, rounds: 1,
		keep: []string{"--keep-last", "48"}}
	table := p.measure(t)
	for _, place := range []string{"directory", "S3"} {
		for _, step := range []string{"snapshots", "verify", "backup", "forget --prune"} {
			if !strings.Contains(table, "| "+place+" | "+step) {
				t.Errorf("%s, %s is missing", place, step)
			}
		}
	}
	if strings.Contains(table, "| over ") || strings.Contains(table, "| 0 blobs deleted") {
		t.Error("a command did not end, or nothing was deleted")
	}
	if t.Failed() {
		t.Log(table)
	}
}

// measure makes a store and runs the commands on it.
func (b *pruneBench) measure(tb testing.TB) string {
	b.TB, b.patience, b.home = tb, 30*time.Minute, tb.TempDir()
	b.table.WriteString("\n| place | command | s | CPU s | requests | peak MiB | |\n" +
		"| --- | --- | ---: | ---: | ---: | ---: | --- |\n")
	b.s3 = testserver.VersityGW(b, testserver.Dir(b.TempDir()))
	began := time.Now()
	b.generate()
	fmt.Fprintf(os.Stderr, "made in %.0f s\n", time.Since(began).Seconds())
	forget := append([]string{"forget", "--force"}, b.keep...)
	reading := [][]string{{"snapshots"}, {"verify"}, {"backup", b.src}, {"prune", "--dry-run"},
		append(slices.Clone(forget), "--dry-run")}
	b.far = faultproxy.HTTP(b, b.s3.Endpoint)
	for _, place := range []string{"S3", "directory"} {
		b.use(place)
		for _, args := range reading {
			var all []sample
			for range b.rounds {
				all = append(all, b.sample(place, args))
			}
			slices.SortFunc(all, func(x, y sample) int { return cmp.Compare(x.cost.wall, y.cost.wall) })
			b.rowOf(place, args, all[len(all)/2], "")
		}
		if place == "S3" { // what it condemns is deleted in the directory: the next one waits
			b.rowOf(place, []string{"prune"}, b.sample(place, []string{"prune"}), "")
		}
	}
	before := b.count()
	args := append(forget, "--prune")
	s := b.sample("directory", args)
	b.rowOf("directory", args, s, fmt.Sprintf("%d blobs deleted", before-b.count()))
	b.rowOf("directory", []string{"prune"}, b.sample("directory", []string{"prune"}), "nothing to do")
	b.s3Prune()
	return b.table.String()
}

// s3Prune removes all but some snapshots by S3. What it condemns would be deleted by a run 15
// minutes later: the gc object is made older.
func (b *pruneBench) s3Prune() {
	b.use("S3")
	args := []string{"forget", "--keep-last", "24", "--force", "--prune"}
	b.rowOf("S3", args, b.sample("S3", args), "condemns")
	list, err := filepath.Glob(filepath.Join(b.storeDir(), "gc", "*", "0*.json.zst"))
	b.check(err)
	for _, name := range list {
		old := time.Now().Add(-time.Hour)
		b.check(os.Chtimes(name, old, old))
	}
	before := b.count()
	s := b.sample("S3", []string{"prune"})
	b.rowOf("S3", []string{"prune"}, s, fmt.Sprintf("%d blobs deleted", before-b.count()))
}

type sample struct {
	cost     cost
	requests int
	err      error
}

func (b *pruneBench) sample(place string, args []string) (s sample) {
	if place == "S3" {
		b.far.Script()
	}
	s.cost, s.err = b.run(b.command(vaultik, false, args...))
	if place == "S3" {
		s.requests, _ = b.far.Seen()
	}
	return s
}

func (b *pruneBench) rowOf(place string, args []string, s sample, note string) {
	took := fmt.Sprintf("%.2f", s.cost.wall.Seconds())
	if s.err != nil {
		took = "over " + b.patience.String()
	}
	requests := "-"
	if place == "S3" {
		requests = strconv.Itoa(s.requests)
	}
	name := args[0]
	for _, flag := range []string{"--prune", "--dry-run"} {
		if slices.Contains(args, flag) {
			name += " " + flag
		}
	}
	row := fmt.Sprintf("| %s | %s | %s | %.1f | %s | %d | %s |\n", place, name, took,
		s.cost.cpu.Seconds(), requests, s.cost.peak.all>>20, note)
	fmt.Fprint(os.Stderr, row) // it takes a while until there is a table
	b.table.WriteString(row)
}

func (b *pruneBench) storeDir() string { return filepath.Join(b.s3.Dir, b.s3.Bucket, "backups") }

// use makes the store that of this machine, in the directory or by S3.
func (b *pruneBench) use(place string) {
	url := "file://" + b.storeDir()
	if place == "S3" {
		far := *b.s3
		far.Endpoint = b.far.URL
		url = far.URL("backups")
	}
	b.setStore(url)
}

// count is how many blobs there are.
func (b *pruneBench) count() (n int) {
	dirs, err := filepath.Glob(filepath.Join(b.storeDir(), "h", "*", "b", "??"))
	b.check(err)
	for _, dir := range dirs {
		list, err := os.ReadDir(dir)
		b.check(err)
		n += len(list)
	}
	return n
}

// generate makes a store with one real snapshot, and continues its set with others, an hour
// apart, up to now. Three tenths of the blobs are in all of them. Of what is new in each, half
// stays, and half is needed for a day. Blobs have holes for contents.
func (b *pruneBench) generate() {
	b.src = filepath.Join(b.home, "source")
	for i := range 100 {
		name := filepath.Join(b.src, fmt.Sprintf("d%d", i%10), fmt.Sprintf("f%d", i))
		b.check(os.MkdirAll(filepath.Dir(name), 0o700))
		b.check(os.WriteFile(name, testtree.Bytes(uint64(i), int64(200*i)), 0o600))
	}
	b.do(b.command(vaultik, false, "init", "--store", b.storeDir()))
	b.do(b.command(vaultik, false, "-q", "backup", b.src))
	ctx := b.Context()
	store, err := file.Open(b.storeDir(), backends.Options{})
	b.check(err)
	defer store.Close()
	st, err := snapshot.OpenStore(ctx, backends.Objects(store), snapshot.Pin{})
	b.check(err)
	heads, _, err := st.Heads(ctx, nil)
	b.check(err)
	host, err := config.NewState(filepath.Join(b.home, ".config/vaultik")).LoadHost()
	b.check(err)
	m := *heads[0].Manifest
	m.Prev = heads[0].Sum

	rng := rand.NewChaCha8([32]byte{1})
	stays := slices.Clone(m.Blobs) // those of the real snapshot, and on
	made := 0
	blob := func() snapshot.BlobSize {
		made++
		s := snapshot.BlobSize{Size: 1<<20 + int64(made%(1<<20))}
		_, _ = rng.Read(s.Name[:])
		return s
	}
	var all []snapshot.BlobSize
	for range b.blobs * 3 / 10 {
		all = append(all, blob())
	}
	stays = append(stays, all...)
	var cut []snapshot.ListRef // of stays, the first ones
	listed, bytes := 0, int64(0)
	lists := map[snapshot.Sum]bool{}
	list := func(blobs []snapshot.BlobSize) snapshot.ListRef {
		data, err := snapshot.EncodeBlobList(blobs, 0)
		b.check(err)
		ref := snapshot.ListRef{Name: snapshot.Sum(sha256.Sum256(data)), Size: int64(len(data)), Count: int64(len(blobs))}
		if !lists[ref.Name] {
			lists[ref.Name] = true
			b.write(layout.BlobList(host.ID, ref.Name), data)
		}
		return ref
	}
	var day [][]snapshot.BlobSize // that are needed for a day, by hour
	more := (b.blobs - len(all)) / 2 / (b.manifests - 1)
	start := time.Now().Add(-time.Duration(b.manifests) * time.Hour)
	for n := 2; n <= b.manifests; n++ {
		var short []snapshot.BlobSize
		for range max(more, 1) {
			one, other := blob(), blob()
			stays, short, all = append(stays, one), append(short, other), append(all, one, other)
		}
		if day = append(day, short); len(day) > 24 {
			day = day[1:]
		}
		full, _ := snapshot.CutBlobLists(stays[listed:])
		for _, l := range full {
			if end := l[len(l)-1].Name; end[31] != 0 || end[30]&1 != 0 { // a small one
				break
			}
			cut = append(cut, list(l))
			listed += len(l)
			bytes += snapshot.TotalSize(l)
		}
		rest := slices.Concat(append([][]snapshot.BlobSize{stays[listed:]}, day...)...)
		some, tail := snapshot.CutBlobLists(rest)
		m.Seq, m.Time = uint64(n), start.Add(time.Duration(n)*time.Hour).UTC().Truncate(time.Second)
		m.Lists, m.Blobs = slices.Clone(cut), tail
		for _, l := range some {
			m.Lists = append(m.Lists, list(l))
		}
		m.Count, m.Bytes = int64(listed+len(rest)), bytes+snapshot.TotalSize(rest)
		data, err := snapshot.EncodeManifest(&m, host.Signer)
		b.check(err)
		key := layout.Manifest(host.ID, m.Set, m.Seq)
		b.write(key, data)
		b.check(os.Chtimes(filepath.Join(b.storeDir(), key), m.Time, m.Time))
		m.Prev = snapshot.Sum(sha256.Sum256(data))
	}
	b.writeBlobs(host.ID, all)
	b.do(b.command(vaultik, false, "host", "resume", "--same-host"))
}

func (b *pruneBench) write(key string, data []byte) {
	name := filepath.Join(b.storeDir(), key)
	b.check(os.MkdirAll(filepath.Dir(name), 0o700))
	b.check(os.WriteFile(name, data, 0o600))
}

// writeBlobs makes blobs of the right sizes, that take no space.
func (b *pruneBench) writeBlobs(host layout.HostID, all []snapshot.BlobSize) {
	for i := range 256 {
		b.check(os.MkdirAll(filepath.Dir(filepath.Join(b.storeDir(),
			layout.Blob(host, [32]byte{byte(i)}))), 0o700))
	}
	var wg sync.WaitGroup
	for some := range slices.Chunk(all, len(all)/4+1) {
		wg.Go(func() {
			for i := range some {
				name := filepath.Join(b.storeDir(), layout.Blob(host, some[i].Name))
				f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
				if err == nil {
					err = f.Truncate(some[i].Size)
					_ = f.Close()
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

// measureBesideRestic saves n snapshots of a thousand small files, ten of which change each time,
// with this program and restic, removes all but the last ten, and prunes.
func measureBesideRestic(tb testing.TB, n int) string {
	b := &snapshotsBench{TB: tb, patience: 30 * time.Minute, home: tb.TempDir()}
	src := filepath.Join(b.home, "src")
	write := func(i, round int) {
		name := filepath.Join(src, fmt.Sprintf("d%d", i%30), fmt.Sprintf("f%d", i))
		b.check(os.MkdirAll(filepath.Dir(name), 0o700))
		b.check(os.WriteFile(name, testtree.Bytes(uint64(100_000*round+i), 20_000), 0o600))
	}
	for i := range 1000 {
		write(i, 0)
	}
	restic, err := exec.LookPath("restic")
	repo := filepath.Join(b.home, "restic")
	run := func(args ...string) *exec.Cmd {
		cmd := exec.Command(restic, append([]string{"-q", "-r", repo}, args...)...)
		cmd.Env = []string{"HOME=" + b.home, "PATH=" + os.Getenv("PATH"), "RESTIC_PASSWORD=x"}
		return cmd
	}
	b.do(b.command(vaultik, false, "init"))
	if err == nil {
		b.do(run("init"))
	}
	for i := range n {
		for k := range 10 {
			write((10*i+k)%1000, i+1)
		}
		b.do(b.command(vaultik, false, "-q", "backup", src))
		if err == nil {
			b.do(run("backup", src))
		}
	}
	old := time.Now().Add(-48 * time.Hour) // what is younger than a day is not removed
	list, globErr := filepath.Glob(filepath.Join(b.store(), "h", "*", "m", "*", "*"))
	b.check(globErr)
	for _, name := range list {
		b.check(os.Chtimes(name, old, old))
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\n%d snapshots\n\n| program | s | CPU s | peak MiB | store before MiB | after |\n"+
		"| --- | ---: | ---: | ---: | ---: | ---: |\n", n)
	row := func(name, dir string, cmd *exec.Cmd) {
		before := b.size(dir)
		c, err := b.run(cmd)
		b.check(err)
		fmt.Fprintf(&out, "| %s | %.2f | %.1f | %d | %.1f | %.1f |\n", name, c.wall.Seconds(),
			c.cpu.Seconds(), c.peak.all>>20, before, b.size(dir))
	}
	row("vaultik", b.store(), b.command(vaultik, false, "forget", "--keep-last", "10", "--force", "--prune"))
	if err == nil {
		row("restic", repo, run("forget", "--keep-last", "10", "--prune"))
	}
	return out.String()
}

// size is what the files below a directory have, in MiB.
func (b *snapshotsBench) size(dir string) float64 {
	var sum int64
	b.check(filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	}))
	return float64(sum) / (1 << 20)
}
