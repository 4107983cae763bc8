package rclone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rclone/rclone/backend/overview"
	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config/configmap"

	"vaultik/backends"
	"vaultik/internal/testserver"
)

// odd is a provider that does what some do, over a directory. How is its setting
// "way".
type odd struct {
	fs.Fs
	way      string
	features fs.Features
}

func init() {
	fs.Register(&fs.RegInfo{Name: "odd", Overview: new(overview.BackendConfig), NewFs: func(ctx context.Context, _, root string, m configmap.Mapper) (fs.Fs, error) {
		inner, err := fs.NewFs(ctx, root)
		if err != nil {
			return nil, err
		}
		f := &odd{Fs: inner, features: *inner.Features()}
		f.way, _ = m.Get("way")
		f.features.SlowHash = false
		if f.way == "no rename over" {
			f.features.Move = f.move
		}
		return f, nil
	}})
}

func (f *odd) Features() *fs.Features { return &f.features }

func (f *odd) move(ctx context.Context, src fs.Object, remote string) (fs.Object, error) {
	if _, err := f.NewObject(ctx, remote); err == nil {
		return nil, errors.New("553 file exists")
	}
	return f.Fs.Features().Move(ctx, src, remote)
}

// deaf is closed to end the uploads that do not listen.
var deaf chan struct{}

func (f *odd) Put(ctx context.Context, in io.Reader, src fs.ObjectInfo, o ...fs.OpenOption) (fs.Object, error) {
	b, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	switch f.way {
	case "flips a bit":
		b[len(b)/2] ^= 1
	case "loses the end":
		b = b[:len(b)-1]
	case "deaf":
		<-deaf
	}
	return f.Fs.Put(ctx, bytes.NewReader(b), src, o...)
}

// openOdd opens a store in the directory dir.
func openOdd(t *testing.T, way, dir, verify string) *Backend {
	t.Helper()
	o := conf(t, "[r]\ntype = odd\nway = "+way+"\n")
	o.VerifyUpload = verify
	return openStore(t, "rclone://r/"+dir, backends.Options{Create: true, Rclone: o})
}

