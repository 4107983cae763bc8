package s3

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vaultik/backends"
	"vaultik/internal/testcert"
)

// What a server says becomes a kind, a judgement whether to try again, and a text
// for people.
func TestErrors_Answers(t *testing.T) {
	f := newFake(t)
	b := f.mustOpen(t, "", backends.Options{})
	for _, c := range []struct {
		status int
		code   string
		kind   error // nil: none
		retry  bool
	}{
		{404, "NoSuchKey", backends.ErrNotFound, false},
		{404, "NoSuchBucket", backends.ErrContainerNotFound, false},
		{403, "AccessDenied", backends.ErrPermission, false},
		{403, "", backends.ErrPermission, false},
		{403, "InvalidAccessKeyId", backends.ErrAuth, false},
		{403, "SignatureDoesNotMatch", backends.ErrAuth, false},
		{400, "ExpiredToken", backends.ErrToken, false}, // the file has the same one still
		{401, "", backends.ErrAuth, false},
		{400, "InvalidToken", backends.ErrToken, false},
		{403, "RequestTimeTooSkewed", backends.ErrClock, false},
		{409, "ConditionalRequestConflict", nil, true},
		{409, "OperationAborted", nil, true},
		{412, "PreconditionFailed", backends.ErrExists, false},
		{400, "BadDigest", backends.ErrChecksum, true},
		{400, "XAmzContentChecksumMismatch", backends.ErrChecksum, true},
		{400, "XAmzContentSHA256Mismatch", backends.ErrChecksum, true},
		{507, "XMinioStorageFull", backends.ErrNoSpace, false},
		{507, "", backends.ErrNoSpace, false},
		{400, "XMinioAdminBucketQuotaExceeded", backends.ErrNoSpace, false},
		{403, "QuotaExceeded", backends.ErrNoSpace, false},
		{501, "NotImplemented", backends.ErrUnsupported, false},
		{400, "EntityTooLarge", backends.ErrUnsupported, false},
		{400, "InvalidStorageClass", backends.ErrConfig, false},
		{400, "ObjectParentIsFile", backends.ErrInvalidKey, false},
		{503, "SlowDown", nil, true},
		{503, "", nil, true},
		{500, "InternalError", nil, true},
		{502, "", nil, true},
		{429, "", nil, true},
		{408, "RequestTimeout", nil, true},
		{400, "RequestTimeout", nil, true},
		{400, "IncompleteBody", nil, true},
		{400, "MalformedXML", nil, false},
		{418, "", nil, false},
		{503, "html", nil, true},
	} {
		f.before = func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "7")
			switch c.code {
			case "":
				w.WriteHeader(c.status)
			case "html":
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, "<html><body>Try <a href=\"?again\">again</a>!")
			default:
				refuse(w, c.status, c.code, "Some\u009b31m text.")
			}
			return true
		}
		for op, err := range map[string]error{
			"put":    put(t.Context(), b, "h/x", "text"),
			"get":    getError(b.Get(t.Context(), "h/x", 0, -1)),
			"delete": b.Delete(t.Context(), "h/x"),
			"list":   listError(t, b),
		} {
			if op == "delete" && c.code == "NoSuchKey" {
				if err != nil {
					t.Errorf("delete of what is not there: %v", err)
				}
				continue
			}
			what := fmt.Sprintf("%s: %d %s: %v", op, c.status, c.code, err)
			e := (*backends.OpError)(nil)
			switch {
			case !errors.As(err, &e) || e.Op != op || e.Backend != "s3://bucket/p":
				t.Errorf("%s: %#v", what, err)
				continue
			case c.kind != nil && !errors.Is(err, c.kind):
				t.Errorf("%s; want %v", what, c.kind)
			case c.kind == nil && kindOf(err) != nil:
				t.Errorf("%s is %v", what, kindOf(err))
			case e.Retryable != c.retry:
				t.Errorf("%s: retryable %v", what, e.Retryable)
			case c.retry && e.RetryAfter != 7*time.Second || !c.retry && e.RetryAfter != 0:
				t.Errorf("%s: retry after %v", what, e.RetryAfter)
			}
			wantClean(t, f, err)
			if c.code != "" && c.code != "html" && !strings.Contains(err.Error(), c.code) {
				t.Errorf("%s does not name the code", what)
			}
		}
	}
}

var kinds = []error{
	backends.ErrNotFound, backends.ErrContainerNotFound, backends.ErrExists, backends.ErrPermission, backends.ErrReadOnly,
	backends.ErrUnsupported, backends.ErrInvalidRange, backends.ErrAuth, backends.ErrNoSpace, backends.ErrLocked,
	backends.ErrChecksum, backends.ErrInvalidKey, backends.ErrConfig,
}

