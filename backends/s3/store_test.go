package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vaultik/backends"
)

// methods lists requests as "PUT name".
func methods(requests []*http.Request) []string {
	var out []string
	for _, r := range requests {
		name := strings.TrimPrefix(r.URL.Path, "/bucket/")
		if r.URL.Query().Has("list-type") {
			name = "?" + r.URL.Query().Get("prefix")
		}
		out = append(out, r.Method+" "+name)
	}
	return out
}

func wantMethods(t *testing.T, f *fake, want ...string) {
	t.Helper()
	if got := methods(f.seen()); !slices.Equal(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
}

func TestPut_Request(t *testing.T) {
	f := newFake(t)
	now := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	b, err := f.openParts(t, "s3://bucket/a%20b/?endpoint="+f.URL+"&storage_class=STANDARD_IA", backends.Options{ReadOnly: false, S3: backends.S3Options{
		Credentials: backends.S3Credentials{Source: "file", Path: f.keyFile(t)},
	}}, parts{now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	wantMethods(t, f, "GET ?a b/")
	b.settings.lock, b.settings.lockDays = "COMPLIANCE", 30
	data := bytes.Repeat([]byte("0123456789abcdef"), 65536) // 1 MiB
	sum := sha256.Sum256(data)
	info, err := b.Put(t.Context(), "h/x", bytesOf(data), backends.PutOptions{})
	if err != nil || info.Size != 1<<20 || !bytes.Equal(info.SHA256, sum[:]) {
		t.Fatalf("%+v, %v", info, err)
	}
	r := f.seen()[0]
	for name, want := range map[string]string{
		"X-Amz-Checksum-Sha256": base64.StdEncoding.EncodeToString(sum[:]), "X-Amz-Content-Sha256": hex.EncodeToString(sum[:]),
		"X-Amz-Storage-Class": "STANDARD_IA", "X-Amz-Object-Lock-Mode": "COMPLIANCE", "X-Amz-Object-Lock-Retain-Until-Date": "2026-04-03T05:06:07Z",
		"Expect": "100-continue", "User-Agent": "vaultik", "Content-Md5": "", "Content-Encoding": "", "If-None-Match": "", "X-Amz-Trailer": "",
		"Content-Type": "application/octet-stream",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if r.URL.EscapedPath() != "/bucket/a%20b/h/x" || r.ContentLength != 1<<20 {
		t.Errorf("PUT %s of %d bytes", r.URL.EscapedPath(), r.ContentLength)
	}
	if err := put(t.Context(), b, "h/y", "small"); err != nil {
		t.Fatal(err)
	}
	if r := f.seen()[0]; r.Header.Get("Expect") != "" {
		t.Error("a small body is announced")
	}
}

// A server that says nothing of the hash is asked what it has.
func TestPut_SilentServer(t *testing.T) {
	f := newFake(t)
	f.silent = true
	b := f.mustOpen(t, "", backends.Options{})
	f.seen()
	if err := put(t.Context(), b, "x", "text"); err != nil {
		t.Fatal(err)
	}
	wantMethods(t, f, "PUT p/x", "HEAD p/x")
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			f.objects["p/y"] = []byte("te")
			return true
		}
		return false
	}
	if err := put(t.Context(), b, "y", "text"); !errors.Is(err, backends.ErrChecksum) || !backends.Retryable(err) {
		t.Errorf("the server has 2 bytes of 4: %v", err)
	}
}

func TestPut_WrongHash(t *testing.T) {
	f := newFake(t)
	b := f.mustOpen(t, "", backends.Options{})
	if err := put(t.Context(), b, "x", "old"); err != nil {
		t.Fatal(err)
	}
	other := sha256.Sum256([]byte("other"))
	_, err := b.Put(t.Context(), "x", backends.Bytes([]byte("new"), &other), backends.PutOptions{})
	if !errors.Is(err, backends.ErrChecksum) || !backends.Retryable(err) || string(f.objects["p/x"]) != "old" {
		t.Errorf("%v, the object is %q", err, f.objects["p/x"])
	}
}

// zeros is a large source that takes no memory.
type zeros struct{ size, read int64 }

func (z *zeros) Size() int64                      { return z.size }
func (z *zeros) SHA256() []byte                   { return nil }
func (z *zeros) Open() (io.ReadSeekCloser, error) { return &zeroReader{z: z, left: z.size}, nil }

type zeroReader struct {
	z    *zeros
	left int64
}

func (r *zeroReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), r.left))
	clear(p[:n])
	r.left -= int64(n)
	r.z.read += int64(n)
	return n, nil
}
func (r *zeroReader) Seek(int64, int) (int64, error) { return 0, errors.ErrUnsupported }
func (r *zeroReader) Close() error                   { return nil }

