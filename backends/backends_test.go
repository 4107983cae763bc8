package backends_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"vaultik/backends"
	"vaultik/backends/mem"
)

func TestErrors_MatchStandard(t *testing.T) {
	for _, c := range []struct{ err, std error }{
		{backends.ErrNotFound, fs.ErrNotExist}, {backends.ErrContainerNotFound, fs.ErrNotExist}, {backends.ErrExists, fs.ErrExist},
		{backends.ErrPermission, fs.ErrPermission}, {backends.ErrReadOnly, fs.ErrPermission}, {backends.ErrClosed, fs.ErrClosed},
		{backends.ErrUnsupported, errors.ErrUnsupported},
	} {
		wrapped := fmt.Errorf("load manifest: %w", &backends.OpError{Op: "get", Key: "k", Err: backends.WithKind(c.err, io.ErrNoProgress)})
		if !errors.Is(wrapped, c.std) || !errors.Is(wrapped, c.err) || !errors.Is(wrapped, io.ErrNoProgress) {
			t.Errorf("%v does not match %v", wrapped, c.std)
		}
	}
	if errors.Is(backends.ErrContainerNotFound, backends.ErrNotFound) || errors.Is(backends.ErrNotFound, backends.ErrContainerNotFound) {
		t.Error("a missing store and a missing object are one")
	}
}

func TestOpError_Text(t *testing.T) {
	for _, c := range []struct {
		err  *backends.OpError
		want string
	}{
		{&backends.OpError{Op: "put", Key: "h/x", Backend: "file:///s", Err: io.EOF}, `put "h/x": EOF`},
		{&backends.OpError{Op: "open", Backend: "file:///s", Attempt: 1, Err: io.EOF}, `open file:///s: EOF`},
		{&backends.OpError{Op: "get", Key: "x", Attempt: 3, RetryAfter: time.Second, Err: io.EOF}, `get "x" (attempt 3): EOF`},
		{&backends.OpError{Op: "list", Err: io.EOF}, `list: EOF`},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	if backends.Retryable(io.EOF) || !backends.Retryable(fmt.Errorf("x: %w", &backends.OpError{Retryable: true, Err: io.EOF})) {
		t.Error("Retryable does not look through wrapping")
	}
}

func TestOpen_Locations(t *testing.T) {
	for _, c := range []string{"", "ftp://user:secret@host/path?token=secret", "gopher://x", "remote:path", "a\x00b", "http://[::1", "s3://k:secret@ho st/%zz"} {
		_, err := backends.Open(t.Context(), c, backends.Options{Create: true})
		if !errors.Is(err, backends.ErrConfig) {
			t.Errorf("open %q: %v, want ErrConfig", c, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("open %q: the error tells a secret: %v", c, err)
		}
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"s3://key:secret@host:9000/b/p?x=secret#secret": "s3://host:9000/b/p",
		"/a/b?c": "/a/b?c", "rel/x": "rel/x", "file:///a%20b": "file:///a%20b", "x://se%zzcret": "x://...",
		"rclone://rem,pass=secret/path": "rclone://...", `rclone://:webdav,url="http://h:1",pass=secret:/p`: "rclone://...", "rclone://rem/a,b": "rclone://rem/a,b",
	} {
		if got := backends.Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRegister_Twice(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a scheme was registered twice")
		}
	}()
	backends.Register(mem.Scheme, nil)
}

// A key that is accepted is a clean relative path; so is each of its prefixes.
func FuzzCheckKey(f *testing.F) {
	for _, s := range []string{"store.json", "h/0123456789abcdef/b/aa/x", "", "..", "a/../b", "a//b", "/a", "a/", ".x", "A", "a\x00", "a\\..\\b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if backends.CheckKey(key) != nil {
			return
		}
		if path.Clean(key) != key || !filepath.IsLocal(key) || strings.ToLower(key) != key || strings.Contains("/"+key, "/.") {
			t.Errorf("accepted %q", key)
		}
		for i := range key {
			if i > 0 && key[i-1] != '/' || i == 0 {
				if err := backends.CheckPrefix(key[:i]); err != nil {
					t.Errorf("prefix %q of %q: %v", key[:i], key, err)
				}
			}
		}
	})
}

// plain hides every optional method.
type plain struct{ backends.Backend }

// liar says that objects are larger than they are.
type liar struct {
	backends.Backend
	size int64
}

func (l liar) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, backends.ObjectInfo, error) {
	r, info, err := l.Backend.Get(ctx, key, off, -1)
	info.Size = l.size
	return r, info, err
}

func TestReadRange_Untrusted(t *testing.T) {
	b := mem.New()
	if _, err := b.Put(t.Context(), "x", backends.Bytes([]byte("0123456789"), nil), backends.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := backends.ReadRange(t.Context(), plain{b}, "x", 2, 3, nil); err != nil || string(got) != "234" {
		t.Errorf("without RangeReader: %q, %v", got, err)
	}
	if _, err := backends.ReadRange(t.Context(), b, "x", 0, 1<<50, nil); !errors.Is(err, backends.ErrInvalidRange) {
		t.Errorf("a petabyte of ten bytes: %v", err)
	}
	if _, err := backends.ReadRange(t.Context(), liar{b, backends.MaxWhole + 1}, "x", 0, -1, nil); !errors.Is(err, backends.ErrTooLarge) {
		t.Errorf("object too large: %v", err)
	}
	if _, err := backends.ReadRange(t.Context(), liar{b, 20}, "x", 0, -1, nil); !errors.Is(err, io.ErrUnexpectedEOF) || !backends.Retryable(err) {
		t.Errorf("object shorter than announced: %v", err)
	}
}

type readerSource struct {
	io.Reader
	size int64
}

func (s readerSource) Size() int64                      { return s.size }
func (s readerSource) SHA256() []byte                   { return nil }
func (s readerSource) Open() (io.ReadSeekCloser, error) { return readerSeeker{s.Reader}, nil }

type readerSeeker struct{ io.Reader }

func (readerSeeker) Seek(int64, int) (int64, error) { return 0, errors.ErrUnsupported }
func (readerSeeker) Close() error                   { return nil }

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestCopy_OddReaders(t *testing.T) {
	text := strings.Repeat("0123456789", 100)
	for name, c := range map[string]struct {
		r    io.Reader
		want error
	}{
		"one byte a time": {iotest.OneByteReader(strings.NewReader(text)), nil},
		"data with EOF":   {iotest.DataErrReader(strings.NewReader(text)), nil},
		"half":            {iotest.HalfReader(strings.NewReader(text)), nil},
		"stuck":           {stuck{}, io.ErrNoProgress},
		"timeout":         {iotest.TimeoutReader(iotest.HalfReader(iotest.OneByteReader(strings.NewReader(text)))), iotest.ErrTimeout},
		"error with data": {iotest.DataErrReader(io.MultiReader(strings.NewReader(text), iotest.ErrReader(fs.ErrInvalid))), fs.ErrInvalid},
	} {
		var out strings.Builder
		err := backends.Copy(t.Context(), &out, readerSource{c.r, int64(len(text))}, nil)
		if !errors.Is(err, c.want) || c.want == nil && out.String() != text {
			t.Errorf("%s: %d bytes, %v; want %v", name, out.Len(), err, c.want)
		}
	}
}
