package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"vaultik/backends"
	"vaultik/internal/testserver"
)

// pour writes text until nobody reads it any more. Of an answer to HEAD nobody does.
func pour(w io.Writer, r *http.Request, text string) {
	block := []byte(strings.Repeat(text, 1+(64<<10)/len(text)))
	for r.Method != http.MethodHead && r.Context().Err() == nil {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

func modified(w http.ResponseWriter) {
	w.Header().Set("Last-Modified", time.Unix(1e9, 0).UTC().Format(http.TimeFormat))
}

// hostile are answers of servers that want to see us run out of memory or time.
var hostile = map[string]func(w http.ResponseWriter, r *http.Request){
	"endless object": func(w http.ResponseWriter, r *http.Request) {
		modified(w)
		w.Header().Set("Content-Length", fmt.Sprint(int64(1)<<40))
		pour(w, r, "x")
	},
	"endless object of unknown size": func(w http.ResponseWriter, r *http.Request) {
		modified(w)
		pour(w, r, "x")
	},
	"endless object that the library dislikes": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", "yesterday")
		w.Header().Set("Content-Length", fmt.Sprint(int64(1)<<40))
		pour(w, r, "x")
	},
	"endless part": func(w http.ResponseWriter, r *http.Request) {
		modified(w)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-9/%d", int64(1)<<50))
		w.WriteHeader(http.StatusPartialContent)
		pour(w, r, "x")
	},
	"endless refusal": func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		pour(w, r, "<Error>")
	},
	"endless failure": func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		pour(w, r, "no ")
	},
	"endless list of names": func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "<ListBucketResult>")
		pour(w, r, "<Contents/>")
	},
	"list of one endless name": func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "<ListBucketResult><Contents><Key>")
		pour(w, r, "a")
	},
	"list of endless depth": func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "<ListBucketResult>")
		pour(w, r, "<a>")
	},
	"endless empty pages": func(w http.ResponseWriter, r *http.Request) {
		n := 0
		_, _ = fmt.Sscan(r.URL.Query().Get("continuation-token"), &n)
		fmt.Fprintf(w, "<ListBucketResult><IsTruncated>true</IsTruncated>"+
			"<NextContinuationToken>%d</NextContinuationToken></ListBucketResult>", n+1)
	},
	"pages that repeat": func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<ListBucketResult><IsTruncated>true</IsTruncated>"+
			"<NextContinuationToken>1</NextContinuationToken>"+
			"<Contents><Key>not a key of ours</Key><Size>1</Size></Contents></ListBucketResult>")
	},
	"endless headers": func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		fmt.Fprint(buf, "HTTP/1.1 200 OK\r\n")
		pour(buf, r, "X-A: "+strings.Repeat("x", 1000)+"\r\n")
	},
	"endless redirections": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Path+"x")
		w.WriteHeader(http.StatusTemporaryRedirect)
		pour(w, r, "elsewhere ")
	},
}

// newOdd is a server that behaves until it is told otherwise, and the URL of a store in it.
func newOdd(t *testing.T) (*testserver.OddS3, *url.URL) {
	t.Helper()
	s := testserver.NewOddS3(t)
	u, err := url.Parse(s.StoreURL("p"))
	if err != nil {
		t.Fatal(err)
	}
	return s, u
}

// openOdd opens the store at u until the test ends.
func openOdd(t *testing.T, u *url.URL) *Backend {
	t.Helper()
	b, err := open(t.Context(), u, backends.Options{}, parts{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// hostileMemory bounds what one call may allocate in all, those of the server included.
const hostileMemory = 96 << 20 // bytes

// Whatever a server answers, each call ends by itself, in bounded memory.
func TestHostile_Bounded(t *testing.T) {
	for name, answer := range hostile {
		t.Run(name, func(t *testing.T) {
			s, u := newOdd(t)
			b := openOdd(t, u)
			s.Be(testserver.Oddity{Answer: func(w http.ResponseWriter, r *http.Request) bool {
				answer(w, r)
				return true
			}})
			for what, call := range calls(b, u) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				err := call(ctx)
				runtime.ReadMemStats(&after)
				if used := after.TotalAlloc - before.TotalAlloc; used > hostileMemory {
					t.Errorf("%s took %d MiB", what, used>>20)
				}
				if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s did not end: %v", what, err)
				}
				cancel()
			}
		})
	}
}

// calls are all of a backend; they may fail or not.
func calls(b *Backend, u *url.URL) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"open": func(ctx context.Context) error {
			other, err := open(ctx, u, backends.Options{Create: true}, parts{})
			if err == nil {
				_ = other.Close()
			}
			return err
		},
		"get": func(ctx context.Context) error {
			r, _, err := b.Get(ctx, "x", 0, -1)
			if err == nil {
				_, _ = io.ReadFull(r, make([]byte, 1<<20))
				_ = r.Close()
			}
			return err
		},
		"head": func(ctx context.Context) error {
			p, err := backends.Head(ctx, b, "x", 4<<20)
			if len(p) > 4<<20 {
				err = fmt.Errorf("%d bytes", len(p))
			}
			return err
		},
		"whole": func(ctx context.Context) error {
			_, err := backends.ReadRange(ctx, b, "x", 0, -1, nil)
			if err == nil {
				return nil
			}
			return err
		},
		"range": func(ctx context.Context) error {
			_, err := b.ReadRange(ctx, "x", make([]byte, 10), 0)
			return err
		},
		"stat":   func(ctx context.Context) error { _, err := b.Stat(ctx, "x"); return err },
		"delete": func(ctx context.Context) error { return b.Delete(ctx, "x") },
		"put":    func(ctx context.Context) error { return put(ctx, b, "x", "text") },
		"list": func(ctx context.Context) error {
			return b.ListStream(ctx, "", func(backends.ObjectInfo) error { return nil })
		},
		"info": func(ctx context.Context) error { _, err := b.Info(ctx); return err },
	}
}

// An answer of 404 that is not in S3's words says nothing about objects or buckets: a proxy
// whose server is down answers so.
func TestNotFound_InOtherWords(t *testing.T) {
	f := newFake(t)
	b := f.mustOpen(t, "", backends.Options{})
	f.before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<html>default backend - 404</html>")
		return true
	}
	for what, call := range calls(b, nil) {
		if what == "open" {
			continue
		}
		err := call(t.Context())
		if errors.Is(err, backends.ErrNotFound) || errors.Is(err, backends.ErrContainerNotFound) ||
			!backends.Retryable(err) {
			t.Errorf("%s: %v, retryable %v", what, err, backends.Retryable(err))
		}
	}
	if _, err := f.open(t, "", backends.Options{}); errors.Is(err, backends.ErrContainerNotFound) || err == nil {
		t.Errorf("open: %v", err)
	}
}
