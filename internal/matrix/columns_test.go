package matrix

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"vaultik/backends/backendtest"
	_ "vaultik/backends/file"
	"vaultik/backends/mem"
	"vaultik/internal/testserver"
)

// starter makes a column when its turn has come.
type starter struct {
	name  string
	start func(t *testing.T) *column
}

func columns() []starter {
	return []starter{
		{"memory", memory},
		{"file", file},
		{"S3, versitygw", s3(testserver.VersityGW)},
		{"S3, MinIO", s3(testserver.MinIO)},
		{"S3, MinIO with TLS", s3(testserver.MinIO, testserver.TLS())},
		{"S3, rclone serve s3", s3(testserver.RcloneS3)},
		{"rclone, local", rcloneLocal},
		{"rclone, memory", rcloneMemory},
		{"rclone, crypt", rcloneCrypt},
		{"rclone, webdav", rcloneServed("webdav")},
		{"rclone, sftp", rcloneServed("sftp")},
		{"rclone, ftp", rcloneServed("ftp")},
		{"rclone, s3", rcloneS3},
	}
}

// remote is the name of the remote in every rclone.conf of these tests.
const remote = "here"

// number is different each time, for names of stores.
var number atomic.Int64

func memory(*testing.T) *column {
	return &column{
		url: "mem://name (tests only)",
		fresh: func(tb backendtest.TB) place {
			name := fmt.Sprintf("matrix-%d", number.Add(1))
			tb.Cleanup(func() { mem.Drop(name) })
			return place{URL: "mem://" + name}
		},
	}
}

func file(t *testing.T) *column {
	root := t.TempDir()
	return &column{
		url: "file:///path",
		fresh: func(backendtest.TB) place {
			return place{URL: filepath.Join(root, fmt.Sprint(number.Add(1)), "a b", "störe")}
		},
		destroy: func(t *testing.T, p place) { removeAll(t, p.URL) },
		file: func(tb backendtest.TB) place {
			return place{URL: plainFile(tb, root)}
		},
	}
}

func removeAll(tb backendtest.TB, path string) {
	tb.Helper()
	if err := os.RemoveAll(path); err != nil {
		tb.Fatalf("%v", err)
	}
}

func plainFile(tb backendtest.TB, dir string) string {
	tb.Helper()
	path := filepath.Join(dir, "plain-file")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		tb.Fatalf("%v", err)
	}
	return path
}
