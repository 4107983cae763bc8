package faultproxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vaultik/internal/faultproxy"
	"vaultik/internal/testcert"
)

// body is what the server of these tests sends.
var body = bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB

// server remembers what arrives.
type server struct {
	*httptest.Server
	mu   sync.Mutex
	got  [][]byte // whole bodies
	host string
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.host = r.Host; err != nil {
			return
		}
		if s.got = append(s.got, b); r.Method == http.MethodGet {
			_, _ = w.Write(body)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) whole() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

func (s *server) last() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got[len(s.got)-1]
}

// asked returns the host that the last request was for.
func (s *server) asked() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.host
}

func client(t *testing.T) *http.Client {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// do returns the status, the body and the error of either.
func do(ctx context.Context, c *http.Client, method, url string, b []byte) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(b))
	if err != nil {
		return 0, nil, nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, got, err
}

func TestHTTP_Faults(t *testing.T) {
	flipped := append([]byte(nil), body...)
	flipped[70_000] ^= 1
	for _, c := range []struct {
		name   string
		fault  faultproxy.Fault
		method string
		status int    // 0: an error
		reads  []byte // body of the reply, also before an error
		err    error  // part of the chain
		whole  int    // bodies that the server has got whole
		stored []byte // the last of them
	}{
		{"pass PUT", faultproxy.Fault{}, "PUT", 200, nil, nil, 1, body},
		{"pass GET", faultproxy.Fault{}, "GET", 200, body, nil, 1, nil},
		{"reset before", faultproxy.ResetBefore(), "PUT", 0, nil, syscall.ECONNRESET, 0, nil},
		{"reset after", faultproxy.ResetAfter(), "PUT", 0, nil, syscall.ECONNRESET, 0, nil},
		{"reply lost", faultproxy.LoseReply(), "PUT", 0, nil, syscall.ECONNRESET, 1, body},
		{"500", faultproxy.Status(500, ""), "PUT", 500, nil, nil, 0, nil},
		{"503", faultproxy.Status(503, "7"), "GET", 503, nil, nil, 0, nil},
		{"cut up", faultproxy.CutUp(300_000), "PUT", 0, nil, syscall.ECONNRESET, 0, nil},
		{"cut down", faultproxy.CutDown(300_000), "GET", 200, body[:300_000], syscall.ECONNRESET, 1, nil},
		{"cut down at once", faultproxy.CutDown(0), "GET", 200, nil, syscall.ECONNRESET, 1, nil},
		{"flip up", faultproxy.FlipUp(70_000), "PUT", 200, nil, nil, 1, flipped},
		{"flip down", faultproxy.FlipDown(70_000), "GET", 200, flipped, nil, 1, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			p := faultproxy.HTTP(t, s.URL, faultproxy.Rule{Method: c.method, Path: "/x/", Nth: 2, Do: c.fault})
			h := client(t)
			sent := body
			if c.method == "GET" {
				sent = nil
			}
			for _, path := range []string{"/x/1", "/y"} { // neither is the second below /x/
				if status, _, _, err := do(t.Context(), h, c.method, p.URL+path, sent); err != nil || status != 200 {
					t.Fatalf("%s: %d, %v", path, status, err)
				}
			}
			before := s.whole()
			status, header, got, err := do(t.Context(), h, c.method, p.URL+"/x/2", sent)
			// A client that still sends may notice while it writes.
			ok := errors.Is(err, c.err) || c.err != nil && c.method == "PUT" && (errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed))
			if status != c.status || !ok || c.err == nil && err != nil {
				t.Errorf("%d, %v; want %d, %v", status, err, c.status, c.err)
			}
			// What comes before a reset may be lost on the way, but is nothing else.
			if !bytes.HasPrefix(c.reads, got) || err == nil && len(got) != len(c.reads) {
				t.Errorf("read %d bytes, not the %d expected", len(got), len(c.reads))
			}
			if c.status == 503 && header.Get("Retry-After") != "7" {
				t.Errorf("Retry-After %q", header.Get("Retry-After"))
			}
			if n := s.whole() - before; n != c.whole {
				t.Errorf("%d requests have arrived whole, want %d", n, c.whole)
			} else if n > 0 && !bytes.Equal(s.last(), c.stored) {
				t.Errorf("the server has got other bytes")
			}
			if host := s.asked(); host != p.Addr {
				t.Errorf("the server sees host %q, the client has asked %q", host, p.Addr)
			}
			want := 1
			if c.fault == (faultproxy.Fault{}) {
				want = 0
			}
			if all, faults := p.Seen(); all != 3 || faults != want {
				t.Errorf("%d of %d requests had a fault, want %d of 3", faults, all, want)
			}
			if status, _, _, err := do(t.Context(), h, c.method, p.URL+"/x/3", sent); err != nil || status != 200 {
				t.Errorf("after the fault: %d, %v", status, err)
			}
		})
	}
}

func TestRule_Each(t *testing.T) {
	s := newServer(t)
	p := faultproxy.HTTP(t, s.URL, faultproxy.Rule{Nth: 2, Each: true, Do: faultproxy.Status(500, "")})
	for _, c := range []struct {
		path string
		want int
	}{{"/a", 200}, {"/b", 200}, {"/a?x", 500}, {"/a", 200}, {"/b", 500}, {"/b", 200}} {
		if status, _, _, err := do(t.Context(), client(t), "GET", p.URL+c.path, nil); err != nil || status != c.want {
			t.Errorf("%s: %d, %v; want %d", c.path, status, err, c.want)
		}
	}
}

