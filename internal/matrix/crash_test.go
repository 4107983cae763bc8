package matrix

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"syscall"
	"testing"

	"vaultik/backends"
	"vaultik/internal/testsize"
)

// childPlace holds, for a child process, the place that it fills until it is killed.
const childPlace = "VAULTIK_TEST_MATRIX_PLACE"

// child puts objects that are named after their hash, four at a time, for ever,
// and says so when each is done.
func child() int {
	var p place
	err := json.Unmarshal([]byte(os.Getenv(childPlace)), &p)
	var b backends.Backend
	if err == nil {
		b, err = p.open(context.Background(), backends.Options{Create: true})
	}
	if err == nil {
		failed := make(chan error)
		for w := range uint64(4) {
			go func() { failed <- putNamed(b, w) }()
		}
		err = <-failed
	}
	fmt.Fprintln(os.Stderr, "child:", err)
	return 1
}

// putNamed puts objects of all sizes up to what fits in a few packets of time.
func putNamed(b backends.Backend, worker uint64) error {
	r := rand.New(rand.NewPCG(worker, uint64(os.Getpid())))
	for {
		data := make([]byte, 1+r.IntN(600_000))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		sum := sha256.Sum256(data)
		key := fmt.Sprintf("b/%02x/%x", sum[0], sum)
		if _, err := b.Put(context.Background(), key, backends.Bytes(data, &sum), backends.PutOptions{}); err != nil {
			return err
		}
		fmt.Println(key)
	}
}

// testCrash kills a process that puts, and looks at the store from this one:
// whatever is listed is whole, whatever was acknowledged is there.
func testCrash(t *testing.T, c *column) {
	r := rand.New(rand.NewPCG(testsize.Seed(t), 0))
	for range testsize.Pick(2, 20) {
		p := c.fresh(t)
		acknowledged := crash(t, p, 1+r.IntN(20))
		b, err := p.open(t.Context(), backends.Options{})
		if err != nil {
			t.Fatal(err)
		}
		listed := map[string]bool{}
		err = b.ListStream(t.Context(), "", func(o backends.ObjectInfo) error {
			listed[o.Key] = true
			data, err := backends.ReadRange(t.Context(), b, o.Key, 0, -1, nil)
			if sum := sha256.Sum256(data); err != nil || hex.EncodeToString(sum[:]) != path.Base(o.Key) || int64(len(data)) != o.Size {
				t.Errorf("%s is not whole: %d bytes of %d, %v", o.Key, len(data), o.Size, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		for _, key := range acknowledged {
			if !listed[key] {
				t.Errorf("acknowledged, then not listed: %s", key)
			}
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// crash fills p by a child that is killed once n objects are acknowledged, and
// returns all that were.
func crash(t *testing.T, p place, n int) []string {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childPlace+"="+string(text))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for s := bufio.NewScanner(out); s.Scan(); {
		const whole = len("b/00/") + 2*sha256.Size // the last line may be cut off
		if len(s.Text()) == whole {
			keys = append(keys, s.Text())
		}
		if len(keys) == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("the child was not killed: %v\n%s", err, said.Bytes())
	}
	return keys
}
