package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vaultik/internal/testsize"
)

// Bounds of one command on a hostile store: of a peak that a budget of 150 MiB
// and the runtime explain, and of the time of a processor, since others may be
// busy with something else.
const (
	hostilePeak = 300 << 20
	hostileCPU  = 20 * time.Second
	hostileTime = 15 * hostileCPU
)

// ran is what became of one command.
type ran struct {
	logged
	code int
}

// bounded runs the program and fails if it takes more time or memory than it may, or panics.
func (m *machine) bounded(args ...string) ran {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), hostileTime)
	defer cancel()
	var stdout, stderr bytes.Buffer
	like := m.command(args...)
	cmd := exec.CommandContext(ctx, like.Path, like.Args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = like.Dir, like.Env, &stdout, &stderr
	must(m.t, cmd.Start())
	var peak int64
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			peak = max(peak, peakOf(cmd.Process.Pid))
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	err := cmd.Wait()
	close(done)
	<-watched
	m.peak = max(m.peak, peak)
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		m.t.Fatal(err)
	}
	r := ran{logged{args, stdout.String(), stderr.String()}, cmd.ProcessState.ExitCode()}
	text := r.stdout + r.stderr
	switch {
	case ctx.Err() != nil:
		m.t.Errorf("vaultik %q takes more than %v:\n%s", args, hostileTime, clip(text))
	case strings.Contains(text, "goroutine ") || strings.Contains(text, "panic") || strings.Contains(text, "internal error") || r.code == 2:
		m.t.Errorf("vaultik %q panics: exit %d\n%s", args, r.code, clip(text))
	case cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime() > hostileCPU:
		m.t.Errorf("vaultik %q takes %v of a processor:\n%s", args, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), clip(text))
	case peak > hostilePeak:
		m.t.Errorf("vaultik %q takes %d MiB:\n%s", args, peak>>20, clip(text))
	case strings.ContainsAny(text, "\x00\x1b"):
		m.t.Errorf("vaultik %q prints control characters", args)
	}
	return r
}

func clip(s string) string {
	if len(s) > 4000 {
		return s[:2000] + "\n...\n" + s[len(s)-2000:]
	}
	return s
}

// peakOf is what a process had resident at most, in bytes.
func peakOf(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
}

// hostileCase is a forged snapshot and what is to come of it.
type hostileCase struct {
	name  string
	forge func(y *forgery) string // returns the reference to the top page
	// What restore and ls exit with; verify always finds damage where ls does.
	restore, ls int
	says        string            // restore names the thing with these words
	want        map[string]string // contents of files that are there after the restore, by path in the target; "" for absent
}

const good = "the good one"

// farFuture is the exit code of a restore with a time that not all file systems keep.
const farFuture = -1

