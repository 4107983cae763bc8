package s3

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"vaultik/backends"
)

const (
	// defaultConnections: with more, one machine gets no faster on a usual line.
	defaultConnections = 5

	dialTime = 30 * time.Second
	tlsTime  = 15 * time.Second
	idleTime = 90 * time.Second
	// answerTime is from the end of a request to the first byte of its answer: the
	// server writes up to 64 MiB to its disks meanwhile.
	answerTime = 2 * time.Minute

	// expectFrom is the size of a body from which on the server is asked first
	// whether it wants it: what it refuses (no permission, busy) it then says in
	// its answer, instead of cutting the connection while we still send.
	expectFrom = 1 << 20 // bytes
	expectTime = time.Second

	wireBuffer = 64 << 10 // bytes, each way of a connection
)

// newTransport makes connections to one store.
func newTransport(roots *x509.CertPool, connections int) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTime, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    tlsTime,
		ResponseHeaderTimeout:  answerTime,
		ExpectContinueTimeout:  expectTime,
		IdleConnTimeout:        idleTime,
		MaxIdleConnsPerHost:    connections + 2, // small requests come beside those that carry data
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true, // objects are opaque
		WriteBufferSize:        wireBuffer,
		ReadBufferSize:         wireBuffer,
		// No HTTP/2: all transfers would share one connection.
	}
}

// call is what the round tripper learns of one call of the backend, beside what
// minio-go hands on. It belongs to one request at a time.
type call struct {
	sha256 string // of the body, in hex; "": not known

	err        error // of the transport, bare
	status     int
	retryAfter time.Duration
	signed     *held         // what it was signed with, nil: nothing
	skew       time.Duration // our clock less the server's
	mute       bool          // it says that something is missing, and not in S3's words

	object bool          // what is asked for is an object: its body comes here
	body   io.ReadCloser // of the object; nil: none has come
	pages  int           // of a list that were asked for
	empty  int           // pages of a list in a row that have brought no name
}

// close closes the object that nobody has taken.
func (c *call) close() {
	if c.body != nil {
		_ = c.body.Close()
		c.body = nil
	}
}

type callKey struct{}

// withCall returns a context in which requests report to c.
func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// roundTripper signs requests and takes notes.
type roundTripper struct {
	base   http.RoundTripper
	signer *signer // nil: anonymous
	now    func() time.Time
	skew   atomic.Pointer[time.Duration] // last seen
}

// RoundTrip implements http.RoundTripper.
func (t *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	c, _ := req.Context().Value(callKey{}).(*call)
	if c == nil {
		c = &call{}
	}
	c.close()
	c.err, c.status, c.retryAfter, c.signed, c.mute = nil, 0, 0, nil, false
	if q := req.URL.Query(); q.Has("list-type") || q.Has("versions") {
		c.pages++
		if c.empty++; c.empty > maxEmptyPages {
			c.err = errNoNames
			return nil, c.err
		}
	}
	resp, err := t.roundTrip(req.Clone(req.Context()), c)
	if err != nil {
		c.err = err
		if req.Body != nil {
			_ = req.Body.Close() // as every round tripper must, even on errors
		}
		return nil, err
	}
	c.status = resp.StatusCode
	now := t.now()
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		c.skew = now.Sub(date)
		t.skew.Store(&c.skew)
		now = date // what Retry-After counts from
	}
	c.retryAfter = retryAfter(resp.Header.Get("Retry-After"), now)
	c.keep(resp)
	return resp, nil
}

const (
	// maxErrorBody and maxListBody are how many bytes of an answer are read. A page of a list
	// has a thousand names at most, of up to a thousand bytes each, and what belongs to them.
	maxErrorBody = 64 << 10
	maxListBody  = 4 << 20
	maxListNames = 1000
	maxListTags  = 100 * maxListNames // some twenty belong to a name

	// maxEmptyPages is how many pages in a row may bring no name: some servers go through
	// what was deleted in this way, and one that says for ever that there is more has nothing.
	maxEmptyPages = 1000
)

var (
	errNoNames = backends.WithKind(backends.ErrUnsupported, fmt.Errorf(
		"the list has no end: %d pages without a name", maxEmptyPages))
	errLongList = errors.New("a page of the list is longer than any can be")
)

// keep takes the body of an answer into custody: minio-go reads to their ends those that it
// has no use for, be they endless.
func (c *call) keep(resp *http.Response) {
	switch ok := resp.StatusCode < 300; {
	case ok && c.object:
		c.body, resp.Body = resp.Body, http.NoBody
	case ok:
		resp.Body = &pageBody{ReadCloser: resp.Body, left: maxListBody}
	default:
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(text))
		c.mute = resp.StatusCode == http.StatusNotFound && resp.Request.Method != http.MethodHead &&
			!bytes.Contains(text, []byte("<Code>"))
	}
}

// pageBody is the body of an answer that is no object: a page of a list at most.
type pageBody struct {
	io.ReadCloser
	left  int // bytes
	names int // that have come
	tags  int
	tail  []byte // what may be the beginning of another
}

var nameTag = []byte("<Contents")

func (b *pageBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errLongList
	}
	if b.tags += bytes.Count(p[:n], []byte("<")); b.tags > maxListTags {
		return 0, errLongList
	}
	seen := append(b.tail, p[:n]...)
	if b.names += bytes.Count(seen, nameTag); b.names > maxListNames {
		return 0, errLongList
	}
	b.tail = append([]byte(nil), seen[max(0, len(seen)-len(nameTag)+1):]...)
	return n, err
}

func (t *roundTripper) roundTrip(req *http.Request, c *call) (*http.Response, error) {
	req.Header.Set("User-Agent", "vaultik")
	if req.ContentLength >= expectFrom {
		req.Header.Set("Expect", "100-continue")
	}
	if t.signer != nil {
		if c.sha256 != "" && req.Body != nil {
			req.Header.Set(headerSHA256, c.sha256)
		}
		h, now, err := t.signer.get(req.Context())
		if err != nil {
			return nil, err
		}
		c.signed = h
		h.sign(req, now)
	}
	return t.base.RoundTrip(req)
}

// maxRetryAfter is what a server may ask for; what is longer is a mistake.
const maxRetryAfter = time.Hour

// retryAfter reads the header of that name: seconds or a date. 0: nothing asked.
func retryAfter(text string, now time.Time) time.Duration {
	var wait time.Duration
	if n, err := strconv.Atoi(text); err == nil {
		wait = time.Duration(min(n, int(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return max(0, min(wait, maxRetryAfter))
}
