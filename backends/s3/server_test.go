package s3

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"vaultik/backends"
	"vaultik/internal/testserver"
)

// What only real servers can show; the suite of all stores runs against them in
// package matrix.

// servers are two that know nothing of each other.
var servers = map[string]func(testing.TB, ...testserver.Option) *testserver.S3{
	"versitygw": testserver.VersityGW, "minio": testserver.MinIO,
}

func onServers(t *testing.T, f func(t *testing.T, s *testserver.S3), opts ...testserver.Option) {
	t.Helper()
	for name, start := range servers {
		t.Run(name, func(t *testing.T) { f(t, start(t, opts...)) })
	}
}

func openServer(t *testing.T, s *testserver.S3, location string, o backends.Options) (*Backend, error) {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	if o.S3.Credentials.Source == "" {
		o.S3.Credentials = backends.S3Credentials{Source: "file", Path: s.KeyFile(t)}
	}
	b, err := open(t.Context(), u, o, parts{})
	if err == nil {
		t.Cleanup(func() { _ = b.Close() })
	}
	return b, err
}

// Under compliance nobody removes a version before its time; a plain Delete leaves
// a marker, so that the store sees the object no more and the bytes stay.
func TestServer_ObjectLock(t *testing.T) {
	onServers(t, func(t *testing.T, s *testserver.S3) {
		location := s.URL("p") + "&lock=compliance&lock_days=2"
		b, err := openServer(t, s, location, backends.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := put(t.Context(), b, "x", "locked"); err != nil {
			t.Fatal(err)
		}
		versions := versionsOf(t, b, "x")
		if len(versions) != 1 {
			t.Fatalf("versions %+v", versions)
		}
		held, err := b.client.StatObject(t.Context(), s.Bucket, "p/x", minio.StatObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		until, err := time.Parse(time.RFC3339, held.Headers.Get("X-Amz-Object-Lock-Retain-Until-Date"))
		if left := time.Until(until); err != nil || held.Headers.Get("X-Amz-Object-Lock-Mode") != "COMPLIANCE" || left < 47*time.Hour || left > 48*time.Hour {
			t.Errorf("locked as %q for %v, %v", held.Headers.Get("X-Amz-Object-Lock-Mode"), left, err)
		}
		c := &call{}
		err = b.client.RemoveObject(withCall(t.Context(), c), s.Bucket, "p/x", minio.RemoveObjectOptions{VersionID: versions[0].VersionID, GovernanceBypass: true})
		if err = b.fail(t.Context(), "delete", "x", c, err); !errors.Is(err, backends.ErrLocked) || backends.Retryable(err) {
			t.Errorf("removal of a locked version: %v, want ErrLocked", err)
		}
		if err := b.Delete(t.Context(), "x"); err != nil {
			t.Errorf("Delete: %v", err)
		}
		if _, err := b.Stat(t.Context(), "x"); !errors.Is(err, backends.ErrNotFound) {
			t.Errorf("Stat after Delete: %v", err)
		}
		if list, err := backends.List(t.Context(), b, ""); err != nil || len(list) != 0 {
			t.Errorf("listed after Delete: %v, %v", list, err)
		}
		versions = versionsOf(t, b, "x")
		if len(versions) != 2 || !versions[0].IsDeleteMarker || versions[1].Size != int64(len("locked")) {
			t.Errorf("after Delete: %+v", versions)
		}
		// The way back: without the marker the object is there again.
		if err := b.client.RemoveObject(t.Context(), s.Bucket, "p/x", minio.RemoveObjectOptions{VersionID: versions[0].VersionID}); err != nil {
			t.Fatal(err)
		}
		if got, err := backends.ReadRange(t.Context(), b, "x", 0, -1, nil); err != nil || string(got) != "locked" {
			t.Errorf("after the marker was removed: %q, %v", got, err)
		}
		info, err := b.Info(t.Context())
		if err != nil || !info.ConditionalPut || !info.ServerChecksum {
			t.Errorf("%+v, %v", info, err)
		}
		k, err := b.Keeps(t.Context())
		if want := (backends.Keeping{Versions: true, Lock: 48 * time.Hour}); err != nil || k != want {
			t.Errorf("it keeps %+v, %v, want %+v", k, err, want)
		}
		if _, err := b.Put(t.Context(), "x", bytesOf([]byte("other")), backends.PutOptions{IfAbsent: true}); !errors.Is(err, backends.ErrExists) {
			t.Errorf("create if absent: %v", err)
		}
	}, testserver.ObjectLock())
}

// versionsOf lists the versions of an object, the newest first.
func versionsOf(t *testing.T, b *Backend, key string) (versions []minio.ObjectInfo) {
	t.Helper()
	for o := range b.client.ListObjectsIter(t.Context(), b.settings.bucket, minio.ListObjectsOptions{Prefix: b.object(key), WithVersions: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		versions = append(versions, o)
	}
	return versions
}

// With versions=oldest an object is as it was before somebody hid it behind another, or behind a
// delete marker; but where its name is its SHA-256, the version counts that has it.
func TestServer_Oldest(t *testing.T) {
	sum := sha256.Sum256([]byte("right"))
	named := "b/" + hex.EncodeToString(sum[:])
	onServers(t, func(t *testing.T, s *testserver.S3) {
		b, err := openServer(t, s, s.URL("p"), backends.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range [][2]string{
			{named, "damaged"}, {named, "right"}, {named, "hides"}, {named + ".zst", "damaged"},
			{"a", "first"}, {"a", "other"}, {"c", "gone"}, {"d", "only"},
		} {
			if err := put(t.Context(), b, o[0], o[1]); err != nil {
				t.Fatal(err)
			}
		}
		for _, key := range []string{"c", named + ".zst"} {
			if err := b.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		want := map[string]string{"a": "first", named: "right", named + ".zst": "damaged", "c": "gone",
			"d": "only"}
		for _, lists := range []bool{true, false} {
			old, err := openServer(t, s, s.URL("p")+"&versions=oldest", backends.Options{ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			if lists {
				all, err := backends.List(t.Context(), old, "")
				if err != nil || len(all) != len(want) {
					t.Errorf("listed %v, %v", all, err)
				}
				for _, o := range all {
					if o.Size != int64(len(want[o.Key])) {
						t.Errorf("listed %+v", o)
					}
				}
			}
			for key, text := range want {
				info, err := old.Stat(t.Context(), key)
				if err != nil || info.Size != int64(len(text)) {
					t.Errorf("%s: %+v, %v", key, info, err)
				}
				if got, err := backends.ReadRange(t.Context(), old, key, 1, -1, nil); err != nil ||
					string(got) != text[1:] {
					t.Errorf("%s: %q, %v, want %q", key, got, err, text)
				}
			}
			if _, err := old.Stat(t.Context(), "e"); !errors.Is(err, backends.ErrNotFound) {
				t.Errorf("what never was: %v", err)
			}
		}
		for location, o := range map[string]backends.Options{
			"&versions=oldest": {}, "&versions=newest": {ReadOnly: true},
		} {
			if _, err := openServer(t, s, s.URL("p")+location, o); !errors.Is(err, backends.ErrConfig) {
				t.Errorf("%s, %+v: %v", location, o, err)
			}
		}
	}, testserver.ObjectLock())
}

// A lock that the bucket cannot keep is refused at once, not at the first object.
func TestServer_LockWithoutBucketLock(t *testing.T) {
	onServers(t, func(t *testing.T, s *testserver.S3) {
		lock := "&lock=governance&lock_days=1"
		_, err := openServer(t, s, s.URL("p")+lock, backends.Options{})
		if !errors.Is(err, backends.ErrConfig) || !strings.Contains(err.Error(), "without object lock") {
			t.Errorf("a bucket without lock: %v", err)
		}
		if _, err := openServer(t, s, s.URL("p")+lock, backends.Options{ReadOnly: true}); err != nil {
			t.Errorf("only to read: %v", err)
		}
		made := strings.Replace(s.URL("p"), s.Bucket, s.Missing(), 1) + lock
		b, err := openServer(t, s, made, backends.Options{Create: true})
		if err != nil {
			t.Fatalf("a bucket that is made: %v", err)
		}
		if err := put(t.Context(), b, "x", "x"); err != nil {
			t.Error(err)
		}
	})
	s := testserver.RcloneS3(t)
	for _, o := range []backends.Options{{}, {Create: true}} {
		location := s.URL("p")
		if o.Create {
			location = strings.Replace(location, s.Bucket, s.Missing(), 1)
		}
		if _, err := openServer(t, s, location+"&lock=governance&lock_days=1", o); !errors.Is(err, backends.ErrConfig) {
			t.Errorf("a server without object lock, create %v: %v", o.Create, err)
		}
	}
}

func TestServer_TLS(t *testing.T) {
	onServers(t, func(t *testing.T, s *testserver.S3) {
		b, err := openServer(t, s, s.URL("p"), backends.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := put(t.Context(), b, "x", "over TLS"); err != nil {
			t.Error(err)
		}
		_, err = openServer(t, s, "s3://"+s.Bucket+"/p?endpoint="+s.Endpoint, backends.Options{})
		if !errors.Is(err, backends.ErrConfig) || !strings.Contains(err.Error(), "ca_file=FILE") {
			t.Errorf("without ca_file: %v", err)
		}
	}, testserver.TLS())
	s := testserver.MinIO(t, testserver.TLS()) // versitygw just hangs up
	_, err := openServer(t, s, strings.Replace(s.URL("p"), "https", "http", 1), backends.Options{})
	if !errors.Is(err, backends.ErrConfig) || !strings.Contains(err.Error(), "write endpoint="+s.Endpoint) {
		t.Errorf("plain HTTP to a server of TLS: %v", err)
	}
}

// The server says that it has checked the hash, so that nothing has to be asked
// after a Put, and vouches for it later.
func TestServer_Checksum(t *testing.T) {
	onServers(t, func(t *testing.T, s *testserver.S3) {
		b, err := openServer(t, s, s.URL("p"), backends.Options{})
		if err != nil {
			t.Fatal(err)
		}
		data := []byte("some text")
		sum := sha256.Sum256(data)
		info, err := b.Put(t.Context(), "x", bytesOf(data), backends.PutOptions{})
		if err != nil || !bytes.Equal(info.SHA256, sum[:]) {
			t.Errorf("Put: %+v, %v", info, err)
		}
		if info, err = b.Stat(t.Context(), "x"); err != nil || !bytes.Equal(info.SHA256, sum[:]) {
			t.Errorf("Stat: %+v, %v", info, err)
		}
	})
}

// Each wrong thing is called by its name.
func TestServer_Wrong(t *testing.T) {
	onServers(t, func(t *testing.T, s *testserver.S3) {
		for _, c := range []struct {
			what     string
			location string
			id, key  string
			want     error
		}{
			{"id", s.URL("p"), "NOSUCHKEY", s.SecretKey, backends.ErrAuth},
			{"secret", s.URL("p"), s.AccessKey, "wrong", backends.ErrAuth},
			{"bucket", strings.Replace(s.URL("p"), s.Bucket, s.Missing(), 1), s.AccessKey, s.SecretKey, backends.ErrContainerNotFound},
			{"region", strings.Replace(s.URL("p"), s.Region, "no-where-1", 1), s.AccessKey, s.SecretKey, nil},
		} {
			file := write(t, t.TempDir()+"/key", c.id+"\n"+c.key+"\n")
			_, err := openServer(t, s, c.location, backends.Options{S3: backends.S3Options{Credentials: backends.S3Credentials{Source: "file", Path: file}}})
			if c.want != nil && !errors.Is(err, c.want) || backends.Retryable(err) {
				t.Errorf("wrong %s: %v, want %v", c.what, err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), c.key) {
				t.Errorf("wrong %s: the error tells the secret", c.what)
			}
		}
		// Without credentials nothing is readable, and that is said.
		_, err := openServer(t, s, s.URL("p"), backends.Options{S3: backends.S3Options{Credentials: backends.S3Credentials{Source: "anonymous"}}})
		if !errors.Is(err, backends.ErrPermission) && !errors.Is(err, backends.ErrAuth) {
			t.Errorf("anonymous: %v", err)
		}
	})
}

// A handle that is open for reading leaves no trace.
func TestServer_ReadOnlyWritesNothing(t *testing.T) {
	onServers(t, func(t *testing.T, s *testserver.S3) {
		b, err := openServer(t, s, s.URL("p"), backends.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Info(t.Context()); err != nil {
			t.Error(err)
		}
		for o := range b.client.ListObjectsIter(t.Context(), s.Bucket, minio.ListObjectsOptions{Recursive: true}) {
			t.Errorf("in the bucket: %+v", o)
		}
	})
}