func hostileCases(outside string) []hostileCase {
	refused := func(name, path string) hostileCase {
		return hostileCase{name: name, restore: 13, ls: 13, says: "lost", want: map[string]string{"escaped": ""}, forge: func(y *forgery) string {
			return y.chunk(leaf(y.file("aa", good), y.file(path, "escaped")))
		}}
	}
	cases := []hostileCase{
		refused("dot dot", "b/.."), refused("above", "b/../../escaped"), refused("leading dots", "../escaped"), refused("absolute", "/escaped"),
		refused("empty", ""), refused("empty component", "b//c"), refused("trailing slash", "b/"), refused("dot", "b/."), refused("NUL", `"p64":"YgBj"`),
		refused("65 KiB", strings.Repeat("b/", 32<<10)+"bcd"), refused("plain in base64", `"p64":"YmI="`),
		refused("twice", "aa"), refused("out of order", "a"),
		{name: "4,096 bytes", restore: 3, says: strings.Repeat("n", 100), want: map[string]string{"aa": good, "z": good}, forge: func(y *forgery) string {
			return y.chunk(leaf(y.file("aa", good), y.file(strings.Repeat("n", 4096), "x"), y.file("z", good)))
		}},
		{name: "4,000 levels", want: map[string]string{"z": good}, forge: func(y *forgery) string {
			return y.chunk(leaf(y.file(strings.Repeat("d/", 4000)+"f", "x"), y.file(strings.Repeat("e/", 4000)+"f", "x"), y.file("z", good)))
		}},
		{name: "below a link", restore: 13, ls: 13, says: `"link/escaped"`, want: map[string]string{"aa": good, "z": good, "link/escaped": ""}, forge: func(y *forgery) string {
			one := y.chunk(leaf(y.file("aa", good)))
			two := y.chunk(leaf(entry("link", "symlink", fmt.Sprintf(`"target":%q`, outside)), y.file("link/escaped", "escaped")))
			three := y.chunk(leaf(y.file("z", good)))
			return y.chunk(pageText("branch", 1, item("aa", one, 1), item("link/escaped", two, 2), item("z", three, 1)))
		}},
		{name: "below a link, in another page", restore: 13, ls: 13, says: `"link/escaped"`, want: map[string]string{"aa": good, "z": good, "link/escaped": ""}, forge: func(y *forgery) string {
			one := y.chunk(leaf(y.file("aa", good), entry("link", "symlink", fmt.Sprintf(`"target":%q`, outside))))
			two := y.chunk(leaf(y.file("link/escaped", "escaped"), y.file("link/x/y", "escaped")))
			three := y.chunk(leaf(y.file("z", good)))
			return y.chunk(pageText("branch", 1, item("link", one, 2), item("link/x/y", two, 2), item("z", three, 1)))
		}},
		{name: "below a link, its page lost between", restore: 13, ls: 13, says: "lost", want: map[string]string{"aa": good}, forge: func(y *forgery) string {
			// What stands between is lost, so nothing tells that link is no directory: it
			// becomes one.
			one := y.chunk(leaf(y.file("aa", good), entry("link", "symlink", fmt.Sprintf(`"target":%q`, outside))))
			two := reference(0, 100, 0, 100, y.f.hasher.ID([]byte("lost")))
			three := y.chunk(leaf(y.file("link/escaped", "escaped")))
			return y.chunk(pageText("branch", 1, item("link", one, 2), item("link/a", two, 1), item("link/escaped", three, 1)))
		}},
		{name: "below a file", restore: 13, ls: 13, says: `"f/escaped"`, want: map[string]string{"f": good, "z": good}, forge: func(y *forgery) string {
			one, two := y.chunk(leaf(y.file("f", good))), y.chunk(leaf(y.file("f/escaped", "escaped")))
			return y.chunk(pageText("branch", 1, item("f", one, 1), item("f/escaped", two, 1), item("z", y.chunk(leaf(y.file("z", good))), 1)))
		}},
		{name: "without its directory", want: map[string]string{"d/e/f": good, "z": good}, forge: func(y *forgery) string {
			return y.chunk(leaf(y.file("d/e/f", good), y.file("z", good)))
		}},
	}
	return slices.Concat(cases, hostilePages(), hostileEntries(), hostileAmounts())
}

