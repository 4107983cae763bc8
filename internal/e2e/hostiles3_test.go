package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vaultik/internal/oddtree"
	"vaultik/internal/testserver"
	"vaultik/internal/testsize"
	"vaultik/internal/treecmp"
)

// hostileS3 stands before a server of S3 and answers some requests itself, as badly as it can.
type hostileS3 struct {
	proxy *httputil.ReverseProxy
	evil  atomic.Bool
	mu    sync.Mutex
	r     *rand.Rand
	seen  map[string]int // answers by kind
}

func newHostileS3(t *testing.T, endpoint string, seed uint64) (*hostileS3, *httptest.Server) {
	to, err := url.Parse(endpoint)
	must(t, err)
	h := &hostileS3{r: rand.New(rand.NewPCG(seed, 3)), seen: map[string]int{}}
	h.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
			r.Out.Host = r.In.Host // it is signed
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	s := httptest.NewServer(h)
	t.Cleanup(func() { // Close would wait for answers without an end
		_ = s.Listener.Close()
		s.CloseClientConnections()
	})
	return h, s
}

func (h *hostileS3) pick(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.r.IntN(n)
}

func (h *hostileS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.evil.Load() || h.pick(3) > 0 {
		h.proxy.ServeHTTP(w, r)
		return
	}
	answers := []struct {
		name string
		do   func(http.ResponseWriter, *http.Request)
	}{
		{"endless body", func(w http.ResponseWriter, r *http.Request) { pour(w, r, nil) }},
		{"huge body", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(1<<40))
			pour(w, r, nil)
		}},
		{"endless list", func(w http.ResponseWriter, r *http.Request) {
			pour(w, r, []byte(`<?xml version="1.0"?><ListBucketResult><IsTruncated>true</IsTruncated>`),
				bytes.Repeat([]byte(`<Contents><Key>backup/h/0123456789abcdef/m/0123456789abcdef/0000000001.json.zst</Key><Size>99</Size></Contents>`), 500))
		}},
		{"list in a circle", func(w http.ResponseWriter, _ *http.Request) {
			prefix := r.URL.Query().Get("prefix")
			fmt.Fprintf(w, `<?xml version="1.0"?><ListBucketResult><Prefix>%s</Prefix><IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>`+
				`<Contents><Key>%sx</Key><Size>9</Size></Contents></ListBucketResult>`, prefix, prefix)
		}},
		{"one byte a second", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000000")
			for tick := time.NewTicker(time.Second); ; {
				if _, err := w.Write([]byte{'x'}); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				select {
				case <-tick.C:
				case <-r.Context().Done():
					return
				}
			}
		}},
		{"endless error", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader([]int{400, 403, 404, 412, 416, 500, 503}[h.pick(7)])
			pour(w, r, nil)
		}},
		{"odd status", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader([]int{201, 202, 204, 206, 304, 400, 401, 403, 404, 405, 409, 411, 412, 416, 418, 429, 500, 501, 503, 507}[h.pick(20)])
		}},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", []string{r.URL.String(), "http://127.0.0.1:1/", "file:///etc/passwd", "//"}[h.pick(4)])
			w.WriteHeader([]int{301, 302, 307, 308}[h.pick(4)])
		}},
		{"huge header", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", strings.Repeat("e", 8<<20))
		}},
		{"silence", func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(20 * time.Second):
			}
		}},
		{"hang up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{"bits", h.changed(func(b []byte) []byte {
			if len(b) > 0 {
				b[h.pick(len(b))] ^= byte(1 << h.pick(8))
			}
			return b
		})},
		{"part", h.changed(func(b []byte) []byte { return b[:h.pick(len(b)+1)] })},
		{"more", h.changed(func(b []byte) []byte { return append(b, b...) })},
		{"noise", h.changed(func(b []byte) []byte {
			for i := range b {
				b[i] = byte(h.pick(256))
			}
			return b
		})},
		{"nothing, success", func(http.ResponseWriter, *http.Request) {}},
	}
	a := answers[h.pick(len(answers))]
	h.mu.Lock()
	h.seen[a.name]++
	h.mu.Unlock()
	a.do(w, r)
}

