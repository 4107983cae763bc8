package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"vaultik/internal/testserver"
	"vaultik/internal/testtree"
)

// policy reads one of docs/policies for a store and its host.
func policy(t *testing.T, name, bucket, host string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../docs/policies", name))
	must(t, err)
	return []byte(strings.NewReplacer("BUCKET", bucket, "PREFIX", "p", "HOST", host).Replace(string(b)))
}

// TestAddOnly: a host that may only add, in a bucket that keeps versions under object lock, by
// the policies of docs/add-only.md. It backs up; a thief of its key removes nothing, and what he
// hides is found.
func TestAddOnly(t *testing.T) {
	s := testserver.MinIO(t, testserver.ObjectLock())
	root, err := s.Client()
	must(t, err)
	mode, days, unit := minio.Compliance, uint(30), minio.Days
	must(t, root.SetBucketObjectLockConfig(t.Context(), s.Bucket, &mode, &days, &unit))

	m := newMachine(t)
	as := func(user *testserver.S3) {
		m.env = []string{"AWS_ACCESS_KEY_ID=" + user.AccessKey, "AWS_SECRET_ACCESS_KEY=" + user.SecretKey}
	}
	as(s)
	m.exits(0, "init", "--store", s.URL("p"))
	key := secretOf(t, m.config("recovery-kit.txt"))
	var id struct{ Host string }
	b, err := os.ReadFile(m.config("host.json"))
	must(t, err)
	must(t, json.Unmarshal(b, &id))

	host := s.User(t, policy(t, "host-minio.json", s.Bucket, id.Host))
	as(host)
	src := filepath.Join(m.root, "src")
	must(t, os.Mkdir(src, 0o700))
	for i := range 10 {
		data := testtree.Bytes(uint64(i), 300_000)
		must(t, os.WriteFile(filepath.Join(src, fmt.Sprint("file", i)), data, 0o600))
		m.exits(0, "backup", src)
	}

	thief, err := host.Client()
	must(t, err)
	shown := map[string][]string{} // names by kind
	for o := range root.ListObjectsIter(t.Context(), s.Bucket, minio.ListObjectsOptions{
		Prefix: "p/h/" + id.Host + "/", Recursive: true, WithVersions: true}) {
		must(t, o.Err)
		if !o.IsLatest {
			t.Errorf("%s has a version that is hidden already", o.Key)
		}
		kind := strings.Split(o.Key, "/")[3]
		shown[kind] = append(shown[kind], o.Key)
	}
	if n := len(shown["m"]); n != 10 {
		t.Fatalf("%d manifests, want 10", n)
	}
	attempts(t, thief, s.Bucket, shown["b"][0])

	// What such a server lets him do: hide an object behind another.
	hidden := []string{shown["b"][0], shown["m"][9], shown["r"][len(shown["r"])-1]}
	for _, name := range hidden {
		text := []byte("not what was here")
		_, err := thief.PutObject(t.Context(), s.Bucket, name, bytes.NewReader(text), int64(len(text)),
			minio.PutObjectOptions{DisableMultipart: true})
		must(t, err)
	}
	// And who may delete hides behind a marker, here all other blobs.
	for _, name := range shown["b"][1:] {
		must(t, root.RemoveObject(t.Context(), s.Bucket, name, minio.RemoveObjectOptions{}))
	}

	as(s.User(t, policy(t, "reader.json", s.Bucket, id.Host)))
	m.key = key
	out := filepath.Join(m.root, "out")
	now := []string{"--config", filepath.Join(m.root, "elsewhere.yaml"), "--store", s.URL("p")}
	l := m.exits(13, append(now, "restore", "latest", "--target", out)...)
	if !strings.Contains(l.stderr, "versions=oldest in the URL") {
		t.Errorf("no way out is named:\n%s", l.stderr)
	}
	then := append([]string(nil), now...)
	then[3] += "&versions=oldest"
	m.exits(0, append(then, "verify", "--read-data")...)
	m.exits(0, append(then, "restore", "latest:"+src, "--target", out)...)
	sameTree(t, src, out)
	m.exits(64, append(then, "snapshot", "pin", "latest")...)
}

// attempts wants all that a thief of the host's key may try with an object to be refused.
func attempts(t *testing.T, thief *minio.Client, bucket, name string) {
	t.Helper()
	ctx := t.Context()
	var version string
	for o := range thief.ListObjectsIter(ctx, bucket, minio.ListObjectsOptions{Prefix: name}) {
		must(t, o.Err)
		version = o.VersionID
	}
	if version == "" {
		version = "null"
	}
	mode, soon := minio.Compliance, time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	only := minio.PutObjectOptions{DisableMultipart: true}
	only.SetMatchETagExcept("*")
	for what, try := range map[string]func() error{
		"put where it is only created": func() error {
			_, err := thief.PutObject(ctx, bucket, name, strings.NewReader("x"), 1, only)
			return err
		},
		"delete": func() error {
			return thief.RemoveObject(ctx, bucket, name, minio.RemoveObjectOptions{})
		},
		"delete the version": func() error {
			return thief.RemoveObject(ctx, bucket, name,
				minio.RemoveObjectOptions{VersionID: version, GovernanceBypass: true})
		},
		"shorten its retention": func() error {
			return thief.PutObjectRetention(ctx, bucket, name, minio.PutObjectRetentionOptions{
				Mode: &mode, RetainUntilDate: &soon, GovernanceBypass: true})
		},
		"shorten the bucket's": func() error {
			return thief.SetBucketObjectLockConfig(ctx, bucket, nil, nil, nil)
		},
		"suspend versions": func() error { return thief.SuspendVersioning(ctx, bucket) },
		"have it expire":   func() error { return thief.SetBucketLifecycle(ctx, bucket, nil) },
		"read a blob": func() error {
			_, err := thief.StatObject(ctx, bucket, name, minio.StatObjectOptions{})
			return err
		},
		"put in another's place": func() error {
			_, err := thief.PutObject(ctx, bucket, "p/trust/0000000002.json.zst",
				strings.NewReader("x"), 1, minio.PutObjectOptions{DisableMultipart: true})
			return err
		},
	} {
		err := try()
		answer := minio.ToErrorResponse(err)
		locked := strings.Contains(answer.Message, "WORM protected")
		if answer.Code != minio.AccessDenied && answer.Code != "PreconditionFailed" && !locked {
			t.Errorf("%s: %v, want it to be refused", what, err)
		}
	}
}

// The policy for Amazon is the one that is tested, and besides allows nothing but to create.
func TestAddOnly_Policies(t *testing.T) {
	var aws, tested struct {
		Version   string
		Statement []map[string]any
	}
	must(t, json.Unmarshal(policy(t, "host-aws.json", "b", "h"), &aws))
	must(t, json.Unmarshal(policy(t, "host-minio.json", "b", "h"), &tested))
	add := aws.Statement[len(aws.Statement)-1]
	if !reflect.DeepEqual(add["Condition"],
		map[string]any{"Null": map[string]any{"s3:if-none-match": "false"}}) {
		t.Errorf("condition %v", add["Condition"])
	}
	delete(add, "Condition")
	if !reflect.DeepEqual(aws, tested) {
		t.Errorf("%v\nis not\n%v", aws, tested)
	}
}