// A black hole and a stall end when the client has had enough.
func TestHTTP_Silence(t *testing.T) {
	for name, f := range map[string]faultproxy.Fault{"black hole": faultproxy.BlackHole(), "stall": faultproxy.Stall(1000)} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			p := faultproxy.HTTP(t, s.URL, faultproxy.Rule{Do: f})
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, _, got, err := do(ctx, client(t), "GET", p.URL, nil)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want a timeout", err)
			}
			if want := s.whole() * 1000; len(got) != want {
				t.Errorf("%d bytes before the silence, want %d", len(got), want)
			}
		})
	}
}

func TestHTTP_Latency(t *testing.T) {
	s := newServer(t)
	p := faultproxy.HTTP(t, s.URL, faultproxy.Rule{Do: faultproxy.Latency(100 * time.Millisecond)})
	began := time.Now()
	if status, _, _, err := do(t.Context(), client(t), "GET", p.URL, nil); err != nil || status != 200 {
		t.Fatalf("%d, %v", status, err)
	}
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

func TestOutage(t *testing.T) {
	s := newServer(t)
	for name, p := range map[string]*faultproxy.Proxy{
		"HTTP": faultproxy.HTTP(t, s.URL),
		"TCP":  faultproxy.TCP(t, strings.TrimPrefix(s.URL, "http://")),
	} {
		t.Run(name, func(t *testing.T) {
			url := "http://" + p.Addr
			open, err := net.Dial("tcp", p.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer open.Close()
			if _, err := open.Write([]byte("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234")); err != nil {
				t.Fatal(err)
			}
			if status, _, _, err := do(t.Context(), client(t), "GET", url, nil); err != nil || status != 200 {
				t.Fatalf("before: %d, %v", status, err)
			}
			p.Outage(true)
			p.Outage(true)
			if _, err := io.ReadAll(open); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("a connection that was open: %v", err)
			}
			for range 3 {
				if _, _, _, err := do(t.Context(), client(t), "GET", url, nil); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("during: %v", err)
				}
			}
			if n := p.Open(); n != 0 {
				t.Errorf("%d connections open during the outage", n)
			}
			p.Outage(false)
			if status, _, _, err := do(t.Context(), client(t), "GET", url, nil); err != nil || status != 200 {
				t.Errorf("after: %d, %v", status, err)
			}
		})
	}
}

func TestHTTPS_Certificates(t *testing.T) {
	s := newServer(t)
	ca := testcert.NewCA(t)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca.PEM)
	h := client(t)
	h.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	good := faultproxy.HTTPS(t, s.URL, ca.Issue(t, "127.0.0.1"), faultproxy.Rule{Nth: 2, Do: faultproxy.ResetAfter()})
	if status, _, _, err := do(t.Context(), h, "PUT", good.URL, body); err != nil || status != 200 {
		t.Errorf("good certificate: %d, %v", status, err)
	}
	if _, _, _, err := do(t.Context(), h, "PUT", good.URL, body); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset over TLS: %v", err)
	}
	var invalid x509.CertificateInvalidError
	if _, _, _, err := do(t.Context(), h, "GET", faultproxy.HTTPS(t, s.URL, ca.Expired(t, "127.0.0.1")).URL, nil); !errors.As(err, &invalid) {
		t.Errorf("expired certificate: %v", err)
	}
}

// echo sends back what it gets, and ends when the client does.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func TestTCP_Faults(t *testing.T) {
	text := body[:100_000]
	flipped := append([]byte(nil), text...)
	flipped[500] ^= 1
	for _, c := range []struct {
		name  string
		fault faultproxy.Fault
		reads []byte
		err   error
		least time.Duration
	}{
		{"pass", faultproxy.Fault{}, text, nil, 0},
		{"reset", faultproxy.ResetBefore(), nil, syscall.ECONNRESET, 0},
		{"cut up", faultproxy.CutUp(1000), text[:1000], syscall.ECONNRESET, 0},
		{"cut down", faultproxy.CutDown(1000), text[:1000], syscall.ECONNRESET, 0},
		{"flip up", faultproxy.FlipUp(500), flipped, nil, 0},
		{"flip down", faultproxy.FlipDown(500), flipped, nil, 0},
		{"latency", faultproxy.Latency(50 * time.Millisecond), text, nil, 100 * time.Millisecond},
		{"rate", faultproxy.Rate(1 << 20), text, nil, 80 * time.Millisecond},
		{"black hole", faultproxy.BlackHole(), nil, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := faultproxy.TCP(t, echo(t), faultproxy.Rule{Nth: 1, Do: c.fault})
			began := time.Now()
			got, err := talk(t, p.Addr, text)
			if !errors.Is(err, c.err) || c.err == nil && err != nil {
				t.Errorf("%v, want %v", err, c.err)
			}
			if !bytes.HasPrefix(c.reads, got) || err == nil && len(got) != len(c.reads) {
				t.Errorf("got %d bytes back, want %d", len(got), len(c.reads))
			}
			if took := time.Since(began); took < c.least {
				t.Errorf("took %v, want at least %v", took, c.least)
			}
			if got, err := talk(t, p.Addr, text); err != nil || !bytes.Equal(got, text) {
				t.Errorf("the connection after: %d bytes, %v", len(got), err)
			}
		})
	}
}

// talk sends text and reads to the end.
func talk(t *testing.T, addr string, text []byte) ([]byte, error) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(text)
		sent <- errors.Join(err, c.(*net.TCPConn).CloseWrite())
	}()
	got, err := io.ReadAll(c)
	return got, errors.Join(err, <-sent)
}