func hostilePages() []hostileCase {
	fetch := func(name, says string, forge func(y *forgery) string) hostileCase {
		return hostileCase{name: name, restore: 3, says: says, want: map[string]string{"aa": good, "z": good}, forge: func(y *forgery) string {
			return y.chunk(leaf(y.file("aa", good), forge(y), y.file("z", good)))
		}}
	}
	lost := func(name string, forge func(y *forgery) string) hostileCase {
		return hostileCase{name: name, restore: 13, ls: 13, says: "lost", forge: forge}
	}
	return []hostileCase{
		lost("page that is its own child", func(y *forgery) string {
			self := reference(0, 300, 0, 200, y.f.hasher.ID([]byte("whatever it will be")))
			return y.chunk(pageText("branch", 1, item("a", self, 1), item("b", self, 1)))
		}),
		lost("one child for all", func(y *forgery) string { // 1,024 to the fifth are 10 to the fifteenth entries
			ref, n := y.chunk(leaf(y.file("m", good))), 1
			for level := 1; level <= 5; level++ {
				lines := make([]string, 1024)
				for i := range lines {
					lines[i] = item(fmt.Sprintf("m%04d", i), ref, n)
				}
				lines[0] = item("m", ref, n)
				n *= 1024
				ref = y.chunk(pageText("branch", level, lines...))
			}
			return ref
		}),
		lost("one child for all, that fits each time", func(y *forgery) string { // all its last paths say the same
			ref := y.chunk(leaf(y.file("m", good)))
			for level := 1; level <= 31; level++ {
				ref = y.chunk(pageText("branch", level, item("m", ref, 1), item("n", ref, 1)))
			}
			return ref
		}),
		lost("a list for a leaf", func(y *forgery) string { return y.chunk(pageText("list", 0, "[1]")) }),
		lost("level 31 above nothing", func(y *forgery) string {
			return y.chunk(pageText("branch", 31, item("a", y.chunk(leaf(y.file("a", good))), 1)))
		}),
		lost("count that lies", func(y *forgery) string {
			return y.chunk(pageText("branch", 1, item("a", y.chunk(leaf(y.file("a", good))), 1<<40)))
		}),
		lost("16 MiB of unknown fields", func(y *forgery) string {
			return y.chunk(leaf(entry("a", "fifo", `"zz":[`+strings.TrimSuffix(strings.Repeat(`{"a":[]},`, 1<<20), ",")+`]`), "x"))
		}),
		lost("page of 16 MiB of zeros", func(y *forgery) string { return y.chunk(strings.Repeat("\x00", 16<<20)) }),
		lost("page from a frame of 1 GiB", func(y *forgery) string {
			return y.part(bombFrame(y.f.t, 1<<28, 1<<30), 0, 1000, y.f.hasher.ID(make([]byte, 1000)))
		}),
		lost("page from a frame that declares little", func(y *forgery) string {
			return y.part(bombFrame(y.f.t, 1<<28, 1000), 0, 1000, y.f.hasher.ID(make([]byte, 1000)))
		}),
		fetch("chunk from a frame of 256 MiB", `"/m"`, func(y *forgery) string {
			ref := y.part(bombFrame(y.f.t, 1<<28, 1<<28), 0, 1000, y.f.hasher.ID(make([]byte, 1000)))
			return entry("m", "file", `"size":1000`, `"c":[`+ref+`]`)
		}),
		fetch("chunk from a frame that declares little", `"/m"`, func(y *forgery) string {
			ref := y.part(bombFrame(y.f.t, 1<<28, 1000), 0, 1000, y.f.hasher.ID(make([]byte, 1000)))
			return entry("m", "file", `"size":1000`, `"c":[`+ref+`]`)
		}),
		fetch("chunk past its frame", `"/m"`, func(y *forgery) string {
			at, n := y.blob.AddFrame(y.f.zstd.Frame(nil, []byte("short")), nil)
			return entry("m", "file", `"size":1000`, `"c":[`+reference(at, n, 0, 1000, y.f.hasher.ID([]byte("short")))+`]`)
		}),
		fetch("chunk of another frame", `"/m"`, func(y *forgery) string {
			return entry("m", "file", `"size":1000`, `"c":[`+reference(7, 100, 0, 1000, y.f.hasher.ID([]byte("short")))+`]`)
		}),
		fetch("file of a hole of 8 PiB", `"/m"`, func(y *forgery) string {
			return entry("m", "file", `"size":9007199254740991`, `"c":[[9007199254740991]]`)
		}),
		lost("hole of 2 to the 62nd", func(y *forgery) string {
			return y.chunk(leaf(entry("m", "file", `"size":4611686018427387904`, `"c":[[4611686018427387904]]`)))
		}),
		lost("size that is not that of its chunks", func(y *forgery) string {
			return y.chunk(leaf(entry("m", "file", `"size":1000000000000`, `"c":[`+y.chunk("ten")+`]`)))
		}),
		lost("reference past its blob", func(y *forgery) string {
			return y.chunk(leaf(entry("m", "file", `"size":10`, `"c":[`+reference(4294967295, 4294967295, 0, 10, y.f.hasher.ID(nil))+`]`)))
		}),
		lost("offset of 2 to the 32nd less 1", func(y *forgery) string {
			return y.chunk(leaf(entry("m", "file", `"size":4294967295`, `"c":[`+reference(0, 100, 4294967295, 4294967295, y.f.hasher.ID(nil))+`]`)))
		}),
		fetch("blob of 255 MiB that is not there", `"/m"`, func(y *forgery) string {
			return entry("m", "file", `"size":7`, `"c":[`+y.chunk(good + "?")[:1]+`0,0,100,0,7,"`+y.f.hasher.ID([]byte("nothing")).String()+`"]]`)
		}),
		fetch("device of no number", `"/m"`, func(*forgery) string {
			return entry("m", "char", `"dev":[4294967295,4294967295]`)
		}),
		fetch("link target of 5,000 bytes", `"/m"`, func(*forgery) string {
			return entry("m", "symlink", `"target":"`+strings.Repeat("t", 5000)+`"`)
		}),
		lost("link target of 8 MiB", func(y *forgery) string {
			return y.chunk(leaf(y.file("aa", good), entry("m", "symlink", `"target":"`+strings.Repeat("t", 8<<20)+`"`)))
		}),
		lost("owner of 8 MiB", func(y *forgery) string {
			return y.chunk(leaf(y.file("aa", good), entry("m", "fifo", `"user":"`+strings.Repeat("t", 8<<20)+`"`)))
		}),
	}
}

