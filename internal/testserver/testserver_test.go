package testserver_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"vaultik/internal/testserver"
)

// Each server of S3 takes an object and gives it back, in a bucket of one's own.
func TestS3(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *testserver.S3{
		"versitygw":     func(tb testing.TB) *testserver.S3 { return testserver.VersityGW(tb) },
		"versitygw TLS": func(tb testing.TB) *testserver.S3 { return testserver.VersityGW(tb, testserver.TLS()) },
		"minio":         func(tb testing.TB) *testserver.S3 { return testserver.MinIO(tb) },
		"minio TLS":     func(tb testing.TB) *testserver.S3 { return testserver.MinIO(tb, testserver.TLS()) },
		"rclone":        func(tb testing.TB) *testserver.S3 { return testserver.RcloneS3(tb) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, other := start(t), start(t)
			if s.Endpoint != other.Endpoint || s.Bucket == other.Bucket {
				t.Errorf("two users of one server: %s %s, %s %s", s.Endpoint, s.Bucket, other.Endpoint, other.Bucket)
			}
			if strings.HasSuffix(name, "TLS") != strings.HasPrefix(s.Endpoint, "https://") {
				t.Errorf("endpoint %s", s.Endpoint)
			}
			if strings.Contains(s.Command, s.SecretKey) {
				t.Errorf("the command line tells the secret: %s", s.Command)
			}
			c, err := s.Client()
			if err != nil {
				t.Fatal(err)
			}
			text := "stored at " + name
			if _, err := c.PutObject(t.Context(), s.Bucket, "a/b", strings.NewReader(text), int64(len(text)), minio.PutObjectOptions{DisableMultipart: true}); err != nil {
				t.Fatal(err)
			}
			o, err := c.GetObject(t.Context(), s.Bucket, "a/b", minio.GetObjectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(o); err != nil || string(got) != text {
				t.Errorf("read %q, %v", got, err)
			}
			if ok, err := c.BucketExists(t.Context(), s.Missing()); ok || err != nil {
				t.Errorf("a missing bucket exists: %v, %v", ok, err)
			}
		})
	}
}

func TestS3_ObjectLock(t *testing.T) {
	for _, s := range []*testserver.S3{testserver.VersityGW(t, testserver.ObjectLock()), testserver.MinIO(t, testserver.ObjectLock())} {
		c, err := s.Client()
		if err != nil {
			t.Fatal(err)
		}
		if on, _, _, _, err := c.GetObjectLockConfig(t.Context(), s.Bucket); err != nil || on != "Enabled" {
			t.Errorf("%s: object lock %q, %v", s.Command, on, err)
		}
	}
}

// Each of rclone's servers lets in who knows the password, and serves the directory.
func TestRcloneServe(t *testing.T) {
	for _, kind := range []string{"webdav", "sftp", "ftp", "s3"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "bucket"), 0o700); err != nil {
				t.Fatal(err)
			}
			s := testserver.RcloneServe(t, kind, dir)
			for _, secret := range []string{s.User, s.Pass} {
				if strings.Contains(s.Command, secret) {
					t.Errorf("the command line tells a secret: %s", s.Command)
				}
			}
			if kind == "webdav" {
				webdav(t, s)
			}
			if !strings.Contains(s.Section("x"), "[x]\ntype = "+kind+"\n") {
				t.Errorf("section %q", s.Section("x"))
			}
		})
	}
}

func webdav(t *testing.T, s *testserver.Server) {
	t.Helper()
	put := func(user, pass string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+"/bucket/x", strings.NewReader("text"))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(user, pass)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := put(s.User, "wrong"); got != http.StatusUnauthorized {
		t.Errorf("PUT with a wrong password: %d", got)
	}
	if got := put(s.User, s.Pass); got != http.StatusCreated {
		t.Errorf("PUT: %d", got)
	}
	if b, err := os.ReadFile(filepath.Join(s.Dir, "bucket/x")); err != nil || string(b) != "text" {
		t.Errorf("in the directory: %q, %v", b, err)
	}
}

// childEnv makes TestServersDieWithTheProcess the child that starts a server.
const childEnv = "VAULTIK_TEST_SERVER_CHILD"

func TestServersDieWithTheProcess(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		s := testserver.VersityGW(t)
		fmt.Println("SERVER", s.Endpoint, s.PID())
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
		return
	}
	work := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestServersDieWithTheProcess$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"=1", "TMPDIR="+work)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var endpoint string
	var pid int
	for s := bufio.NewScanner(out); s.Scan() && endpoint == ""; {
		if _, err := fmt.Sscanf(s.Text(), "SERVER %s %d", &endpoint, &pid); err == nil {
			break
		}
	}
	if pid == 0 {
		t.Fatal("the child has started no server")
	}
	if resp, err := http.Get(endpoint + "/health"); err != nil {
		t.Error(err)
	} else {
		resp.Body.Close()
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	stat := filepath.Join("/proc", strconv.Itoa(pid), "stat")
	for deadline := time.Now().Add(20 * time.Second); ; {
		b, err := os.ReadFile(stat)
		if errors.Is(err, os.ErrNotExist) || bytes.Contains(b, []byte(") Z ")) {
			return // gone, or dead and waiting for a parent that never comes
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server outlives the process that started it: %s", b)
		}
	}
}
