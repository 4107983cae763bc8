package rclone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vaultik/backends"
	"vaultik/internal/faultproxy"
	"vaultik/internal/testserver"
)

// openLocal opens a new store on a remote of type local, until the test ends.
func openLocal(t *testing.T, o backends.Options) *Backend {
	t.Helper()
	o.Rclone = conf(t, "[r]\ntype = local\n")
	return openStore(t, "rclone://r/"+t.TempDir()+"/s", o)
}

func openStore(t *testing.T, location string, o backends.Options) *Backend {
	t.Helper()
	b, err := backends.Open(t.Context(), location, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b.(*Backend)
}

// blockSource waits in its first Read.
type blockSource struct {
	backends.Source
	in, out chan struct{}
}

func (s *blockSource) Open() (io.ReadSeekCloser, error) {
	close(s.in)
	<-s.out
	return s.Source.Open()
}

type failing struct{}

func (failing) Size() int64                      { return 1 }
func (failing) SHA256() []byte                   { return nil }
func (failing) Open() (io.ReadSeekCloser, error) { return nil, errors.New("broken") }

func TestRemoteOf(t *testing.T) {
	for in, want := range map[string]string{
		"rclone://r/a/b":          "r:a/b/",
		"rclone://r/a/b/":         "r:a/b/",
		"rclone://r//a/b":         "r:/a/b/",
		"rclone://r///a//b":       "r:/a/b/",
		"rclone://r//":            "r:/",
		"rclone://r":              "r:",
		"rclone://r/":             "r:",
		"rclone://My_Remote-1.x/": "My_Remote-1.x:",
		"rclone://größe/a%20b":    "größe:a b/",
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := remoteOf(u); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"rclone:///a", "rclone://u:hunter2@r/a", "rclone://r/a?pass=hunter2", "rclone://r/a#hunter2", "rclone://r/a?", "rclone://r/../a",
		"rclone://r/a/./b", "rclone://r,pass=hunter2/a", "rclone://r:80/a", "rclone://-r/a", "rclone://:local/a", "rclone://r{x}/a",
	} {
		_, err := backends.Open(t.Context(), in, backends.Options{})
		if !errors.Is(err, backends.ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", in, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error tells a secret: %v", in, err)
		}
	}
}