// hostileEntries are attributes and links that nobody has.
func hostileEntries() []hostileCase {
	const linked = `"hl":"0123456789abcdef"`
	one := func(name string, restore int, says string, lines func(y *forgery) []string) hostileCase {
		return hostileCase{name: name, restore: restore, says: says, want: map[string]string{"aa": good, "z": good}, forge: func(y *forgery) string {
			return y.chunk(leaf(slices.Concat([]string{y.file("aa", good)}, lines(y), []string{y.file("z", good)})...))
		}}
	}
	xattrs := func(json string) func(y *forgery) []string {
		return func(*forgery) []string { return []string{entry("m", "fifo", `"x":`+json)} }
	}
	return []hostileCase{
		one("links that are not of one type", 0, `"/m2"`, func(y *forgery) []string {
			return []string{strings.Replace(y.file("m1", "x"), "}", ","+linked+"}", 1), entry("m2", "fifo", linked), entry("m3", "symlink", linked, `"target":"/etc/passwd"`)}
		}),
		one("links to a directory", 0, "", func(y *forgery) []string {
			return []string{strings.Replace(dirEntry("d1"), "}", ","+linked+"}", 1), strings.Replace(dirEntry("d2"), "}", ","+linked+"}", 1), y.file("d2/f", good)}
		}),
		one("setuid of another", 0, "", func(y *forgery) []string {
			return []string{strings.Replace(strings.Replace(y.file("m", "x"), "420", "3565", 1), `"uid":0`, `"uid":4294967294`, 1)}
		}),
		one("uid that means none", 3, "could not be set", func(y *forgery) []string {
			return []string{strings.Replace(y.file("m", "x"), `"uid":0`, `"uid":4294967295`, 1)}
		}),
		one("every inode flag", 3, "could not be set", func(y *forgery) []string {
			return []string{strings.Replace(y.file("m", "x"), "}", `,"flags":4294967247}`, 1)} // but immutable and append-only, which the test could not remove
		}),
		one("mtime of the year 292 billion", farFuture, "", func(y *forgery) []string {
			return []string{strings.Replace(y.file("m", "x"), "1700000000.0", "9223372036854775807.0", 1)}
		}),
		one("xattrs of no namespace", 3, "could not be set", xattrs(`[["`+strings.Repeat("n", 300)+`","AA=="],["nothing",""],["system.nfs4_acl","AAAA"],["user.",""]]`)),
		one("ACL and capability of garbage", 3, "could not be set", xattrs(`[["security.capability","AAAA"],["system.posix_acl_access","/////w=="],["system.posix_acl_default","AAAA"]]`)),
		one("many names of one owner", 0, "", func(y *forgery) []string {
			var lines []string
			for i := range 1000 {
				lines = append(lines, entry(fmt.Sprintf("m%04d", i), "fifo", fmt.Sprintf(`"user":"%04d%s"`, i, strings.Repeat("u", 4000))))
			}
			return lines
		}),
		{name: "xattr without a name", restore: 13, ls: 13, says: "lost", forge: func(y *forgery) string {
			return y.chunk(leaf(entry("m", "fifo", `"x":[["","AA==",""]]`)))
		}},
		{name: "xattrs that are not in order", restore: 13, ls: 13, says: "lost", forge: func(y *forgery) string {
			return y.chunk(leaf(entry("m", "fifo", `"x":[["user.b",""],["user.a",""]]`)))
		}},
		{name: "xattr of 5 KiB in a page", restore: 13, ls: 13, says: "lost", forge: func(y *forgery) string {
			return y.chunk(leaf(entry("m", "fifo", `"x":[["user.b","`+strings.Repeat("A", 5000)+`"]]`)))
		}},
		one("xattrs that are no JSON", 3, `attributes of 1 entry`, func(y *forgery) []string { return []string{entry("m", "fifo", `"xr":[`+y.chunk("garbage")+`]`)} }),
	}
}

