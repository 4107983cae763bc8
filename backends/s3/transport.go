package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
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
	c.err, c.status, c.retryAfter, c.signed = nil, 0, 0, nil
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
	return resp, nil
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