func TestOpen_Settings(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/file", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := conf(t, fmt.Sprintf(`
[r]
type = local
[mem]
type = memory
[odd]
type = nothing
[late]
type = local
batch_mode = async
[badsize]
type = s3
chunk_size = abc
[a]
type = alias
remote = %s
`, dir))
	for _, c := range []struct {
		url  string
		o    backends.RcloneOptions
		kind error
		text string
	}{
		{"rclone://none/x", o, backends.ErrRemoteNotFound, `"none" is not in ` + o.Config + "; it has: a, badsize, late, mem, odd, r"},
		{"rclone://odd/x", o, backends.ErrConfig, "this program has alias, b2,"},
		{"rclone://r/" + dir + "/file", o, backends.ErrConfig, "that is a file"},
		{"rclone://r/" + dir + "/none", o, backends.ErrContainerNotFound, "store not found"},
		{"rclone://r/relative", o, backends.ErrConfig, "write rclone://remote//absolute/path"},
		{"rclone://r", o, backends.ErrConfig, "write rclone://remote//absolute/path"},
		{"rclone://mem", o, backends.ErrConfig, "name of a bucket"},
		{"rclone://late/" + dir, o, backends.ErrConfig, "batch_mode"},
		{"rclone://badsize/x", o, backends.ErrConfig, "chunk_size"},
		{"rclone://a/none", o, backends.ErrContainerNotFound, "store not found"},
		{"rclone://r/" + dir, backends.RcloneOptions{Config: o.Config, VerifyUpload: "some"}, backends.ErrConfig, `"some"`},
	} {
		b, err := backends.Open(t.Context(), c.url, backends.Options{Rclone: c.o})
		var op *backends.OpError
		if !errors.Is(err, c.kind) || !errors.As(err, &op) || op.Retryable || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), c.url) {
			t.Errorf("open %s: %v; want %v with %q", c.url, err, c.kind, c.text)
		}
		if err == nil {
			_ = b.Close()
		}
	}
	openStore(t, "rclone://a/", backends.Options{Rclone: o})
}

func TestOpen_Servers(t *testing.T) {
	for _, kind := range []string{"webdav", "sftp", "ftp", "s3"} {
		t.Run(kind, func(t *testing.T) {
			s := testserver.RcloneServe(t, kind, t.TempDir())
			wrong := s.Wrong(t)
			down := s.At("127.0.0.1:1")
			p := faultproxy.TCP(t, s.Addr, faultproxy.Rule{Do: faultproxy.BlackHole()})
			silent := s.At(p.Addr)
			o := conf(t, s.Section("good")+wrong.Section("wrong")+down.Section("down")+silent.Section("silent"))

			_, err := backends.Open(t.Context(), "rclone://wrong/dir", backends.Options{Create: true, Rclone: o})
			if !errors.Is(err, backends.ErrAuth) && !errors.Is(err, backends.ErrPermission) || backends.Retryable(err) {
				t.Errorf("wrong password: %v", err)
			}
			wantNoSecrets(t, err, s, wrong)

			_, err = backends.Open(t.Context(), "rclone://down/dir", backends.Options{Create: true, Rclone: o})
			if !backends.Retryable(err) || errors.Is(err, backends.ErrConfig) {
				t.Errorf("server is down: %v (retryable %v)", err, backends.Retryable(err))
			}

			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			began := time.Now()
			_, err = backends.Open(ctx, "rclone://silent/dir", backends.Options{Create: true, Rclone: o})
			if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 3*time.Second {
				t.Errorf("server is silent: %v after %v", err, took)
			}
			p.Outage(true) // ends the call that was left behind

			b := openStore(t, "rclone://good/dir", backends.Options{Create: true, Rclone: o})
			if text := fmt.Sprintf("%v %+v", b.location, b.capabilities()); strings.Contains(text, s.Pass) {
				t.Errorf("the password is in %s", text)
			}
			info, err := b.Info(t.Context())
			if err != nil || info.Location != "rclone://good/dir" {
				t.Errorf("%+v, %v", info, err)
			}
		})
	}
}

func wantNoSecrets(t *testing.T, err error, servers ...*testserver.Server) {
	t.Helper()
	for _, s := range servers {
		for line := range strings.Lines(s.Section("x")) {
			for _, key := range []string{"pass = ", "secret_access_key = "} {
				if secret, ok := strings.CutPrefix(strings.TrimSpace(line), key); ok && strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
					t.Errorf("the secret is in %v", err)
				}
			}
		}
		if strings.Contains(fmt.Sprintf("%v %+v", err, err), s.Pass) {
			t.Errorf("the password is in %v", err)
		}
	}
}

func TestOpen_HostKeys(t *testing.T) {
	s := testserver.RcloneServe(t, "sftp", t.TempDir())
	other := filepath.Join(t.TempDir(), "known_hosts")
	host := strings.Fields(readFile(t, s.KnownHosts))[0]
	if err := os.WriteFile(other, []byte(host+" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFJvbGxpbmcgdGhlIGRpY2UgZm9yIGFuIGVkMjU1MTkg\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sections := s.Section("checked") +
		strings.ReplaceAll(s.Section("open"), "known_hosts_file = "+s.KnownHosts, "") +
		strings.ReplaceAll(s.Section("other"), s.KnownHosts, other) +
		strings.ReplaceAll(s.Section("unheard"), s.KnownHosts, os.DevNull) +
		strings.ReplaceAll(s.Section("pinned"), "known_hosts_file = "+s.KnownHosts, "pin_host_key = true") +
		"[sealed]\ntype = crypt\nremote = open:sealed\npassword = " + testserver.Obscure(t, "x") + "\n"
	for name, warned := range map[string]int{"checked": 0, "pinned": 0, "open": 1, "sealed": 1} {
		var text bytes.Buffer
		o := conf(t, sections)
		for range 2 {
			b, err := backends.Open(t.Context(), "rclone://"+name+"/dir", backends.Options{Create: true, Rclone: o, Log: slog.New(slog.NewTextHandler(&text, nil))})
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Count(text.String(), "[open] of rclone.conf: known_hosts_file = ~/.ssh/known_hosts"); got != warned {
			t.Errorf("%s: warned %d times, want %d: %s", name, got, warned, text.String())
		}
	}
	o := conf(t, sections)
	for name, want := range map[string]string{"other": "differs from the one in known_hosts_file", "unheard": "ssh-keyscan HOST"} {
		_, err := backends.Open(t.Context(), "rclone://"+name+"/dir", backends.Options{Create: true, Rclone: o})
		if err == nil || backends.Retryable(err) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "NewFs") {
			t.Errorf("a server with %s key: %v", name, err)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What is stored looks like text to servers that compress, and would be read slowly.
func TestGet_AsItIs(t *testing.T) {
	s := testserver.RcloneServe(t, "webdav", t.TempDir())
	var mu sync.Mutex
	var asked []string
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.Addr})
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.Method == http.MethodGet {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, r.Header.Get("Content-Encoding"))
		}
		return nil
	}
	front := httptest.NewServer(proxy)
	defer front.Close()
	o := conf(t, s.At(strings.TrimPrefix(front.URL, "http://")).Section("r"))
	b, err := backends.Open(t.Context(), "rclone://r/dir", backends.Options{Create: true, Rclone: o})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	text := []byte("age-encryption.org/v1\n" + strings.Repeat("x", 300<<10))
	if _, err := b.Put(t.Context(), "k", backends.Bytes(text, nil), backends.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, length := range []int64{-1, 1000} {
		if got, err := backends.ReadRange(t.Context(), b, "k", 0, length, nil); err != nil || !bytes.HasPrefix(text, got) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 2 || asked[0]+asked[1] != "" {
		t.Errorf("read as %q, want two answers that are not compressed", asked)
	}
}
