package rclone

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vaultik/backends"
)

// pouring is a server of WebDAV with one object, some of whose answers have no end.
type pouring struct {
	answer atomic.Pointer[string] // which one
	bytes  atomic.Int64           // poured
}

func (p *pouring) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	endless := func(status int) {
		w.WriteHeader(status)
		block := bytes.Repeat([]byte("endless "), 8<<10)
		for r.Context().Err() == nil {
			n, err := w.Write(block)
			p.bytes.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
	answer := *p.answer.Load()
	switch {
	case answer == "every answer is an endless error":
		endless(http.StatusForbidden)
	case answer == "every answer is an endless success":
		endless(http.StatusOK)
	case r.Method == http.MethodGet:
		w.Header().Set("Content-Range", "bytes 10-109/1000")
		endless(http.StatusPartialContent)
	case r.Method == "PROPFIND":
		kind, size := "<D:collection/>", ""
		switch path.Base(r.URL.Path) {
		case "o":
			kind, size = "", "<D:getcontentlength>1000</D:getcontentlength>"
		case "s", "/", "tmp":
		default:
			kind, size = "", "<D:getcontentlength>3</D:getcontentlength>"
		}
		w.WriteHeader(http.StatusMultiStatus)
		_, _ = fmt.Fprintf(w, `<D:multistatus xmlns:D="DAV:"><D:response><D:href>%s</D:href>`+
			`<D:propstat><D:prop><D:resourcetype>%s</D:resourcetype>%s</D:prop>`+
			`<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>`,
			r.URL.Path, kind, size)
	}
}

// The end of an error, and what follows the bytes that were asked for, are not read for ever.
// rclone does not bound what it takes for a list: that ends with the call's context, which package
// retry ends.
func TestHostile_EndlessAnswers(t *testing.T) {
	p := &pouring{}
	say := func(answer string) { p.answer.Store(&answer) }
	say("good")
	server := httptest.NewServer(p)
	t.Cleanup(func() { // Close would wait for answers without an end
		_ = server.Listener.Close()
		server.CloseClientConnections()
	})
	b := openStore(t, "rclone://d/s", backends.Options{
		Rclone: conf(t, "[d]\ntype = webdav\nvendor = other\nurl = "+server.URL+"\n"),
	})
	calls := map[string]func(ctx context.Context) error{
		"get": func(ctx context.Context) error {
			r, _, err := b.Get(ctx, "o", 10, 100)
			if err != nil {
				return err
			}
			n, err := io.Copy(io.Discard, r)
			if n > 100 {
				t.Errorf("%d bytes instead of 100", n)
			}
			_ = r.Close()
			return err
		},
		"stat": func(ctx context.Context) error { _, err := b.Stat(ctx, "o"); return err },
		"put": func(ctx context.Context) error {
			_, err := b.Put(ctx, "n", backends.Bytes([]byte("new"), nil), backends.PutOptions{})
			return err
		},
		"delete": func(ctx context.Context) error { return b.Delete(ctx, "o") },
		"list": func(ctx context.Context) error {
			return b.ListStream(ctx, "", func(backends.ObjectInfo) error { return nil })
		},
	}
	for _, answer := range []string{
		"good", "every answer is an endless error", "every answer is an endless success",
	} {
		for name, call := range calls {
			t.Run(answer+"/"+name, func(t *testing.T) {
				say(answer)
				p.bytes.Store(0)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				ctx := t.Context()
				if strings.Contains(answer, "success") {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
					defer cancel()
				}
				err := call(ctx)
				runtime.ReadMemStats(&after)
				made := (after.TotalAlloc - before.TotalAlloc) >> 20
				t.Logf("%d MiB poured, %d MiB allocated: %v", p.bytes.Load()>>20, made, err)
				if answer != "good" && err == nil {
					t.Error("taken for success")
				}
				if answer == "good" && err != nil && name != "put" { // which reads back what it stored
					t.Error(err)
				}
				if !strings.Contains(answer, "success") && (p.bytes.Load() > 200<<20 || made > 200) {
					t.Errorf("%d MiB poured, %d MiB allocated", p.bytes.Load()>>20, made)
				}
			})
		}
	}
}
