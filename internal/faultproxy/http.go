package faultproxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"vaultik/internal/testcert"
)

// Proxy stands in front of one server until its test ends.
type Proxy struct {
	Addr string // host:port to connect to
	URL  string // http://Addr or https://Addr; "" of TCP

	script script
	l      *listener
}

// Script replaces the rules, and counts from one again.
func (p *Proxy) Script(rules ...Rule) { p.script.set(rules) }

// Outage resets all connections and refuses new ones, or lets them in again.
func (p *Proxy) Outage(on bool) { p.l.out(on) }

// Seen returns how many requests, or connections, there were since the last
// Script, and how many of them had a fault.
func (p *Proxy) Seen() (all, faults int) {
	p.script.mu.Lock()
	defer p.script.mu.Unlock()
	return p.script.all, p.script.hit
}

// Sent returns how many bytes of bodies went to clients of HTTP since the last Script.
func (p *Proxy) Sent() int64 {
	p.script.mu.Lock()
	defer p.script.mu.Unlock()
	return p.script.sent
}

// sending counts what is read of a body.
type sending struct {
	io.ReadCloser
	p *Proxy
}

func (s *sending) Read(b []byte) (int, error) {
	n, err := s.ReadCloser.Read(b)
	s.p.script.mu.Lock()
	defer s.p.script.mu.Unlock()
	s.p.script.sent += int64(n)
	return n, err
}

// Open returns how many connections are open.
func (p *Proxy) Open() int { return p.l.open() }

// HTTP stands in front of the server at target, an http URL.
func HTTP(tb testing.TB, target string, rules ...Rule) *Proxy {
	tb.Helper()
	return front(tb, target, nil, rules)
}

// HTTPS is HTTP for clients that speak TLS, to whom it shows a certificate.
func HTTPS(tb testing.TB, target string, cert testcert.Certificate, rules ...Rule) *Proxy {
	tb.Helper()
	return front(tb, target, &tls.Config{Certificates: []tls.Certificate{cert.Certificate}, MinVersion: tls.VersionTLS12}, rules)
}

func front(tb testing.TB, target string, tlsConfig *tls.Config, rules []Rule) *Proxy {
	tb.Helper()
	u, err := url.Parse(target)
	if err != nil {
		tb.Fatal(err)
	}
	l := listen(tb)
	p := &Proxy{Addr: l.addr.String(), URL: "http://" + l.addr.String(), l: l}
	p.Script(rules...)
	tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	h := &handler{p: p, pass: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u)
			r.Out.Host = r.In.Host // the client has signed it
		},
		ModifyResponse: func(r *http.Response) error {
			r.Body = &sending{r.Body, p}
			return nil
		},
		Transport:     tr,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { resetClient(w) },
	}}
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true) // one request a connection can be reset, a stream of HTTP/2 cannot
	served := make(chan error, 1)
	go func() {
		if tlsConfig == nil {
			served <- s.Serve(l)
			return
		}
		s.TLSConfig = tlsConfig
		served <- s.ServeTLS(l, "", "")
	}()
	if tlsConfig != nil {
		p.URL = "https://" + p.Addr
	}
	tb.Cleanup(func() {
		_ = s.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			tb.Errorf("fault proxy: %v", err)
		}
		tr.CloseIdleConnections()
	})
	return p
}

type handler struct {
	p    *Proxy
	pass *httputil.ReverseProxy
}

// errCut ends a body that is cut on purpose.
var errCut = errors.New("cut by the fault proxy")

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := h.p.script.next(r.Method, r.URL.EscapedPath())
	if f.delay > 0 {
		t := time.NewTimer(f.delay)
		select {
		case <-t.C:
		case <-r.Context().Done():
			t.Stop()
		}
	}
	switch f.kind {
	case resetBefore:
		resetClient(w)
	case resetAfter:
		_, _ = io.Copy(io.Discard, r.Body)
		resetClient(w)
	case blackHole:
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	case reply:
		_, _ = io.Copy(io.Discard, r.Body)
		if f.after != "" {
			w.Header().Set("Retry-After", f.after)
		}
		w.Header().Set("Connection", "close")
		w.WriteHeader(f.status)
	case loseReply:
		h.pass.ServeHTTP(&lost{header: http.Header{}}, r)
		resetClient(w)
	case cutUp:
		// The server sees a body that ends early, the client a reset.
		r.Body = &upward{ReadCloser: r.Body, cut: f.at, flip: -1}
		h.pass.ServeHTTP(w, r)
	case flipUp:
		r.Body = &upward{ReadCloser: r.Body, cut: -1, flip: f.at}
		h.pass.ServeHTTP(w, r)
	case cutDown, flipDown, stallDown:
		h.pass.ServeHTTP(&downward{ResponseWriter: w, r: r, f: f}, r)
	default:
		h.pass.ServeHTTP(w, r)
	}
}

// resetClient resets the connection that a reply would go to.
func resetClient(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // at least it ends
	}
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if own, ok := c.(*conn); ok {
		own.reset()
	}
	_ = c.Close()
}

// lost takes a reply and forgets it.
type lost struct{ header http.Header }

func (l *lost) Header() http.Header         { return l.header }
func (l *lost) Write(p []byte) (int, error) { return len(p), nil }
func (l *lost) WriteHeader(int)             {}

// upward is a request's body that is cut or changed.
type upward struct {
	io.ReadCloser
	off, cut, flip int64
}

func (u *upward) Read(p []byte) (int, error) {
	if u.cut >= 0 {
		if u.off >= u.cut {
			return 0, errCut
		}
		p = p[:min(int64(len(p)), u.cut-u.off)]
	}
	n, err := u.ReadCloser.Read(p)
	flip(p[:n], u.off, u.flip)
	u.off += int64(n)
	return n, err
}

// flip inverts a bit of p, which starts at off, if byte at is in it.
func flip(p []byte, off, at int64) {
	if i := at - off; at >= 0 && i >= 0 && i < int64(len(p)) {
		p[i] ^= 1
	}
}

// downward is a reply whose body is cut, changed or stalls.
type downward struct {
	http.ResponseWriter
	r   *http.Request
	f   Fault
	off int64
}

// Unwrap is for http.ResponseController.
func (d *downward) Unwrap() http.ResponseWriter { return d.ResponseWriter }

func (d *downward) Write(p []byte) (int, error) {
	if d.f.kind == flipDown {
		p = append([]byte(nil), p...)
		flip(p, d.off, d.f.at)
		d.off += int64(len(p))
		return d.ResponseWriter.Write(p)
	}
	left := d.f.at - d.off
	if int64(len(p)) < left {
		d.off += int64(len(p))
		return d.ResponseWriter.Write(p)
	}
	n, err := d.ResponseWriter.Write(p[:left])
	d.off += int64(n)
	if err == nil {
		err = http.NewResponseController(d.ResponseWriter).Flush()
	}
	if err == nil && d.f.kind == stallDown {
		<-d.r.Context().Done()
		err = d.r.Context().Err()
	}
	if err == nil {
		resetClient(d.ResponseWriter)
		err = errCut
	}
	return n, fmt.Errorf("reply after %d bytes: %w", d.off, err)
}
