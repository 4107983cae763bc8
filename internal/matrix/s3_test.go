package matrix

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"vaultik/backends"
	"vaultik/backends/backendtest"
	_ "vaultik/backends/s3"
	"vaultik/internal/testserver"
)

// nobody listens at this address: the port is that of tcpmux, which has died out.
const nobody = "127.0.0.1:1"

// s3 is the column of a server of S3. The bucket is the store; it does not exist
// until the store is created.
func s3(start func(testing.TB, ...testserver.Option) *testserver.S3, opts ...testserver.Option) func(t *testing.T) *column {
	return func(t *testing.T) *column {
		server := start(t, opts...)
		buckets := map[string]*testserver.S3{}
		options := func(keyFile string) backends.S3Options {
			return backends.S3Options{Credentials: backends.S3Credentials{Source: "file", Path: keyFile}}
		}
		keys := options(server.KeyFile(t))
		rclones := strings.Contains(server.Command, "rcloneserve")
		at := func(s *testserver.S3) place {
			p := place{URL: s.URL("a/b"), S3: keys, Retried: rclones, Torn: rclones}
			buckets[p.URL] = s
			return p
		}
		c := &column{
			url:     "s3://bucket/prefix?endpoint=" + anyPort(server.Endpoint),
			command: command(server.Command, server.Dir, server.Endpoint),
			fresh:   func(backendtest.TB) place { return at(server.Other()) },
			destroy: func(t *testing.T, p place) {
				if err := buckets[p.URL].Destroy(t.Context()); err != nil {
					t.Fatalf("remove the bucket: %v", err)
				}
			},
			wrong: func(t *testing.T, p place) []place {
				return []place{
					{URL: p.URL, S3: options(testserver.KeyFile(t, server.AccessKey, strings.ToUpper(server.SecretKey)))},
					{URL: p.URL, S3: options(testserver.KeyFile(t, "NOSUCHKEY"+server.AccessKey[9:], server.SecretKey))},
				}
			},
			away: func(_ *testing.T, p place) place {
				s := *buckets[p.URL]
				s.Endpoint, s.CAFile = "http://"+nobody, ""
				p = at(&s)
				p.Retried = false // this takes a minute
				return p
			},
		}
		if rclones {
			c.note = "used through backends/retry, as the program uses every store, because this server\n" +
				"answers 500 now and then when several put at once. A Get beside a Put of the same key may\n" +
				"get the length of one and the bytes of the other."
		}
		return c
	}
}

// command is a command line without what differs from run to run.
func command(line, dir, endpoint string) string {
	_, addr, _ := strings.Cut(endpoint, "://")
	line = strings.ReplaceAll(line, addr, "127.0.0.1:PORT")
	work := strings.TrimSuffix(dir, "/data")
	line = strings.ReplaceAll(line, dir, "DIR")
	line = strings.ReplaceAll(line, work, "WORK")
	return tempDir.ReplaceAllString(line, "WORK")
}

// tempDir is a directory that internal/testserver made for a server.
var tempDir = regexp.MustCompile(regexp.QuoteMeta(filepath.Clean(os.TempDir())) + `/vaultik-server-[a-z0-9-]+-[0-9]+`)

func anyPort(endpoint string) string {
	scheme, _, _ := strings.Cut(endpoint, "://")
	return fmt.Sprintf("%s://127.0.0.1:PORT", scheme)
}
