package s3

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vaultik/backends"
)

const (
	testID     = "AKIAIOSFODNN7EXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// fake is a server of S3 with one bucket, "bucket", that believes nothing: signatures
// and hashes are computed anew, in the plainest way. Hooks make it misbehave.
type fake struct {
	*httptest.Server
	id, secret, token string
	region            string

	opened atomic.Int64 // connections so far

	mu       sync.Mutex
	objects  map[string][]byte
	requests []*http.Request // all that came, without bodies
	bodies   [][]byte

	before    func(w http.ResponseWriter, r *http.Request) bool // true: answered
	deaf      bool                                              // ignores If-None-Match
	careless  bool                                              // ignores hashes
	silent    bool                                              // does not say that it has checked one
	anonymous bool                                              // wants no signature
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{id: testID, secret: testSecret, region: "us-east-1", objects: map[string][]byte{}}
	f.Server = httptest.NewUnstartedServer(f)
	f.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			f.opened.Add(1)
		}
	}
	f.Start()
	t.Cleanup(f.Close)
	return f
}

// change changes f while it may be serving.
func (f *fake) change(how func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how()
}

// keyFile writes the fake's key as a file of two or three lines.
func (f *fake) keyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	text := f.id + "\n" + f.secret + "\n"
	if f.token != "" {
		text += f.token + "\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// open opens the fake's bucket with a key from a file, perhaps at another endpoint.
func (f *fake) open(t *testing.T, query string, o backends.Options, endpoint ...string) (*Backend, error) {
	t.Helper()
	if o.S3.Credentials.Source == "" {
		o.S3.Credentials = backends.S3Credentials{Source: "file", Path: f.keyFile(t)}
	}
	endpoint = append(endpoint, f.URL)
	return f.openParts(t, "s3://bucket/p?endpoint="+endpoint[0]+query, o, parts{})
}

func (f *fake) openParts(t *testing.T, location string, o backends.Options, p parts) (*Backend, error) {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	b, err := open(t.Context(), u, o, p)
	if err == nil {
		t.Cleanup(func() { _ = b.Close() })
	}
	return b, err
}

func (f *fake) mustOpen(t *testing.T, query string, o backends.Options) *Backend {
	t.Helper()
	b, err := f.open(t, query, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// seen returns the requests since the last call.
func (f *fake) seen() []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.requests
	f.requests, f.bodies = nil, nil
	return r
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests, f.bodies = append(f.requests, r), append(f.bodies, body)
	if f.before != nil && f.before(w, r) {
		return
	}
	if code := f.check(r, body); code != "" {
		refuse(w, http.StatusForbidden, code, "The request is not signed as it should be.")
		return
	}
	bucket, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case bucket != "bucket":
		refuse(w, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	case name == "":
		f.list(w, r)
	case r.Method == http.MethodPut:
		f.put(w, r, name, body)
	case r.Method == http.MethodDelete:
		delete(f.objects, name)
		w.WriteHeader(http.StatusNoContent)
	default:
		f.get(w, r, name)
	}
}

func (f *fake) put(w http.ResponseWriter, r *http.Request, name string, body []byte) {
	sum := sha256.Sum256(body)
	sent := r.Header.Get("X-Amz-Checksum-Sha256")
	_, taken := f.objects[name]
	switch {
	case !f.careless && sent != base64.StdEncoding.EncodeToString(sum[:]):
		refuse(w, http.StatusBadRequest, "BadDigest", "The SHA256 you specified did not match the calculated checksum.")
		return
	case !f.deaf && r.Header.Get("If-None-Match") == "*" && taken:
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
		return
	}
	f.objects[name] = body
	if !f.silent {
		w.Header().Set("X-Amz-Checksum-Sha256", sent)
	}
}

func (f *fake) get(w http.ResponseWriter, r *http.Request, name string) {
	data, ok := f.objects[name]
	if !ok {
		refuse(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
		return
	}
	if sum := sha256.Sum256(data); r.Method == http.MethodHead && !f.silent {
		w.Header().Set("X-Amz-Checksum-Sha256", base64.StdEncoding.EncodeToString(sum[:]))
	}
	http.ServeContent(w, r, "", time.Unix(1e9, 0), bytes.NewReader(data))
}

func (f *fake) list(w http.ResponseWriter, r *http.Request) {
	var names []string
	for name := range f.objects {
		if strings.HasPrefix(name, r.URL.Query().Get("prefix")) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	f.page(w, names, "")
}

// page answers with a list, which goes on if next is not empty.
func (f *fake) page(w http.ResponseWriter, names []string, next string) {
	fmt.Fprintf(w, `<ListBucketResult><IsTruncated>%t</IsTruncated><NextContinuationToken>%s</NextContinuationToken>`, next != "", next)
	for _, name := range names {
		fmt.Fprintf(w, `<Contents><Key>%s</Key><Size>%d</Size><LastModified>2001-09-09T01:46:40.123Z</LastModified></Contents>`, name, len(f.objects[name]))
	}
	fmt.Fprint(w, `</ListBucketResult>`)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)
}

// check returns the error code for a request that is not signed right.
func (f *fake) check(r *http.Request, body []byte) string {
	auth := r.Header.Get("Authorization")
	if f.anonymous {
		if auth != "" {
			return "SignatureDoesNotMatch"
		}
		return ""
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimPrefix(auth, "AWS4-HMAC-SHA256 "), ", ") {
		k, v, _ := strings.Cut(part, "=")
		fields[k] = v
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[0] != f.id {
		return "InvalidAccessKeyId"
	}
	if scope[2] != f.region || !strings.HasPrefix(r.Header.Get("X-Amz-Date"), scope[1]) {
		return "SignatureDoesNotMatch"
	}
	if r.Header.Get("X-Amz-Security-Token") != f.token {
		return "InvalidToken"
	}
	canonical := r.Method + "\n" + r.URL.EscapedPath() + "\n" + strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20") + "\n"
	for name := range strings.SplitSeq(fields["SignedHeaders"], ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		canonical += name + ":" + value + "\n"
	}
	hash := r.Header.Get("X-Amz-Content-Sha256")
	if sum := sha256.Sum256(body); !f.careless && hash != hex.EncodeToString(sum[:]) {
		return "XAmzContentSHA256Mismatch"
	}
	canonical += "\n" + fields["SignedHeaders"] + "\n" + hash
	sum := sha256.Sum256([]byte(canonical))
	key := []byte("AWS4" + f.secret)
	for _, part := range append(scope[1:], "AWS4-HMAC-SHA256\n"+r.Header.Get("X-Amz-Date")+"\n"+strings.Join(scope[1:], "/")+"\n"+hex.EncodeToString(sum[:])) {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	for _, name := range []string{"host", "x-amz-content-sha256", "x-amz-date"} {
		if !slices.Contains(strings.Split(fields["SignedHeaders"], ";"), name) {
			return "AccessDenied"
		}
	}
	if hex.EncodeToString(key) != fields["Signature"] {
		return "SignatureDoesNotMatch"
	}
	return ""
}

// bytesOf returns b as a Source that knows its hash.
func bytesOf(b []byte) backends.Source {
	sum := sha256.Sum256(b)
	return backends.Bytes(b, &sum)
}

func put(ctx context.Context, b *Backend, key, text string) error {
	_, err := b.Put(ctx, key, bytesOf([]byte(text)), backends.PutOptions{})
	return err
}
