package s3

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"vaultik/backends"
	"vaultik/internal/platform"
)

// The memory of a process that uses a store is searched for the secret key. It is
// a child of the test, so that the copies of the one who searches are not found.

const (
	childKind   = "S3_TEST_CHILD"  // where the child has its key from, or what it plants
	childStore  = "S3_TEST_STORE"  // URL
	childFile   = "S3_TEST_FILE"   // holds the key
	childMasked = "S3_TEST_MASKED" // a secret to be planted, not as it is
)

func TestMain(m *testing.M) {
	if os.Getenv(childKind) != "" {
		if err := runChild(); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// pause tells the parent where the child is, and waits until it has looked.
func pause(what string) {
	fmt.Println(what)
	_, _ = os.Stdin.Read(make([]byte, 1))
}

func runChild() error {
	kind := os.Getenv(childKind)
	if kind, ok := strings.CutPrefix(kind, "plant "); ok {
		kept := plant(kind)
		pause("planted")
		runtime.KeepAlive(kept)
		return nil
	}
	o := backends.Options{S3: backends.S3Options{Credentials: backends.S3Credentials{Source: kind}}}
	switch kind {
	case "file", "profile":
		o.S3.Credentials.Path = os.Getenv(childFile)
	case "command":
		o.S3.Credentials.Command = []string{"cat", os.Getenv(childFile)}
	}
	ctx := context.Background()
	b, err := backends.Open(ctx, os.Getenv(childStore), o)
	if err != nil {
		return err
	}
	pause("opened")
	if err := use(ctx, b, 50); err != nil {
		return err
	}
	pause("used")
	// The next backup of the same process.
	if err := b.Close(); err != nil {
		return err
	}
	if b, err = backends.Open(ctx, os.Getenv(childStore), o); err != nil {
		return err
	}
	pause("opened again")
	return b.Close()
}

// use makes two requests in each round.
func use(ctx context.Context, b backends.Backend, rounds int) error {
	for i := range rounds {
		key, text := fmt.Sprintf("h/%d", i), []byte(strings.Repeat(strconv.Itoa(i), 1000))
		if _, err := b.Put(ctx, key, bytesOf(text), backends.PutOptions{}); err != nil {
			return err
		}
		got, err := backends.ReadRange(ctx, b, key, 0, -1, nil)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, text) {
			return fmt.Errorf("read %d other bytes", len(got))
		}
	}
	return nil
}

const mask = 0x55

// plant leaves a copy of the secret, in one of the forms that are searched for.
func plant(kind string) any {
	masked, err := hex.DecodeString(os.Getenv(childMasked))
	if err != nil {
		panic(err)
	}
	in := func(b []byte, with byte) []byte {
		for i := range masked {
			b[i] = masked[i] ^ mask ^ with
		}
		return b
	}
	switch kind {
	case "nothing":
		return nil
	case "heap":
		return in(make([]byte, len(masked)), 0)
	case "text":
		return string(in(make([]byte, len(masked)), 0)) // two copies
	case "mapped":
		page, err := platform.Map(1 << 16)
		if err != nil {
			panic(err)
		}
		return in(page[777:], 0)
	case "inner pad":
		return in(make([]byte, len(masked)), 0x36)
	case "outer pad":
		return in(make([]byte, len(masked)), 0x5c)
	case "base64":
		return base64.StdEncoding.EncodeToString(in(make([]byte, len(masked)), 0))
	}
	panic(kind)
}

// needles are the forms of a secret that give it away.
func needles(secret string) map[string][]byte {
	xor := func(with byte) []byte {
		b := []byte(secret)
		for i := range b {
			b[i] ^= with
		}
		return b
	}
	// 30 bytes at the front become 40 characters that do not depend on what follows.
	front := secret[:min(len(secret), 30)]
	return map[string][]byte{
		"plain": []byte(secret), "the beginning": []byte(secret[:16]), "the end": []byte(secret[len(secret)-16:]),
		"inner pad": xor(0x36), "outer pad": xor(0x5c),
		"base64": []byte(strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(front)), "=")), "hex": []byte(hex.EncodeToString([]byte(secret))),
	}
}