func kindOf(err error) error {
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}

func getError(_ io.ReadCloser, _ backends.ObjectInfo, err error) error { return err }

func listError(t *testing.T, b *Backend) error {
	t.Helper()
	return b.ListStream(t.Context(), "", func(backends.ObjectInfo) error { return nil })
}

// wantClean checks that a text has neither secrets nor queries nor control characters.
func wantClean(t *testing.T, f *fake, err error) {
	t.Helper()
	for _, bad := range []string{f.secret, "list-type", "x-id", "?", "<", "\u009b", "\x1b", "Signature=", "\n"} {
		if err != nil && strings.Contains(err.Error(), bad) {
			t.Errorf("%q is in %v", bad, err)
		}
	}
}

func TestErrors_Head(t *testing.T) {
	f := newFake(t)
	b := f.mustOpen(t, "", backends.Options{})
	for _, c := range []struct {
		head int    // status without a body
		list string // what listing says, "" for nothing wrong
		want error
	}{
		{404, "", backends.ErrNotFound},
		{404, "NoSuchBucket", backends.ErrContainerNotFound},
		{403, "", backends.ErrPermission},
		{403, "InvalidAccessKeyId", backends.ErrAuth},
		{400, "ExpiredToken", backends.ErrToken},
	} {
		f.before = func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case r.Method == http.MethodHead:
				w.WriteHeader(c.head)
				return true
			case c.list != "":
				refuse(w, 400, c.list, "No.")
				return true
			}
			return false
		}
		if _, err := b.Stat(t.Context(), "x"); !errors.Is(err, c.want) {
			t.Errorf("HEAD says %d, the list %q: %v, want %v", c.head, c.list, err, c.want)
		}
	}
	f.before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	_, err := b.Stat(t.Context(), "x")
	if e := (*backends.OpError)(nil); !errors.As(err, &e) || !e.Retryable || e.RetryAfter != 3*time.Second {
		t.Errorf("HEAD says 503: %#v", err)
	}
}

// A key that is refused may be one that nobody remembers having set.
func TestErrors_Key(t *testing.T) {
	f := newFake(t)
	b := f.mustOpen(t, "", backends.Options{})
	f.before = func(w http.ResponseWriter, _ *http.Request) bool {
		refuse(w, 403, "InvalidAccessKeyId", "No.")
		return true
	}
	want := "(403 InvalidAccessKeyId); the key comes from " + b.signer.source.name()
	if err := put(t.Context(), b, "x", "x"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestErrors_RetryAfter(t *testing.T) {
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, "-5": 0, "soon": 0, "1e3": 0, "99999999999": maxRetryAfter,
		"Wed, 06 May 2026 07:08:39 GMT": 30 * time.Second, "Wed, 06 May 2020 07:08:39 GMT": 0, "Wed, 06 May 2099 07:08:39 GMT": maxRetryAfter,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("Retry-After: %s: %v, want %v", text, got, want)
		}
	}
}