// changed lets the server answer, and passes on something else.
func (h *hostileS3) changed(change func([]byte) []byte) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		if h.pick(2) == 0 {
			r.Header.Del("Range") // not signed
		}
		h.proxy.ServeHTTP(rec, r)
		b := change(rec.Body.Bytes())
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.Header().Del("Content-Length")
		w.WriteHeader(rec.Code)
		_, _ = w.Write(b)
	}
}

// pour writes first, then the last of the others for ever.
func pour(w http.ResponseWriter, r *http.Request, parts ...[]byte) {
	buf := make([]byte, 64<<10)
	for _, p := range parts {
		if p != nil {
			_, _ = w.Write(p)
			buf = p
		}
	}
	for r.Context().Err() == nil {
		if _, err := w.Write(buf); err != nil {
			return
		}
	}
	_, _ = io.Copy(io.Discard, r.Body)
}

// TestHostileS3: each command against a server a third of whose answers are meant to harm. It ends,
// within its memory; a restore that says it worked has worked; and when the server has come to its
// senses everything is there. make soak does so for ten minutes.
func TestHostileS3(t *testing.T) {
	testsize.Long(t)
	seed := testsize.Seed(t)
	m := newMachine(t)
	gw := testserver.VersityGW(t)
	h, front := newHostileS3(t, gw.Endpoint, seed)
	s := *gw
	s.Endpoint = front.URL
	m.env = append(m.env, "AWS_ACCESS_KEY_ID="+s.AccessKey, "AWS_SECRET_ACCESS_KEY="+s.SecretKey)
	src := filepath.Join(m.home, "Documents")
	_, err := oddtree.Make(src, oddtree.Options{Seed: seed, Small: true})
	must(t, err)
	m.exits(0, "init", "--store", s.URL("backup"))
	conf := m.config("config.yaml")
	text, err := os.ReadFile(conf)
	must(t, err)
	must(t, os.WriteFile(conf, append(text, "\nretry:\n  elapsed: 10s\n  stall: 10s\n"...), 0o600))
	m.exits(0, "backup", src)
	secret := secretOf(t, m.config("recovery-kit.txt"))
	codes := map[int]int{}
	until := time.Now().Add(time.Duration(testsize.Pick(60, 600)) * time.Second)
	for round := 0; time.Now().Before(until); round++ {
		m.key = ""
		h.evil.Store(true)
		out := filepath.Join(m.root, fmt.Sprint("out", round))
		switch h.pick(8) {
		case 0:
			codes[m.bounded("snapshots").code]++
		case 1:
			must(t, os.WriteFile(filepath.Join(src, "round"), fmt.Append(nil, round), 0o600))
			codes[m.bounded("backup", src).code]++
		case 2:
			codes[m.bounded("verify").code]++
		case 3:
			codes[m.bounded("verify", "--read-data").code]++
		case 4:
			codes[m.bounded("store", "info").code]++
		case 5:
			m.key = secret
			codes[m.bounded("ls", "latest").code]++
		default:
			h.evil.Store(false)
			m.exits(0, "backup", src)
			h.evil.Store(true)
			m.key = secret
			r := m.bounded("restore", "latest:"+src, "--target", out)
			codes[r.code]++
			if r.code == 64 || r.code == 13 {
				t.Logf("exit %d:\n%s", r.code, clip(r.stderr))
			}
			if r.code == 0 {
				sameTree(t, src, out)
			} else if _, err := os.Lstat(out); err == nil {
				c, err := treecmp.Compare(t.Context(), src, out, treecmp.Options{})
				must(t, err)
				for _, d := range c.Differences {
					if d.Kind == treecmp.Content && d.A != d.B {
						t.Errorf("restored wrong: %v", d)
					}
				}
			}
			must(t, os.RemoveAll(out))
		}
	}
	t.Logf("exit codes %v; at most %d MiB; answers %v", codes, m.peak>>20, h.seen)
	h.evil.Store(false)
	m.key = ""
	m.exits(0, "backup", src)
	m.exits(0, "verify", "--read-data")
	m.key = secret
	out := filepath.Join(m.root, "out")
	m.exits(0, "restore", "latest:"+src, "--target", out)
	sameTree(t, src, out)
}