// hostileAmounts are small in the store and would be large in memory or on the disk.
func hostileAmounts() []hostileCase {
	return []hostileCase{
		{name: "12 MiB of xattrs on each of 30 entries", restore: 3, says: "could not be set", forge: func(y *forgery) string {
			ref := y.chunk(`[["user.a","` + strings.Repeat("A", 12<<20) + `"]]`)
			var lines []string
			for i := range 30 {
				lines = append(lines, entry(fmt.Sprintf("m%04d", i), "fifo", `"xr":[`+ref+`]`))
			}
			return y.chunk(leaf(lines...))
		}},
		{name: "12 pages of 15 MiB", restore: 3, says: "file name too long", forge: func(y *forgery) string {
			var items []string
			target := strings.Repeat("t", 60<<10)
			for p := range 12 {
				lines := make([]string, 250)
				for i := range lines {
					lines[i] = entry(fmt.Sprintf("p%02d-%03d", p, i), "symlink", `"target":"`+target+`"`)
				}
				items = append(items, item(fmt.Sprintf("p%02d-249", p), y.chunk(leaf(lines...)), len(lines)))
			}
			return y.chunk(pageText("branch", 1, items...))
		}},
		{name: "12 pages of paths of 60 KiB", restore: 3, says: "file name too long", forge: func(y *forgery) string {
			var items []string
			name := strings.Repeat("n", 60<<10)
			for p := range 12 {
				lines := make([]string, 250)
				for i := range lines {
					lines[i] = entry(fmt.Sprintf("p%02d-%03d%s", p, i, name), "fifo")
				}
				items = append(items, item(fmt.Sprintf("p%02d-249%s", p, name), y.chunk(leaf(lines...)), len(lines)))
			}
			return y.chunk(pageText("branch", 1, items...))
		}},
		{name: "30,000 levels without a directory", restore: 3, says: "too many directories", forge: func(y *forgery) string {
			var lines []string
			for i := range 50 {
				lines = append(lines, entry(fmt.Sprintf("a%02d", i)+strings.Repeat("/d", 30000), "fifo"))
			}
			return y.chunk(leaf(lines...))
		}},
		{name: "8 PiB of holes of a byte", restore: 13, says: "a hole after a hole", want: map[string]string{"z": good}, forge: func(y *forgery) string {
			return y.chunk(leaf(sharedLists(y, "m", "[1]", 1), y.file("z", good)))
		}},
		{name: "1 TiB of chunks of a byte", restore: 13, says: "too many references", want: map[string]string{"z": good}, forge: func(y *forgery) string {
			return y.chunk(leaf(strings.Replace(sharedLists(y, "m", y.chunk("x"), 1), `"size":`, `"size":1048576,"was":`, 1), y.file("z", good)))
		}},
	}
}