func TestErrors_Clock(t *testing.T) {
	f := newFake(t)
	b, err := f.openParts(t, "s3://bucket/p?endpoint="+f.URL, backends.Options{S3: backends.S3Options{
		Credentials: backends.S3Credentials{Source: "file", Path: f.keyFile(t)},
	}}, parts{now: func() time.Time { return time.Now().Add(-90 * time.Minute) }})
	if err != nil {
		t.Fatal(err)
	}
	if d, ok := b.ClockDifference(); !ok || d < -91*time.Minute || d > -89*time.Minute {
		t.Errorf("clock difference %v, %v", d, ok)
	}
	f.before = func(w http.ResponseWriter, _ *http.Request) bool {
		refuse(w, 403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
		return true
	}
	if err := put(t.Context(), b, "x", "x"); err == nil || !strings.Contains(err.Error(), "the clock of this machine is 1h30m0s behind the server's") &&
		!strings.Contains(err.Error(), "the clock of this machine is 1h29m59s behind the server's") {
		t.Errorf("%v", err)
	}
}

func TestErrors_Region(t *testing.T) {
	f := newFake(t)
	for _, c := range []struct {
		status int
		body   string
		want   string
	}{
		{400, "<Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong</Message><Region>eu-west-3</Region></Error>", "the bucket is in region eu-west-3, not us-east-1; write region=eu-west-3"},
		{301, "<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>", "elsewhere (301 PermanentRedirect); is region=us-east-1 right?"},
	} {
		f.before = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
			return true
		}
		_, err := f.open(t, "", backends.Options{})
		if !errors.Is(err, backends.ErrConfig) || !strings.Contains(err.Error(), c.want) || backends.Retryable(err) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

func TestErrors_Locked(t *testing.T) {
	f := newFake(t)
	b := f.mustOpen(t, "", backends.Options{})
	for code, message := range map[string]string{
		"AccessDenied":   "Access Denied because object protected by object lock.",
		"InvalidRequest": "Object is WORM protected and cannot be overwritten",
		"ObjectLocked":   "no",
	} {
		f.before = func(w http.ResponseWriter, _ *http.Request) bool {
			refuse(w, 400, code, message)
			return true
		}
		if err := b.Delete(t.Context(), "x"); !errors.Is(err, backends.ErrLocked) || errors.Is(err, backends.ErrPermission) || backends.Retryable(err) {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// Outages may pass: every error of the network is one to try again, except those
// that the configuration cures.
func TestErrors_Network(t *testing.T) {
	f := newFake(t)
	b := f.mustOpen(t, "", backends.Options{})
	reset := func(w http.ResponseWriter, _ *http.Request) bool {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return true
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
		return true
	}
	f.change(func() { f.before = reset })
	wantRetry(t, f, "reset", put(t.Context(), b, "x", "x"))
	wantRetry(t, f, "reset", listError(t, b))
	wantRetry(t, f, "reset", getError(b.Get(t.Context(), "x", 0, -1)))
	cut := func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = io.WriteString(w, "<ListBucketResult><Contents><Key>p/")
		return true
	}
	f.change(func() { f.before = cut })
	wantRetry(t, f, "list that is cut off", listError(t, b))
	f.Server.Close()
	wantRetry(t, f, "refused", put(t.Context(), b, "x", "x"))
	_, err := f.open(t, "", backends.Options{})
	wantRetry(t, f, "refused at open", err)
	_, err = f.openParts(t, "s3://bucket/p?endpoint=http://no-such-host.invalid", backends.Options{S3: backends.S3Options{
		Credentials: backends.S3Credentials{Source: "anonymous"},
	}}, parts{})
	wantRetry(t, f, "unknown host", err)
}

func wantRetry(t *testing.T, f *fake, what string, err error) {
	t.Helper()
	if err == nil || !backends.Retryable(err) || kindOf(err) != nil {
		t.Errorf("%s: %v, retryable %v, kind %v", what, err, backends.Retryable(err), kindOf(err))
	}
	wantClean(t, f, err)
}

func TestErrors_TLS(t *testing.T) {
	f := newFake(t)
	ca := testcert.NewCA(t)
	trusted := "&ca_file=" + write(t, filepath.Join(t.TempDir(), "ca.pem"), string(ca.PEM))
	serve := func(cert testcert.Certificate) string {
		server := httptest.NewUnstartedServer(f)
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{cert.Certificate}, MinVersion: tls.VersionTLS12}
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.URL
	}
	good := serve(ca.Issue(t, "127.0.0.1"))
	for what, c := range map[string]struct{ endpoint, want string }{
		"unknown authority": {good, "ca_file=FILE"},
		"expired":           {serve(ca.Expired(t, "127.0.0.1")) + trusted, "a new certificate, or the clock"},
		"another host":      {serve(ca.Issue(t, "other.example.net")) + trusted, "as its certificate does"},
		"TLS to plain HTTP": {strings.Replace(f.URL, "http://", "https://", 1), "write endpoint=http://" + strings.TrimPrefix(f.URL, "http://")},
		"plain HTTP to TLS": {strings.Replace(good, "https://", "http://", 1), "write endpoint=" + good},
	} {
		_, err := f.open(t, "", backends.Options{S3: backends.S3Options{Credentials: backends.S3Credentials{Source: "anonymous"}}}, c.endpoint)
		if !errors.Is(err, backends.ErrConfig) || backends.Retryable(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", what, err, c.want)
		}
	}
	if _, err := f.open(t, "", backends.Options{}, good+trusted); err != nil {
		t.Errorf("a good certificate: %v", err)
	}
}

// A server that is none of S3 is not waited for.
func TestErrors_Website(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<!DOCTYPE html><html><body>Welcome!</html>")
	}))
	defer web.Close()
	u, err := url.Parse("s3://bucket/p?endpoint=" + web.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, err = open(t.Context(), u, backends.Options{S3: backends.S3Options{Credentials: backends.S3Credentials{Source: "anonymous"}}}, parts{})
	if !errors.Is(err, backends.ErrConfig) || !strings.Contains(err.Error(), "does not respond like S3") {
		t.Errorf("%v", err)
	}
}