// search looks for needles in all memory of a process. It returns how often each
// was found and how many bytes were read.
func search(t *testing.T, pid int, needles map[string][]byte) (found map[string]int, read int64) {
	t.Helper()
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	found = map[string]int{}
	for line := range strings.Lines(string(list)) {
		fields := strings.Fields(line)
		from, to, _ := strings.Cut(fields[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		// vvar and vsyscall are the kernel's; the gigabytes of the race detector's
		// shadow hold times, no data.
		if err1 != nil || err2 != nil || fields[1][0] != 'r' || strings.Contains(line, "[vvar") || strings.Contains(line, "[vsyscall") || end-start > 1<<30 {
			continue
		}
		n, err := searchRegion(io.NewSectionReader(mem, int64(start), int64(end-start)), needles, found)
		if err != nil {
			t.Errorf("read %s: %v", strings.TrimSpace(line), err)
		}
		read += n
	}
	return found, read
}

// searchRegion reads in blocks, which overlap so that nothing lies across.
func searchRegion(r io.Reader, needles map[string][]byte, found map[string]int) (int64, error) {
	const block, overlap = 1 << 20, 4096
	buf := make([]byte, overlap+block)
	kept, total := 0, int64(0)
	for {
		n, err := io.ReadFull(r, buf[kept:])
		total += int64(n)
		for name, needle := range needles {
			// What lies whole in the part that was kept was counted before.
			found[name] += bytes.Count(buf[:kept+n], needle) - bytes.Count(buf[:kept], needle)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		kept = copy(buf, buf[kept+n-overlap:kept+n])
	}
}

// child runs this program again as one that has the secret, and calls look each
// time it pauses.
func child(t *testing.T, look func(pid int, where string), env ...string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append([]string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}, env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	for said.Scan() {
		if text, bad := strings.CutPrefix(said.Text(), "error: "); bad {
			t.Errorf("child: %s", text)
			continue
		}
		look(cmd.Process.Pid, said.Text())
		if _, err := in.Write([]byte("\n")); err != nil {
			t.Error(err)
		}
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("child: %v", err)
	}
}

// newSecret returns one that is nowhere in the program, with characters of keys.
func newSecret(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return base64.StdEncoding.EncodeToString(b)[:n]
}

// What cannot be found here could not be found below.
func TestMemory_Search(t *testing.T) {
	for kind, needle := range map[string]string{
		"nothing": "", "heap": "plain", "text": "plain", "mapped": "plain", "inner pad": "inner pad", "outer pad": "outer pad", "base64": "base64",
	} {
		secret := newSecret(40)
		masked := []byte(secret)
		for i := range masked {
			masked[i] ^= mask
		}
		looked := 0
		child(t, func(pid int, _ string) {
			looked++
			found, read := search(t, pid, needles(secret))
			for form, n := range found {
				if form == needle && n == 0 || needle == "" && n > 0 {
					t.Errorf("planted %s: %d times %s in %d bytes", kind, n, form, read)
				}
			}
		}, childKind+"=plant "+kind, childMasked+"="+hex.EncodeToString(masked))
		if looked != 1 {
			t.Errorf("planted %s: looked %d times", kind, looked)
		}
	}
	// A secret that lies across two blocks is found, once.
	const block = 1 << 20
	for _, at := range []int{0, block - 7, block, block + 4096 - 20, 2 * block} {
		found := map[string]int{}
		data := make([]byte, 3*block)
		copy(data[at:], "needle in a haystack")
		if _, err := searchRegion(bytes.NewReader(data), map[string][]byte{"plain": []byte("needle in a haystack")}, found); err != nil || found["plain"] != 1 {
			t.Errorf("at %d: found %d times, %v", at, found["plain"], err)
		}
	}
}

// No copy of the secret is left when a store is open, nor after 100 requests, nor
// when it is opened again.
func TestMemory_NoSecret(t *testing.T) {
	const long = 123 // HMAC hashes what is longer than its block; most of this remains in the hash
	for _, c := range []struct {
		source string
		size   int
	}{
		{"file", 40}, {"file", long}, {"profile", 40}, {"command", 40}, {"command", long}, {"env", 40}, {"env", long},
	} {
		secret := newSecret(c.size)
		t.Run(fmt.Sprintf("%s, %d bytes", c.source, c.size), func(t *testing.T) {
			f := newFake(t)
			f.change(func() { f.secret = secret })
			env := []string{childKind + "=" + c.source, childStore + "=s3://bucket/p?endpoint=" + f.URL}
			file := filepath.Join(t.TempDir(), "key")
			env = append(env, childFile+"="+file)
			switch c.source {
			case "file":
				write(t, file, testID+"\n"+secret+"\n")
			case "profile":
				write(t, file, "[default]\naws_access_key_id = "+testID+"\naws_secret_access_key = "+secret+"\n")
			case "command":
				write(t, file, fmt.Sprintf(`{"Version": 1, "AccessKeyId": %q, "SecretAccessKey": %q}`, testID, secret))
			case "env":
				env = append(env, envID+"="+testID, envSecret+"="+secret, "LAST=1")
			}
			var looked []string
			child(t, func(pid int, where string) {
				looked = append(looked, where)
				found, read := search(t, pid, needles(secret))
				known := 0
				if c.source == "env" {
					known = copiesOfDetector
				}
				for _, form := range slices.Sorted(maps.Keys(found)) {
					if found[form] > known {
						t.Errorf("%s: %d copies of the secret, %s", where, found[form], form)
					}
				}
				if read < 4<<20 {
					t.Errorf("only %d bytes were read", read)
				}
				block, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
				if err != nil || bytes.Contains(block, []byte(secret)) {
					t.Errorf("%s: the secret is in /proc/PID/environ (%v)", where, err)
				}
			}, env...)
			if !slices.Equal(looked, []string{"opened", "used", "opened again"}) {
				t.Errorf("looked at %q", looked)
			}
			if n := len(f.seen()); n < 100 {
				t.Errorf("%d requests", n)
			}
		})
	}
}