// Memory does not grow with the object, neither to store nor to read it.
func TestMemory_Bounded(t *testing.T) {
	const size = 128 << 20
	var got atomic.Int64
	f := newFake(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Has("list-type"):
			f.page(w, nil, "")
		case r.Method == http.MethodPut:
			n, _ := io.Copy(io.Discard, r.Body)
			got.Store(n)
			w.Header().Set("X-Amz-Checksum-Sha256", r.Header.Get("X-Amz-Checksum-Sha256"))
		default:
			w.Header().Set("Last-Modified", time.Unix(1e9, 0).UTC().Format(http.TimeFormat))
			w.Header().Set("Content-Length", fmt.Sprint(size))
			_, _ = io.Copy(w, io.LimitReader(zeroes{}, size))
		}
	}))
	defer server.Close()
	b, err := f.openParts(t, "s3://bucket/p?endpoint="+server.URL, backends.Options{S3: backends.S3Options{
		Credentials: backends.S3Credentials{Source: "anonymous"},
	}}, parts{})
	if err != nil {
		t.Fatal(err)
	}
	allocated := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.TotalAlloc
	}
	before := allocated()
	if _, err := b.Put(t.Context(), "x", &zeros{size: size}, backends.PutOptions{}); err != nil || got.Load() != size {
		t.Fatalf("%d bytes stored, %v", got.Load(), err)
	}
	r, _, err := b.Get(t.Context(), "x", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r); err != nil || n != size {
		t.Fatalf("%d bytes read, %v", n, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if took := allocated() - before; took > 4<<20 {
		t.Errorf("%d bytes of memory for both sides of %d each way", took, size)
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A server that will not have an object says so before the object is sent, and is heard.
func TestPut_RefusedEarly(t *testing.T) {
	f := newFake(t)
	early := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			refuse(w, 403, "AccessDenied", "Access Denied.") // without having read any of the body
			return
		}
		f.ServeHTTP(w, r)
	}))
	defer early.Close()
	b, err := f.openParts(t, "s3://bucket/p?endpoint="+early.URL, backends.Options{S3: backends.S3Options{
		Credentials: backends.S3Credentials{Source: "file", Path: f.keyFile(t)},
	}}, parts{})
	if err != nil {
		t.Fatal(err)
	}
	src := &zeros{size: 64 << 20}
	if _, err := b.Put(t.Context(), "x", src, backends.PutOptions{}); !errors.Is(err, backends.ErrPermission) {
		t.Errorf("%v, want ErrPermission", err)
	}
	if src.read > src.size+512<<10 { // once for the hash, and what was in a buffer
		t.Errorf("%d bytes of the source were read for nothing", src.read-src.size)
	}
}

