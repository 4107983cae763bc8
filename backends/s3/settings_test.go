package s3

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"vaultik/backends"
)

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		url     string
		o       backends.S3Options
		bucket  string
		prefix  string
		end     string
		region  string
		dns     bool
		lockFor int
	}{
		{url: "s3://bucket", bucket: "bucket", end: "https://s3.amazonaws.com"},
		{url: "s3://my.bucket-1/a/b%20c/%C3%A9/", bucket: "my.bucket-1", prefix: "a/b c/é/", end: "https://s3.amazonaws.com"},
		{url: "s3://bucket//a//?endpoint=http://h:9000/", bucket: "bucket", prefix: "a/", end: "http://h:9000"},
		{url: "s3://bucket?endpoint=https://[::1]:9000&region=r-1&lookup=path", bucket: "bucket", end: "https://[::1]:9000", region: "r-1"},
		{url: "s3://bucket?endpoint=https://s3.eu-west-1.amazonaws.com", bucket: "bucket", end: "https://s3.eu-west-1.amazonaws.com", region: "eu-west-1"},
		{url: "s3://bucket?lock=governance&lock_days=30", bucket: "bucket", end: "https://s3.amazonaws.com", lockFor: 30},
		{ // what the URL says wins
			url: "s3://bucket?region=url", o: backends.S3Options{Region: "option", Endpoint: "http://h", Lookup: "dns", LockMode: "compliance", LockDays: 2},
			bucket: "bucket", end: "http://h", region: "url", dns: true, lockFor: 2,
		},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		s, err := parseSettings(u, c.o)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if s.bucket != c.bucket || s.prefix != c.prefix || s.endpoint.String() != c.end || s.region != c.region || (s.lookup == 1) != c.dns || s.lockDays != c.lockFor {
			t.Errorf("%s: %+v", c.url, s)
		}
	}
}

func TestSettings_Credentials(t *testing.T) {
	file := backends.S3Credentials{Source: "file", Path: "/key"}
	profile := backends.S3Credentials{Source: "profile", Path: "/aws", Profile: "a"}
	for _, c := range []struct {
		query string
		o     backends.S3Credentials
		want  backends.S3Credentials
	}{
		{"", file, file},
		{"credentials=file", file, file},
		{"credentials=env", file, backends.S3Credentials{Source: "env"}},
		{"credentials=profile", profile, profile},
		{"profile=b", profile, backends.S3Credentials{Source: "profile", Path: "/aws", Profile: "b"}},
		{"profile=b", file, backends.S3Credentials{Source: "profile", Profile: "b"}},
		{"profile=b&credentials=profile", file, backends.S3Credentials{Source: "profile", Profile: "b"}},
	} {
		s, err := parseSettings(&url.URL{Host: "bucket", RawQuery: c.query}, backends.S3Options{Credentials: c.o})
		if err != nil || !reflect.DeepEqual(s.creds, c.want) {
			t.Errorf("%+v and %q: %+v, %v; want %+v", c.o, c.query, s, err, c.want)
		}
	}
}

func TestSettings_Refused(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ url, want string }{
		{"s3://key:hidden@bucket/p", "user information"},
		{"s3://hidden@bucket/p", "user information"},
		{"s3:///p", "no bucket"},
		{"s3://host:9000/bucket", "s3://BUCKET/PREFIX?endpoint="},
		{"s3://b", "bucket"},
		{"s3://-bucket", "bucket"},
		{"s3://bucket/a/../b", "prefix"},
		{"s3://bucket/a//b", "prefix"},
		{"s3://bucket/./b", "prefix"},
		{"s3://bucket/%ff", "prefix"},
		{"s3://bucket/" + strings.Repeat("p/", 400), "at most"},
		{"s3://bucket/p#x", "fragment"},
		{"s3://bucket/p?secret_key=hidden", `unknown parameter "secret_key"`},
		{"s3://bucket/p?region=a&region=hidden", "more than once"},
		{"s3://bucket/p?region=hid%20den", "region may contain only"},
		{"s3://bucket/p?storage_class=hid%0Aden", "storage_class may contain only"},
		{"s3://bucket/p?%zz=hidden", "malformed query"},
		{"s3://bucket/p?endpoint=hidden.example.net", "https:// or http://"},
		{"s3://bucket/p?endpoint=ftp://hidden", "https:// or http://"},
		{"s3://bucket/p?endpoint=https://k:hidden@h", "user information"},
		{"s3://bucket/p?endpoint=https://h/hidden", "only a host and a port"},
		{"s3://bucket/p?endpoint=https://h?hidden=1", "only a host and a port"},
		{"s3://bucket/p?endpoint=https://", "no host"},
		{"s3://bucket/p?endpoint=https://%2500hidden", "malformed endpoint"},
		{"s3://bucket/p?lookup=hidden", "auto, path or dns"},
		{"s3://bucket/p?lookup=dns&endpoint=http://127.0.0.1:1", "an endpoint with a name"},
		{"s3://bucket/p?lock=hidden&lock_days=3", "governance or compliance"},
		{"s3://bucket/p?lock=governance", "lock needs lock_days"},
		{"s3://bucket/p?lock=governance&lock_days=-1", "lock needs lock_days"},
		{"s3://bucket/p?lock=governance&lock_days=hidden", "not a number"},
		{"s3://bucket/p?lock_days=3", "lock_days without lock"},
		{"s3://bucket/p?credentials=hidden", "must be env, file"},
		{"s3://bucket/p?credentials=file", "need its name"},
		{"s3://bucket/p?credentials=env&profile=hidden", "profile needs credentials=profile"},
		{"s3://bucket/p?credentials=command", "need one"},
		{"s3://bucket/p?ca_file=" + filepath.Join(dir, "none"), "ca_file"},
		{"s3://bucket/p?ca_file=" + empty, "no certificate"},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		_, err = open(t.Context(), u, backends.Options{}, parts{})
		var op *backends.OpError
		if !errors.Is(err, backends.ErrConfig) || !errors.As(err, &op) || op.Retryable || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.url, err, c.want)
			continue
		}
		if strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), "?") && !strings.Contains(c.want, "?") {
			t.Errorf("%s: the error tells a value: %v", c.url, err)
		}
	}
}
