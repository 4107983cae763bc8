package testserver

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"vaultik/internal/testcert"
)

// S3 is a server of S3 with a bucket for one test.
type S3 struct {
	Endpoint  string // http://127.0.0.1:port, or https
	Region    string
	AccessKey string
	SecretKey string
	Bucket    string // exists, empty, nobody else's
	CAFile    string // PEM of who signed the server's certificate; "" without TLS
	Dir       string // where the server keeps its data
	Command   string // how it was started

	provider string // what rclone calls it
	process  *process
}

// Option changes a server of S3.
type Option func(*options)

type options struct {
	tls, lock bool
	dir       string
}

// TLS lets the server speak HTTPS with a certificate that an authority of its own
// has signed, see S3.CAFile.
func TLS() Option { return func(o *options) { o.tls = true } }

// ObjectLock makes the bucket with object lock, and so with versions.
func ObjectLock() Option { return func(o *options) { o.lock = true } }

// Dir lets the server keep its data in dir, which exists. It is not shared.
func Dir(dir string) Option { return func(o *options) { o.dir = dir } }

// VersityGW starts versitygw over a directory.
func VersityGW(tb testing.TB, opts ...Option) *S3 {
	tb.Helper()
	return s3(tb, "versitygw", "Other", opts, func(s *S3, o options, work string) plan {
		addr := freePort(tb)
		s.Endpoint = "http://" + addr
		args := []string{"--port", addr, "--health", "/health", "--keep-alive", "--quiet"}
		if o.tls {
			s.Endpoint = "https://" + addr
			cert, key := certificate(tb, s, work, "cert.pem", "key.pem")
			args = append(args, "--cert", cert, "--key", key)
		}
		args = append(args, "posix", "--versioning-dir", makeDir(tb, work, "versions"), s.Dir)
		return plan{
			program: "versitygw", args: args,
			env:   []string{"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey},
			ready: answers(s.Endpoint+"/health", 200),
		}
	})
}

// MinIO starts a MinIO server of one drive.
func MinIO(tb testing.TB, opts ...Option) *S3 {
	tb.Helper()
	return s3(tb, "minio", "Minio", opts, func(s *S3, o options, work string) plan {
		addr := freePort(tb)
		s.Endpoint = "http://" + addr
		certs := makeDir(tb, work, "certs")
		if o.tls {
			s.Endpoint = "https://" + addr
			certificate(tb, s, certs, "public.crt", "private.key")
		}
		return plan{
			program: "minio",
			args:    []string{"server", "--address", addr, "--certs-dir", certs, s.Dir},
			env: []string{
				"MINIO_ROOT_USER=" + s.AccessKey, "MINIO_ROOT_PASSWORD=" + s.SecretKey,
				"MINIO_BROWSER=off", "MINIO_UPDATE=off",
			},
			ready: answers(s.Endpoint+"/minio/health/cluster", 200),
		}
	})
}

// RcloneS3 starts rclone's server of S3 over a directory.
func RcloneS3(tb testing.TB, opts ...Option) *S3 {
	tb.Helper()
	return s3(tb, "rclone-s3", "Rclone", opts, func(s *S3, o options, work string) plan {
		if o.tls || o.lock {
			tb.Fatal("rclone's server of S3 is started without TLS here and has no object lock")
		}
		addr := freePort(tb)
		s.Endpoint = "http://" + addr
		return plan{
			program: rcloneServe, args: []string{"serve", "s3", "--addr", addr, s.Dir},
			env:   append(rcloneEnv(work), authKey(s.AccessKey, s.SecretKey)),
			ready: answers(s.Endpoint, 0),
		}
	})
}

// s3 starts or shares a server and makes the bucket.
func s3(tb testing.TB, name, provider string, opts []Option, newPlan func(s *S3, o options, work string) plan) *S3 {
	tb.Helper()
	var o options
	for _, f := range opts {
		f(&o)
	}
	s := acquire(tb, fmt.Sprint(name, o.tls, o.dir), func() S3 {
		s := S3{Region: "us-east-1", AccessKey: random(20), SecretKey: random(40), provider: provider}
		s.process = start(tb, name, func(work string) plan {
			if s.Dir = o.dir; s.Dir == "" {
				s.Dir = makeDir(tb, work, "data")
			}
			return newPlan(&s, o, work)
		})
		s.Command = s.process.command
		return s
	})
	s.Bucket = s.Missing()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	if err := s.makeBucket(ctx, o.lock); err != nil {
		tb.Fatalf("make bucket at %s: %v", name, err)
	}
	return &s
}

// Missing returns the name of a bucket that does not exist.
func (s *S3) Missing() string { return "vaultik-" + random(12) }

// KeyFile writes a file of two lines, access key and secret key.
func (s *S3) KeyFile(tb testing.TB) string {
	tb.Helper()
	return KeyFile(tb, s.AccessKey, s.SecretKey)
}

// KeyFile writes a file of two lines, access key and secret key.
func KeyFile(tb testing.TB, access, secret string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "s3.key")
	if err := os.WriteFile(path, []byte(access+"\n"+secret+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// Other returns the same server with a bucket that does not exist.
func (s *S3) Other() *S3 {
	o := *s
	o.Bucket = s.Missing()
	return &o
}

// Destroy removes the bucket and all that is in it.
func (s *S3) Destroy(ctx context.Context) error {
	c, err := s.Client()
	if err != nil {
		return err
	}
	for o := range c.ListObjectsIter(ctx, s.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			return o.Err
		}
		if err := c.RemoveObject(ctx, s.Bucket, o.Key, minio.RemoveObjectOptions{}); err != nil {
			return err
		}
	}
	return c.RemoveBucket(ctx, s.Bucket)
}

// URL returns the storage_url of a prefix in the bucket, without credentials.
func (s *S3) URL(prefix string) string {
	q := url.Values{"endpoint": {s.Endpoint}, "region": {s.Region}}
	if s.CAFile != "" {
		q.Set("ca_file", s.CAFile)
	}
	return strings.TrimSuffix("s3://"+s.Bucket+"/"+prefix, "/") + "?" + q.Encode()
}

// Section returns a section of rclone.conf for the server.
func (s *S3) Section(name string) string {
	return fmt.Sprintf("[%s]\ntype = s3\nprovider = %s\nendpoint = %s\nregion = %s\naccess_key_id = %s\nsecret_access_key = %s\n",
		name, s.provider, s.Endpoint, s.Region, s.AccessKey, s.SecretKey)
}

// certificate makes an authority and a certificate for the loopback interface.
func certificate(tb testing.TB, s *S3, dir, certName, keyName string) (cert, key string) {
	tb.Helper()
	ca := testcert.NewCA(tb)
	c := ca.Issue(tb, "127.0.0.1", "localhost")
	cert, key = filepath.Join(dir, certName), filepath.Join(dir, keyName)
	s.CAFile = filepath.Join(dir, "ca.pem")
	for path, b := range map[string][]byte{cert: c.PEM, key: c.KeyPEM, s.CAFile: ca.PEM} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return cert, key
}

func makeDir(tb testing.TB, elem ...string) string {
	tb.Helper()
	dir := filepath.Join(elem...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// PID returns the number of the server's process.
func (s *S3) PID() int { return s.process.cmd.Process.Pid }
