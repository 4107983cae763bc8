package file

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/backends"
	"vaultik/internal/atomicfile"
	"vaultik/internal/testsize"
)

// Environment of a child process that writes and is killed.
const (
	childRoot = "VAULTIK_TEST_CHILD_ROOT"
	childStep = "VAULTIK_TEST_CHILD_STEP" // die before this step, from 1; 0: be killed
)

func TestMain(m *testing.M) {
	if root := os.Getenv(childRoot); root != "" {
		step, err := strconv.Atoi(os.Getenv(childStep))
		if err == nil {
			err = child(root, step)
		}
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// child puts objects whose name is their hash and says so when each is done.
func child(root string, dieAt int) error {
	steps := 0
	b, err := open(root, backends.Options{Create: true}, func(atomicfile.Step, string) error {
		if steps++; steps == dieAt {
			return unix.Kill(os.Getpid(), unix.SIGKILL)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if dieAt > 0 {
		return putNamed(b, 1, 2)
	}
	done := make(chan error)
	for w := range 4 {
		go func() { done <- putNamed(b, uint64(w), 1<<30) }()
	}
	return <-done
}

// putNamed puts n objects, every other one with IfAbsent.
func putNamed(b *Backend, seed uint64, n int) error {
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range n {
		data := make([]byte, 1+r.IntN(600_000))
		for j := range data {
			data[j] = byte(r.Uint32())
		}
		sum := sha256.Sum256(data)
		key := fmt.Sprintf("b/%02x/%x", sum[0], sum)
		// In steps of a write call, so that a kill can hit the middle.
		src := blocks{backends.Bytes(data, &sum)}
		if _, err := b.Put(context.Background(), key, src, backends.PutOptions{IfAbsent: i%2 == 0}); err != nil && !errors.Is(err, backends.ErrExists) {
			return err
		}
		if _, err := fmt.Println(key); err != nil {
			return err
		}
	}
	return nil
}

// blocks hides that a Source is in memory.
type blocks struct{ backends.Source }

func runChild(t *testing.T, root string, step int) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRoot+"="+root, childStep+"="+strconv.Itoa(step))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

func drain(s *bufio.Scanner) (keys []string) {
	for s.Scan() {
		keys = append(keys, s.Text())
	}
	return keys
}

// wantWhole checks that everything listed is whole, everything acknowledged is
// listed, and no temporary file is left.
func wantWhole(t *testing.T, root string, acknowledged []string) (objects int) {
	t.Helper()
	b, err := Open(root, backends.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	list, err := backends.List(t.Context(), b, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list {
		data, err := backends.ReadRange(t.Context(), b, o.Key, 0, -1, nil)
		if sum := sha256.Sum256(data); err != nil || hex.EncodeToString(sum[:]) != filepath.Base(o.Key) {
			t.Errorf("%s is not whole: %d bytes, %v", o.Key, len(data), err)
		}
	}
	for _, key := range acknowledged {
		if _, err := b.Stat(t.Context(), key); err != nil {
			t.Errorf("acknowledged, then lost: %v", err)
		}
	}
	if got := countFiles(t, root); got != len(list) {
		t.Errorf("%d objects listed, %d files in the store", len(list), got)
	}
	return len(list)
}

func countFiles(t *testing.T, root string) (n int) {
	t.Helper()
	err := filepath.WalkDir(root, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Death before every single step of two Puts.
func TestCrash_EveryStep(t *testing.T) {
	objects := map[int]bool{}
	for step := 1; ; step++ {
		root := filepath.Join(t.TempDir(), "store")
		cmd, out := runChild(t, root, step)
		keys := drain(out)
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) {
			t.Fatal(err)
		}
		objects[wantWhole(t, root, keys)] = true
		if exit.ExitCode() == 1 { // has run to its end
			if step < 12 || len(objects) != 3 {
				t.Errorf("%d steps, numbers of objects %v: not all stages were seen", step, objects)
			}
			return
		}
	}
}

// Death at any time, with four writers.
func TestCrash_Random(t *testing.T) {
	testsize.Long(t)
	r := rand.New(rand.NewPCG(testsize.Seed(t), 0))
	for range 8 {
		root := filepath.Join(t.TempDir(), "store")
		cmd, out := runChild(t, root, 0)
		var keys []string
		for range 1 + r.IntN(30) {
			if !out.Scan() {
				t.Fatal("child died by itself")
			}
			keys = append(keys, out.Text())
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, drain(out)...)
		_ = cmd.Wait()
		// The last line may have been cut off.
		if last := keys[len(keys)-1]; len(last) != len(keys[0]) {
			keys = keys[:len(keys)-1]
		}
		wantWhole(t, root, keys)
	}
}

// Temporary files of writers that live are left alone, and all of them by readers.
func TestList_SweepsTheDead(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	cmd, out := runChild(t, root, 7) // mkdir, syncdir, mkdir, syncdir, create, lock, write
	drain(out)
	_ = cmd.Wait()
	if n := countFiles(t, root); n != 1 {
		t.Fatalf("the dead writer has left %d files, want 1", n)
	}
	ro, err := Open(root, backends.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ro.Close() }()
	if _, err := backends.List(t.Context(), ro, ""); err != nil || countFiles(t, root) != 1 {
		t.Errorf("a reader has tidied up: %v", err)
	}
	b, err := Open(root, backends.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	src := &listing{t: t, b: b, Source: backends.Bytes([]byte("alive"), nil)}
	if _, err := b.Put(t.Context(), "alive", src, backends.PutOptions{}); err != nil {
		t.Errorf("Put while another handle lists: %v", err)
	}
	if n := countFiles(t, root); n != 1 {
		t.Errorf("%d files, want the object only", n)
	}
}

// listing is a Source that lists the store while it is read.
type listing struct {
	backends.Source
	t *testing.T
	b backends.Backend
}

func (l *listing) Open() (io.ReadSeekCloser, error) {
	if list, err := backends.List(l.t.Context(), l.b, ""); err != nil || len(list) != 0 {
		l.t.Errorf("list beside Put: %v, %v", list, err)
	}
	return l.Source.Open()
}

// A listing holds few names at a time.
func TestList_Memory(t *testing.T) {
	testsize.Long(t)
	b, _, root := openScripted(t)
	put(t, b, "d/x", "x")
	const n = 20_000
	for i := range n {
		if err := os.Link(filepath.Join(root, "d/x"), filepath.Join(root, "d", strings.Repeat("y", 90)+strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	seen, peak := 0, uint64(0)
	base := heap()
	err := b.ListStream(t.Context(), "", func(backends.ObjectInfo) error {
		if seen++; seen%4000 == 0 {
			peak = max(peak, heap())
		}
		return nil
	})
	if err != nil || seen != n+1 {
		t.Errorf("listed %d of %d: %v", seen, n+1, err)
	}
	if peak > base+1<<20 {
		t.Errorf("listing %d objects holds %d KiB", n, (peak-base)>>10)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