// sharedLists is a file of four levels of list pages, each of 1,024 times the same.
func sharedLists(y *forgery, path, ref string, n int) string {
	for level := range 4 {
		lines := make([]string, 1024)
		for i := range lines {
			lines[i] = ref
		}
		ref = y.chunk(pageText("list", level, lines...))
		n *= 1024
	}
	return entry(path, "file", fmt.Sprintf(`"size":%d`, n), `"ll":4`, `"c":[`+ref+`]`)
}

// TestHostile: whatever one writes who has a host's keys and its store, the commands
// that read it stay within their memory, their time and the target; they say what is
// wrong by its name and restore all else.
func TestHostile(t *testing.T) {
	src, outside := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(src, "honest"), []byte("honest"), 0o600))
	must(t, os.WriteFile(filepath.Join(outside, "mine"), []byte("mine"), 0o600))
	often := testsize.Pick(8, 1)
	for i, c := range hostileCases(outside) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, src, outside, i%often == 0)
		})
	}
}

// run has the snapshot read by those commands that walk its pages, and if all is
// set, by all that look at it.
func (c *hostileCase) run(t *testing.T, src, outside string, all bool) {
	f := newForger(t, src)
	y := f.begin()
	y.commit(c.forge(y))
	out := filepath.Join(f.root0(), "deep", "out")
	before := listing(t, outside) + listing(t, f.root0())

	r := f.bounded("restore", "latest", "--target", out)
	want := c.restore
	if want == farFuture {
		want = 0
		if strings.Contains(r.stderr, "the file system does not keep it: 292277026596-") {
			want = 3
		}
	}
	if r.code != want || !strings.Contains(r.stderr, c.says) {
		t.Errorf("restore: exit %d, want %d and the words %q\n%s", r.code, want, clip(c.says), clip(r.stdout+r.stderr))
	}
	for p, want := range c.want {
		b, err := os.ReadFile(filepath.Join(out, p))
		if want == "" && err == nil || want != "" && string(b) != want {
			t.Errorf("%s: %q, %v", p, b, err)
		}
	}
	must(t, os.RemoveAll(filepath.Join(f.root0(), "deep")))
	if after := listing(t, outside) + listing(t, f.root0()); after != before {
		t.Errorf("something changed outside of the target:\n%s\nwas\n%s", after, before)
	}
	if r := f.bounded("ls", "latest"); r.code != c.ls {
		t.Errorf("ls: exit %d, want %d\n%s", r.code, c.ls, clip(r.stdout+r.stderr))
	}
	// Where pages are bad both find it; where restore could not do all, there may be
	// nothing wrong in the store.
	verifies := [][]string{{"verify", "--read-data"}, {"verify"}}
	if !all {
		verifies = verifies[:1]
	}
	for _, args := range verifies {
		if r := f.bounded(args...); r.code != 13 && (r.code != 0 || c.restore == 13) {
			t.Errorf("%q: exit %d\n%s", args, r.code, clip(r.stdout+r.stderr))
		}
	}
	if !all {
		return
	}
	if r := f.bounded("snapshots"); r.code != 0 {
		t.Errorf("snapshots: exit %d\n%s", r.code, clip(r.stdout+r.stderr))
	}
	if r := f.bounded("restore", f.last.ID()[:12], "--target", out); r.code != 0 { // the honest one is not affected
		t.Errorf("restore of the honest snapshot: exit %d\n%s", r.code, clip(r.stdout+r.stderr))
	}
	f.bounded("index", "rebuild")
	f.key = ""
	if r := f.bounded("backup", src); r.code != 0 && !strings.Contains(r.stderr, "written meanwhile") && !strings.Contains(r.stderr, "another") {
		t.Errorf("backup: exit %d\n%s", r.code, clip(r.stdout+r.stderr))
	}
}

// root0 holds the machine.
func (f *forger) root0() string { return f.machine.root }

// listing is what lies under a directory, but for what the program keeps for itself.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "index" || d.Name() == "vaultik" && strings.Contains(p, ".config")) {
			return filepath.SkipDir
		}
		st, err := d.Info()
		if err == nil {
			fmt.Fprintln(&b, p, st.Mode(), st.Size())
		}
		return err
	}))
	return b.String()
}
