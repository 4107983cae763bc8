package rclone

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	_ "github.com/rclone/rclone/backend/memory" // for tests only
	"github.com/rclone/rclone/fs/config/obscure"

	"vaultik/backends"
	"vaultik/backends/backendtest"
	_ "vaultik/backends/rclone/few"
	"vaultik/internal/testserver"
)

func TestMain(m *testing.M) {
	if run := children[os.Getenv(childEnv)]; run != nil {
		run()
		return
	}
	// A remote of HTTP keeps idle connections for a minute, which the suite would
	// take for leaks.
	_ = os.Setenv("RCLONE_DISABLE_HTTP_KEEP_ALIVES", "true")
	os.Exit(m.Run())
}

// conf writes an rclone.conf and returns the options that use it.
func conf(t *testing.T, text string) backends.RcloneOptions {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rclone.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return backends.RcloneOptions{Config: path}
}

// suite runs the conformance suite over stores below one remote.
func suite(t *testing.T, section, parent string) {
	o := conf(t, section)
	var n atomic.Int32
	backendtest.Run(t, backendtest.Harness{New: func(*backendtest.T) backendtest.Opener {
		location := fmt.Sprintf("rclone://r/%sstore-%d", parent, n.Add(1))
		return func(ctx context.Context, open backends.Options) (backends.Backend, error) {
			open.Rclone = o
			return backends.Open(ctx, location, open)
		}
	}})
}

func TestBackend_Local(t *testing.T) { suite(t, "[r]\ntype = local\n", "/"+t.TempDir()+"/a/b/") }

func TestBackend_Memory(t *testing.T) { suite(t, "[r]\ntype = memory\n", "") }

func TestBackend_Crypt(t *testing.T) {
	suite(t, "[r]\ntype = crypt\nremote = "+t.TempDir()+"\npassword = "+obscure.MustObscure("secret")+"\n", "deep/")
}

func TestBackend_Servers(t *testing.T) {
	for _, kind := range []string{"webdav", "sftp", "ftp", "s3"} {
		t.Run(kind, func(t *testing.T) {
			s := testserver.RcloneServe(t, kind, t.TempDir())
			parent := "deep/"
			if kind == "s3" {
				parent = ""
			}
			section := s.Section("r")
			if kind == "webdav" {
				section += "pacer_min_sleep = 0s\n" // of 10 ms; a Put takes ten requests
			}
			suite(t, section, parent)
		})
	}
}