func TestProbe(t *testing.T) {
	f := newFake(t)
	wantCan := func(o backends.Options, conditional, checksum bool, requests ...string) {
		t.Helper()
		b := f.mustOpen(t, "", o)
		f.seen()
		for range 2 {
			info, err := b.Info(t.Context())
			if err != nil || info.ConditionalPut != conditional || info.ServerChecksum != checksum {
				t.Errorf("%+v, %v; want conditional put %v, checksum %v", info, err, conditional, checksum)
			}
		}
		wantMethods(t, f, requests...) // the second time nothing is asked
	}
	readOnly := backends.Options{ReadOnly: true}
	wantCan(readOnly, false, false, "HEAD p/.probe", "GET ?p/.probe") // nobody has tried
	wantCan(backends.Options{}, true, true, "PUT p/.probe", "PUT p/.probe", "PUT p/.probe")
	wantCan(backends.Options{}, true, true, "PUT p/.probe", "PUT p/.probe")
	wantCan(readOnly, true, true, "HEAD p/.probe")
	if got := string(f.objects["p/.probe"]); got != string(probeText) {
		t.Errorf("the probe holds %q", got)
	}
	b := f.mustOpen(t, "", backends.Options{})
	if list, err := backends.List(t.Context(), b, ""); err != nil || len(list) != 0 {
		t.Errorf("the probe is listed: %v, %v", list, err)
	}

	clear(f.objects)
	f.deaf = true
	wantCan(backends.Options{}, false, true, "PUT p/.probe", "PUT p/.probe", "DELETE p/.probe", "PUT p/.probe")
	wantCan(readOnly, false, false, "HEAD p/.probe", "GET ?p/.probe")
	b = f.mustOpen(t, "", backends.Options{})
	if _, err := b.Put(t.Context(), "x", bytesOf(nil), backends.PutOptions{IfAbsent: true}); !errors.Is(err, backends.ErrUnsupported) || f.objects["p/x"] != nil {
		t.Errorf("create if absent without If-None-Match: %v", err)
	}
	f.careless, f.silent = true, true
	clear(f.objects)
	wantCan(backends.Options{}, false, false, "PUT p/.probe", "HEAD p/.probe", "PUT p/.probe", "HEAD p/.probe", "DELETE p/.probe", "PUT p/.probe", "HEAD p/.probe")

	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			refuse(w, 403, "AccessDenied", "Access Denied.")
		}
		return r.Method == http.MethodPut
	}
	wantCan(backends.Options{}, false, false, "PUT p/.probe", "PUT p/.probe")
}

// What could not be found out is asked again.
func TestProbe_Outage(t *testing.T) {
	f := newFake(t)
	b := f.mustOpen(t, "", backends.Options{})
	f.before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "9")
		refuse(w, 503, "SlowDown", "Later.")
		return true
	}
	_, err := b.Info(t.Context())
	wantRetry(t, f, "Info", err)
	_, err = b.Put(t.Context(), "x", bytesOf(nil), backends.PutOptions{IfAbsent: true})
	if op := (*backends.OpError)(nil); !errors.As(err, &op) || op.Op != "put" || op.Key != "x" || !op.Retryable || op.RetryAfter != 9*time.Second {
		t.Errorf("Put if absent: %#v", err)
	}
	f.before = nil
	if info, err := b.Info(t.Context()); err != nil || !info.ConditionalPut {
		t.Errorf("after the outage: %+v, %v", info, err)
	}
}

