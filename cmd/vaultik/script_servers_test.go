package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"vaultik/internal/testserver"
)

// server starts a server of stores for a script: server KIND VAR. VAR becomes the
// store's URL; keys go into the environment. Kinds: versitygw, minio, each with
// object lock, and webdav, which rclone serves and reaches.
func server(ts *testscript.TestScript, _ bool, args []string) {
	t, ok := ts.Value(scriptTest{}).(testing.TB)
	if !ok || len(args) != 2 {
		ts.Fatalf("usage: server KIND VAR")
	}
	s3 := func(s *testserver.S3) {
		ts.Setenv("AWS_ACCESS_KEY_ID", s.AccessKey)
		ts.Setenv("AWS_SECRET_ACCESS_KEY", s.SecretKey)
		ts.Setenv(args[1], s.URL("backups"))
	}
	switch args[0] {
	case "versitygw":
		s3(testserver.VersityGW(t, testserver.ObjectLock()))
	case "minio":
		s3(testserver.MinIO(t, testserver.ObjectLock()))
	case "webdav":
		dir, conf := t.TempDir(), ts.MkAbs("rclone.conf")
		s := testserver.RcloneServe(t, "webdav", dir)
		ts.Check(os.Mkdir(filepath.Join(dir, "backups"), 0o700))
		ts.Check(os.WriteFile(conf, []byte(s.Section("away")), 0o600))
		ts.Setenv("RCLONE_CONFIG", conf)
		ts.Setenv(args[1], "rclone://away/backups")
	default:
		ts.Fatalf("no server of the kind %q", args[0])
	}
}

// scriptTest names the test that runs a script.
type scriptTest struct{}
