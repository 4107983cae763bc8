package config

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse_Stores(t *testing.T) {
	t.Setenv("HOME", "/home/u")
	_, r := recipient(t, true)
	head := "storage_url: s3://bucket/prefix?region=eu-1\nage_recipients: [" + r + "]\nhostname: h$$x\n"
	c, err := Parse("c.yaml", []byte(head+`bwlimit: "08:00,512K:10M 18:00,off"
connections: 8
retry: {elapsed: 1h30m, stall: 90s, slow_store: true}
s3:
  endpoint: https://s3.example.org:9000
  region: eu-1
  lookup: path
  ca_file: ~/ca$$1.pem
  storage_class: STANDARD_IA
  lock_mode: governance
  lock_days: 30
  credentials: {source: command, command: [sh, -c, "pass $STORE"]}
rclone:
  config: ~/rclone.conf
  password_command: [pass, show, rclone]
  verify_upload: size
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.StorageURL != "s3://bucket/prefix?region=eu-1" || c.Parallel != 8 || c.BWLimit.String() != "08:00,512K:10M 18:00,off" ||
		c.Retry != (Retry{Elapsed: 90 * time.Minute, Stall: 90 * time.Second, SlowStore: true}) {
		t.Errorf("%+v", c)
	}
	if want := (S3{"https://s3.example.org:9000", "eu-1", "path", "/home/u/ca$1.pem", "STANDARD_IA", "governance", 30,
		S3Credentials{Source: "command", Command: []string{"sh", "-c", "pass $STORE"}}}); !reflect.DeepEqual(c.S3, want) {
		t.Errorf("%+v", c.S3)
	}
	if want := (Rclone{"/home/u/rclone.conf", []string{"pass", "show", "rclone"}, "size"}); !reflect.DeepEqual(c.Rclone, want) {
		t.Errorf("%+v", c.Rclone)
	}
	shown := YAML(c.Settings(Places{Index: "/i"}))
	d, err := Parse("c.yaml", []byte(shown))
	if err != nil {
		t.Fatalf("%v in\n%s", err, shown)
	}
	if again := YAML(d.Settings(Places{Index: "/i"})); again != shown || !reflect.DeepEqual(d.S3, c.S3) || !reflect.DeepEqual(d.Rclone, c.Rclone) || d.Hostname != "h$$x" {
		t.Errorf("first\n%ssecond\n%s", shown, again)
	}

	c, err = Parse("c.yaml", []byte(head+"parallel: 2\nretry: {elapsed: unlimited, stall: off}\n"))
	if err != nil || c.Parallel != 2 || c.Retry != (Retry{Elapsed: -1, Stall: -1}) || !c.BWLimit.Off() {
		t.Errorf("%+v, %v", c, err)
	}
	shown = YAML(c.Settings(Places{Index: "/i"}))
	for _, want := range []string{"bwlimit: \"off\"\n", "connections: 2\n", "retry:\n  elapsed: \"unlimited\"\n  stall: \"off\"\n  slow_store: false\n"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not in\n%s", want, shown)
		}
	}
	if strings.Contains(shown, "parallel") || strings.Contains(shown, "s3:\n") || strings.Contains(shown, "rclone:\n") {
		t.Errorf("shows what is not set:\n%s", shown)
	}
	if c, err = Parse("c.yaml", []byte(head)); err != nil || c.Retry != (Retry{Elapsed: 15 * time.Minute, Stall: 5 * time.Minute}) {
		t.Errorf("%+v, %v", c.Retry, err)
	}
}

func TestParse_StoresRefused(t *testing.T) {
	_, r := recipient(t, true)
	ok := "storage_url: /s\nage_recipients: [" + r + "]\n"
	for _, c := range []struct{ text, want string }{
		{"bwlimit: 2\n", `c.yaml:3: bwlimit: "2" has no unit`},
		{"bwlimit: 2M 3M\n", `is not a limit`},
		{"bwlimt: 2M\n", `did you mean "bwlimit"?`},
		{"connections: 0\n", "connections: 0 is outside 1 to 64"},
		{"connections: 2\nparallel: 2\n", "c.yaml:4: connections and parallel are two names for one setting"},
		{"parallel: 2\nconnections: 2\n", "c.yaml:4: connections and parallel are two names for one setting"},
		{"retry: 5m\n", "retry must be `key: value` lines"},
		{"retry: {elapsd: 5m}\n", `unknown key "elapsd" in retry; did you mean "elapsed"?`},
		{"retry: {elapsed: 5}\n", `retry: elapsed: "5" is not a duration; write it like 90s, 15m, 1h30m, or unlimited`},
		{"retry: {elapsed: 0s}\n", "retry: elapsed: 0s is outside 1s to 720h; for no limit write unlimited"},
		{"retry: {elapsed: off}\n", "is not a duration"},
		{"retry: {stall: 1s}\n", "retry: stall: 1s is outside 10s to 720h; for no limit write off"},
		{"s3: {endpoint: s3.example.org}\n", "s3: endpoint must be a URL such as https://"},
		{"s3: {endpoint: 'https://u:hunter2@h'}\n", "s3: endpoint contains a user name or a password"},
		{"s3: {endpoint: 'https://h/bucket'}\n", "bucket and prefix belong in storage_url"},
		{"s3: {lookup: paht}\n", `s3: lookup: "paht" is not known; did you mean "path"?`},
		{"s3: {ca_file: ca.pem}\n", `s3: ca_file: "ca.pem" is not an absolute path`},
		{"s3: {lock_mode: governance}\n", "lock_mode and lock_days belong together"},
		{"s3: {lock_days: 3}\n", "lock_mode and lock_days belong together"},
		{"s3: {lock_mode: legal, lock_days: 3}\n", "known: governance, compliance"},
		{"s3: {secret_key: hunter2}\n", `unknown key "secret_key" in s3; no secret belongs in this file`},
		{"s3: {credentials: {source: file}}\n", "source file needs path"},
		{"s3: {credentials: {source: command}}\n", "source command needs command"},
		{"s3: {credentials: {source: command, command: pass}}\n", "must be a list"},
		{"s3: {credentials: {path: /x}}\n", "path needs source file or profile"},
		{"s3: {credentials: {source: env, profile: x}}\n", "profile needs source profile"},
		{"s3: {credentials: {source: env, command: [x]}}\n", "command needs source command"},
		{"s3: {credentials: {source: inline}}\n", `"inline" is not known`},
		{"rclone: {verify_upload: none}\n", "known: hash, size"},
		{"rclone: {password: hunter2}\n", "no secret belongs in this file"},
	} {
		got, err := Parse("c.yaml", []byte(ok+c.text))
		if err == nil {
			t.Errorf("%s: no error: %+v", c.text, got)
		} else if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %s", c.text, err, c.want)
		}
	}
}

func TestStoreURL(t *testing.T) {
	t.Setenv("HOME", "/home/u")
	t.Chdir("/")
	for _, c := range []struct{ in, want string }{
		{"/srv/b", "file:///srv/b"}, {"srv/../b", "file:///b"}, {"~/b", "file:///home/u/b"}, {"x y", "file:///x%20y"}, {"./a:b", "file:///a:b"}, {"/a b/c:d", "file:///a%20b/c:d"},
		{"file:///srv/b", "file:///srv/b"}, {"file:/srv/b", "file:/srv/b"},
		{"s3://bucket", "s3://bucket"}, {"s3://bucket/a/b?endpoint=https://h:9000&region=x&credentials=profile", "s3://bucket/a/b?endpoint=https://h:9000&region=x&credentials=profile"},
		{"ftp://h/x", "ftp://h/x"}, {"rclone://remote/a/b", "rclone://remote/a/b"}, {"rclone://remote", "rclone://remote"},
	} {
		if got, err := StoreURL(c.in); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.in, got, err, c.want)
		}
	}
	for _, c := range []struct{ in, want string }{
		{"", "is empty"}, {"~bob/x", "not another user's home"},
		{"sftp://u:hunter2@h/x", "contains a user name or a password"},
		{"s4://b", `did you mean "s3"?`}, {"flie:///x", `did you mean "file"?`}, {"rclnoe://x", `did you mean "rclone"?`},
		{"gdrive:backup/x", `for the rclone remote write rclone://gdrive/backup/x, for a path ./gdrive:backup/x`},
		{"s3:bucket/x", "for the bucket write s3://bucket/x"}, {"s3:/bucket", "write s3://bucket"},
		{"user:hunter2@h", "neither a URL nor clearly a path"},
		{"s3:///x", "names no bucket; write s3://BUCKET/PREFIX"}, {"rclone:///x", "names no remote; write rclone://REMOTE/PATH"},
		{"s3://AKIA:hunter2@bucket/x", "contains a user name or a password; remove them: the key of S3 comes from"},
		{"rclone://u:hunter2@r/x", "rclone keeps them"}, {"file://u:hunter2@/x", "a directory needs none"},
		{"s3://bucket/x?secret_access_key=hunter2", `contains a secret, "secret_access_key"; remove it`},
		{"s3://bucket/x?AccessKey=hunter2", `contains a secret, "AccessKey"`},
		{"s3://bucket/hunter2%zz", "malformed URL"}, {"s3://[hunter2", "malformed URL"},
	} {
		got, err := StoreURL(c.in)
		if err == nil {
			t.Errorf("%q is taken for %q", c.in, got)
		} else if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, want %s", c.in, err, c.want)
		}
	}
}