func TestGet_Lies(t *testing.T) {
	f := newFake(t)
	b := f.mustOpen(t, "", backends.Options{})
	f.objects["p/x"] = []byte("0123456789")
	answer := func(status int, header map[string]string, body string) {
		f.before = func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Last-Modified", time.Unix(1e9, 0).UTC().Format(http.TimeFormat))
			for k, v := range header {
				w.Header().Set(k, v)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	answer(200, nil, "0123456789")
	for _, c := range []struct {
		off, n int64
		want   string
	}{{5, 3, "567"}, {0, 2, "01"}, {9, 1, "9"}, {7, -1, "789"}} {
		got, err := backends.ReadRange(t.Context(), b, "x", c.off, c.n, nil)
		if err != nil || string(got) != c.want {
			t.Errorf("%d bytes from %d, while the server ignores Range: %q, %v", c.n, c.off, got, err)
		}
	}
	if _, err := b.ReadRange(t.Context(), "x", make([]byte, 3), 8); !errors.Is(err, backends.ErrInvalidRange) {
		t.Errorf("past the end, while the server ignores Range: %v", err)
	}
	if !b.noRanges.Load() {
		t.Error("it went unnoticed that the server ignores Range")
	}
	answer(206, map[string]string{"Content-Range": "bytes 4-6/10"}, "456")
	if _, _, err := b.Get(t.Context(), "x", 5, 3); err == nil || !backends.Retryable(err) {
		t.Errorf("the server sends another range: %v", err)
	}
	answer(206, map[string]string{"Content-Range": "bytes 5-7/10", "Content-Length": "2"}, "56")
	_, err := b.ReadRange(t.Context(), "x", make([]byte, 3), 5)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !backends.Retryable(err) {
		t.Errorf("the server sends less than the range: %v", err)
	}
	answer(200, map[string]string{"Content-Length": "10"}, "01234")
	if _, err := backends.ReadRange(t.Context(), b, "x", 0, -1, nil); !errors.Is(err, io.ErrUnexpectedEOF) || !backends.Retryable(err) {
		t.Errorf("the answer is cut off: %v", err)
	}
	answer(206, map[string]string{"Content-Range": "bytes 5-9/10"}, "56789")
	if _, err := b.ReadRange(t.Context(), "x", make([]byte, 7), 5); !errors.Is(err, backends.ErrInvalidRange) || backends.Retryable(err) {
		t.Errorf("a range over the end: %v", err)
	}
}

func TestList_Lies(t *testing.T) {
	f := newFake(t)
	b := f.mustOpen(t, "", backends.Options{})
	for what, pages := range map[string][][]string{
		"the same page for ever": {{"p/a", "p/b"}, {"p/a", "p/b"}},
		"not sorted, for ever":   {{"p/b", "p/a"}},
		"not sorted later":       {{"p/b", "p/c"}, {"p/a"}},
		"one name for ever":      {{"p/a"}},
		"a page twice":           {{"p/a"}, {"p/a", "p/b"}},
	} {
		n := 0
		f.before = func(w http.ResponseWriter, _ *http.Request) bool {
			f.page(w, pages[min(n, len(pages)-1)], "more")
			n++
			return true
		}
		if err := listError(t, b); err == nil || backends.Retryable(err) || n > 3 {
			t.Errorf("%s: %v after %d pages", what, err, n)
		}
	}
	// A name that comes twice, and then others, is told once.
	f.before = func(w http.ResponseWriter, _ *http.Request) bool {
		f.page(w, []string{"p/a", "p/a", "p/b", "p/b"}, "")
		return true
	}
	var once []string
	if err := b.ListStream(t.Context(), "", func(o backends.ObjectInfo) error { once = append(once, o.Key); return nil }); err != nil || !slices.Equal(once, []string{"a", "b"}) {
		t.Errorf("names that come twice: %q, %v", once, err)
	}
	f.before = nil
	for _, name := range []string{"p/", "p/A", "p/.hidden", "p/a//b", "p/ok", "p/ok/../x", "q/other", "p", "p/zz/1"} {
		f.objects[name] = []byte("x")
	}
	var got []string
	err := b.ListStream(t.Context(), "", func(o backends.ObjectInfo) error {
		got = append(got, o.Key)
		if !o.ModTime.Equal(time.Unix(1e9, 0)) || o.Size != 1 {
			t.Errorf("%+v", o)
		}
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"ok", "zz/1"}) {
		t.Errorf("%q, %v", got, err)
	}
}

// Servers over a file system answer 500 to the deletion of a directory.
func TestDelete_ServerFails(t *testing.T) {
	f := newFake(t)
	b := f.mustOpen(t, "", backends.Options{})
	f.objects["p/there"] = []byte("x")
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete {
			refuse(w, 500, "InternalError", "Internal Error")
		}
		return r.Method == http.MethodDelete
	}
	if err := b.Delete(t.Context(), "gone"); err != nil {
		t.Errorf("what is not there: %v", err)
	}
	wantRetry(t, f, "what is there", b.Delete(t.Context(), "there"))
}

// The name of the bucket is part of the host, or of the path.
// What the answer to a deletion of many says of each object counts, and what it does not say
// was not deleted.
func TestDeleteBatch_Answers(t *testing.T) {
	answer := func(text string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				_, _ = io.WriteString(w, "<DeleteResult>"+text+"</DeleteResult>")
			}
			return r.Method == http.MethodPost
		}
	}
	deleted := func(key string) string { return "<Deleted><Key>p/" + key + "</Key></Deleted>" }
	failed := func(key, code, text string) string {
		return "<Error><Key>p/" + key + "</Key><Code>" + code + "</Code><Message>" + text +
			"</Message></Error>"
	}
	keys := []string{"a", "b", "c"}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request) bool
		failed string // keys, those to try again with a +
		kind   error  // of the first
		whole  bool   // the error is of all
	}{
		"all":     {answer: answer(deleted("a") + deleted("b") + deleted("c"))},
		"silent":  {answer: answer(deleted("a") + deleted("c")), failed: "b", kind: errUndeleted},
		"nothing": {answer: answer(""), failed: "abc", kind: errUndeleted},
		"strangers": {answer: answer(deleted("x") + deleted("a") + failed("y", "AccessDenied", "no") +
			deleted("b")), failed: "c", kind: errUndeleted},
		"gone": {answer: answer(deleted("a") + failed("b", "NoSuchKey", "") + deleted("c"))},
		"locked": {answer: answer(deleted("a") + failed("b", "AccessDenied",
			"Access Denied because object protected by object lock.") + deleted("c")),
			failed: "b", kind: backends.ErrLocked},
		"refused": {answer: answer(failed("a", "AccessDenied", "no") + deleted("b") +
			failed("c", "InternalError", "later")), failed: "ac+", kind: backends.ErrPermission},
		"garbled": {answer: answer("<Deleted"), whole: true},
		"down": {answer: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				refuse(w, http.StatusServiceUnavailable, "SlowDown", "Reduce your request rate.")
			}
			return r.Method == http.MethodPost
		}, whole: true},
	} {
		f := newFake(t)
		b := f.mustOpen(t, "", backends.Options{})
		f.change(func() { f.before = c.answer })
		err := b.DeleteBatch(t.Context(), keys)
		got, batch := "", (*backends.BatchError)(nil)
		for _, op := range backends.FailedOf(err) {
			if got += op.Key; op.Retryable {
				got += "+"
			}
		}
		if errors.As(err, &batch); got != c.failed || (err != nil) != (c.failed != "" || c.whole) ||
			batch != nil && !errors.Is(batch.Failed[0], c.kind) {
			t.Errorf("%s: %q failed, %v; want %q", name, got, err, c.failed)
		}
		if c.whole && !backends.Retryable(err) {
			t.Errorf("%s: %v, want to try again", name, err)
		}
	}
}