// files are all files below dir, temporary ones included.
func files(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			list = append(list, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestPut_OddRemotes(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 1000)
	for _, c := range []struct {
		way, verify string
		kind        error
	}{
		{"", "", nil}, {"no rename over", "", nil}, {"flips a bit", "hash", backends.ErrChecksum}, {"flips a bit", "", backends.ErrChecksum},
		{"flips a bit", "size", nil}, {"loses the end", "hash", backends.ErrChecksum}, {"loses the end", "size", backends.ErrChecksum},
	} {
		t.Run(c.way+" "+c.verify, func(t *testing.T) {
			dir := t.TempDir()
			b := openOdd(t, c.way, dir, c.verify)
			for _, kind := range []string{"unknown", "ftp"} { // one that is cautious, one that tries
				b.kind = kind
				_, err := b.Put(t.Context(), "a/x", backends.Bytes(data, nil), backends.PutOptions{})
				if !errors.Is(err, c.kind) || c.kind != nil && !backends.Retryable(err) {
					t.Errorf("%s: %v, want %v", kind, err, c.kind)
				}
			}
			want := "[a/x]"
			if c.kind != nil {
				want = "[]"
			}
			if got := fmt.Sprint(files(t, dir)); got != want {
				t.Errorf("the directory has %s, want %s", got, want)
			}
		})
	}
}

// A provider that does not listen to its context holds up neither Put nor Close.
func TestPut_Deaf(t *testing.T) {
	deaf = make(chan struct{})
	dir := t.TempDir()
	b := openOdd(t, "deaf", dir, "")
	ctx, cancel := context.WithCancel(t.Context())
	began := time.Now()
	_, err := b.Put(ctx, "x", backends.Bytes([]byte("x"), nil), backends.PutOptions{Progress: func(int64, int64) { cancel() }})
	if took := time.Since(began); !errors.Is(err, context.Canceled) || took > 2*time.Second {
		t.Errorf("Put: %v after %v", err, took)
	}
	if _, err := b.Stat(t.Context(), "x"); !errors.Is(err, backends.ErrNotFound) {
		t.Errorf("Stat: %v", err)
	}
	close(deaf)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if got := files(t, dir); len(got) > 0 {
		t.Errorf("the directory has %v", got)
	}
}

// What dead writers have left goes away after a day, what others have put there stays.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	o := conf(t, "[r]\ntype = local\n")
	b := openStore(t, "rclone://r/"+dir, backends.Options{Rclone: o, ReadOnly: true})
	old, recent, foreign := newTempName(), newTempName(), tempDir+"/notes.txt"
	if err := os.Mkdir(dir+"/"+tempDir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{old, recent, foreign} {
		if err := os.WriteFile(dir+"/"+name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{old, foreign} {
		if err := os.Chtimes(dir+"/"+name, time.Time{}, time.Now().Add(-staleAfter-time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := backends.List(t.Context(), b, ""); err != nil || len(got) > 0 {
		t.Errorf("listed: %v, %v", got, err)
	}
	for _, c := range []struct {
		readOnly bool
		files    int
	}{{true, 3}, {false, 2}} {
		again, err := backends.Open(t.Context(), "rclone://r/"+dir, backends.Options{Rclone: o, ReadOnly: c.readOnly})
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Close(); err != nil { // which waits for the sweeping
			t.Fatal(err)
		}
		if got := files(t, dir); len(got) != c.files {
			t.Errorf("opened with read-only %v: %v", c.readOnly, got)
		}
	}
	if _, err := os.Stat(dir + "/" + old); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", old, err)
	}
}

func contentOf(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, 200_000+r.IntN(800_000))
	for i := range b {
		b[i] = byte(seed) ^ byte(i*7) ^ byte(i>>8)
	}
	return b
}

// childFill puts one object after the other until it is killed, and says which are
// stored.
func childFill() {
	b, err := backends.Open(context.Background(), os.Getenv("STORE"), backends.Options{Create: true})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	start, err := strconv.ParseUint(os.Getenv("START"), 10, 64)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for i := start; ; i++ {
		if _, err := b.Put(context.Background(), fmt.Sprintf("o/%02x/%d", i%7, i), backends.Bytes(contentOf(i), nil), backends.PutOptions{}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("stored", i)
	}
}

// Killed at any moment, a writer leaves whole objects, and all that it was told are
// stored.
func TestPut_Killed(t *testing.T) {
	for _, kind := range []string{"webdav", "sftp", "ftp", "s3"} {
		t.Run(kind, func(t *testing.T) {
			s := testserver.RcloneServe(t, kind, t.TempDir())
			o := conf(t, s.Section("r"))
			stored := map[uint64]bool{}
			for round := range 3 {
				cmd := exec.Command(os.Args[0])
				cmd.Env = []string{childEnv + "=fill", "STORE=rclone://r/dir", "RCLONE_CONFIG=" + o.Config, "HOME=" + t.TempDir(), fmt.Sprintf("START=%d", round*1000)}
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				buf, text := make([]byte, 1), ""
				for strings.Count(text, "\n") < 2+round*2 {
					if _, err := io.ReadFull(out, buf); err != nil {
						t.Fatalf("the child has ended: %s", text)
					}
					text += string(buf)
				}
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				rest, _ := io.ReadAll(out)
				_ = cmd.Wait()
				for line := range strings.Lines(text + string(rest)) {
					if i, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(line, "stored "), "\n"), 10, 64); err == nil && strings.HasSuffix(line, "\n") {
						stored[i] = true
					}
				}
			}
			b := openStore(t, "rclone://r/dir", backends.Options{Rclone: o})
			seen := map[uint64]bool{}
			err := b.ListStream(t.Context(), "", func(info backends.ObjectInfo) error {
				i, err := strconv.ParseUint(info.Key[len("o/00/"):], 10, 64)
				if err != nil {
					return err
				}
				seen[i] = true
				data, err := backends.ReadRange(t.Context(), b, info.Key, 0, -1, nil)
				if err == nil && !bytes.Equal(data, contentOf(i)) {
					err = fmt.Errorf("%s is not whole: %d bytes", info.Key, len(data))
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
			for i := range stored {
				if !seen[i] {
					t.Errorf("object %d was stored and is gone", i)
				}
			}
			t.Logf("%d objects stored, %d seen", len(stored), len(seen))
		})
	}
}