// What a bucket keeps of deleted objects is asked for; what a server does not say, or this key
// may not know, counts as not kept, and an answer that never came is asked for again.
func TestKeeps(t *testing.T) {
	xml := func(status int, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	rule := func(length string) string {
		return "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>" +
			"<Mode>GOVERNANCE</Mode>" + length + "</DefaultRetention></Rule></ObjectLockConfiguration>"
	}
	const versions = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		versions, lock func(http.ResponseWriter)
		want           backends.Keeping
		again          bool
	}{
		"neither": {xml(200, "<VersioningConfiguration/>"),
			xml(404, "<Error><Code>ObjectLockConfigurationNotFoundError</Code></Error>"), backends.Keeping{}, false},
		"suspended": {xml(200, strings.Replace(versions, "Enabled", "Suspended", 1)),
			xml(404, ""), backends.Keeping{}, false},
		"days":      {xml(200, versions), xml(200, rule("<Days>30</Days>")), backends.Keeping{Versions: true, Lock: 30 * day}, false},
		"years":     {xml(200, versions), xml(200, rule("<Years>2</Years>")), backends.Keeping{Versions: true, Lock: 730 * day}, false},
		"may not":   {xml(403, "<Error><Code>AccessDenied</Code></Error>"), xml(403, "<Error><Code>AccessDenied</Code></Error>"), backends.Keeping{}, false},
		"no such":   {xml(501, ""), xml(501, ""), backends.Keeping{}, false},
		"down":      {xml(503, "<Error><Code>SlowDown</Code></Error>"), xml(404, ""), backends.Keeping{}, true},
		"then down": {xml(200, versions), xml(503, "<Error><Code>SlowDown</Code></Error>"), backends.Keeping{}, true},
	} {
		f := newFake(t)
		b := f.mustOpen(t, "", backends.Options{})
		f.change(func() {
			f.before = func(w http.ResponseWriter, r *http.Request) bool {
				q := r.URL.Query()
				switch {
				case q.Has("versioning"):
					c.versions(w)
				case q.Has("object-lock"):
					c.lock(w)
				default:
					return false
				}
				return true
			}
		})
		k, err := backends.Keeps(t.Context(), b)
		if backends.Retryable(err) != c.again || (err != nil) != c.again || err == nil && k != c.want {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
	}
}

// A server that has no such request is asked once; then each object is deleted by itself.
func TestDeleteBatch_Unknown(t *testing.T) {
	f := newFake(t)
	b := f.mustOpen(t, "", backends.Options{})
	f.change(func() {
		f.objects["p/a"], f.objects["p/b"], f.objects["p/c"] = []byte("1"), []byte("2"), []byte("3")
		f.before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				refuse(w, http.StatusNotImplemented, "NotImplemented", "A header you provided "+
					"implies functionality that is not implemented.")
			}
			return r.Method == http.MethodPost
		}
	})
	for _, keys := range [][]string{{"a", "b"}, {"c"}} {
		if err := backends.DeleteAll(t.Context(), b, keys); err != nil {
			t.Errorf("delete %q: %v", keys, err)
		}
	}
	posts := 0
	for _, r := range f.seen() {
		if r.Method == http.MethodPost {
			posts++
		}
	}
	if len(f.objects) != 0 || posts != 1 {
		t.Errorf("%d objects left, %d times asked for what the server cannot do", len(f.objects), posts)
	}
}

func TestLookup(t *testing.T) {
	f := newFake(t)
	for _, c := range []struct{ query, host, path string }{
		{"endpoint=http://s3.example.test&lookup=dns", "bucket.s3.example.test", "/p/x"},
		{"endpoint=http://s3.example.test:9000", "s3.example.test:9000", "/bucket/p/x"},
		{"endpoint=http://s3.eu-west-1.amazonaws.com", "bucket.s3.dualstack.eu-west-1.amazonaws.com", "/p/x"},
		{"endpoint=http://s3.eu-west-1.amazonaws.com&lookup=path", "s3.dualstack.eu-west-1.amazonaws.com", "/bucket/p/x"},
	} {
		f.region = "us-east-1"
		if strings.Contains(c.query, "eu-west-1") {
			f.region = "eu-west-1" // from the endpoint
		}
		f.before = func(w http.ResponseWriter, r *http.Request) bool {
			if code := f.check(r, nil); code != "" {
				t.Errorf("%s: %s", c.query, code)
			}
			if r.URL.Query().Has("list-type") {
				f.page(w, nil, "")
			}
			return true
		}
		b, err := f.openParts(t, "s3://bucket/p?"+c.query, backends.Options{S3: backends.S3Options{
			Credentials: backends.S3Credentials{Source: "file", Path: f.keyFile(t)},
		}}, parts{dial: func(tr *http.Transport) {
			tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", f.Listener.Addr().String())
			}
		}})
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		f.seen()
		if err := b.Delete(t.Context(), "x"); err == nil {
			t.Error("an answer of 200 to DELETE is taken for success") // S3 says 204
		}
		if r := f.seen()[0]; r.Host != c.host || r.URL.Path != c.path {
			t.Errorf("%s: host %s, path %s; want %s, %s", c.query, r.Host, r.URL.Path, c.host, c.path)
		}
	}
}

// Connections are kept, not made for each request.
func TestConnections(t *testing.T) {
	f := newFake(t)
	b := f.mustOpen(t, "", backends.Options{Connections: 8})
	if info, err := b.Info(t.Context()); err != nil || info.Connections != 8 {
		t.Errorf("%+v, %v", info, err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				if err := put(t.Context(), b, fmt.Sprintf("x/%d-%d", i, j), "text"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := f.opened.Load(); n < 1 || n > 20 {
		t.Errorf("%d connections for 160 requests, 8 at once", n)
	}
}
