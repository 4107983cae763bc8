package backendtest

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"vaultik/backends"
	"vaultik/backends/mem"
	"vaultik/internal/testsize"
)

// harness gives stores in memory, each changed by wrap.
func harness(p Profile, wrap func(backends.Backend) backends.Backend) Harness {
	return Harness{Profile: p, New: func(t *T) Opener {
		name := strings.ToLower(strings.ReplaceAll(keyOf("%p", t), "0x", "check"))
		t.Cleanup(func() { mem.Drop(name) })
		return func(ctx context.Context, o backends.Options) (backends.Backend, error) {
			b, err := backends.Open(ctx, "mem://"+name, o)
			if err != nil {
				return nil, err
			}
			return wrap(b), nil
		}
	}}
}

func results(t *testing.T, h Harness) map[string]Result {
	t.Helper()
	got := map[string]Result{}
	if err := Check(t.Context(), h, func(r Result) { got[r.Name] = r }); err != nil {
		t.Error(err)
	}
	return got
}

// meter counts what goes through a backend.
type meter struct {
	backends.Backend
	up, down, calls *atomic.Int64
}

func (m meter) Put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (backends.ObjectInfo, error) {
	m.calls.Add(1)
	last, told := int64(0), o.Progress
	o.Progress = func(done, total int64) {
		m.up.Add(done - last)
		last = done
		if told != nil {
			told(done, total)
		}
	}
	return m.Backend.Put(ctx, key, src, o)
}

func (m meter) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, backends.ObjectInfo, error) {
	m.calls.Add(1)
	r, info, err := m.Backend.Get(ctx, key, off, n)
	if err == nil {
		r = countedReader{r, m.down}
	}
	return r, info, err
}

type countedReader struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c countedReader) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (m meter) Stat(ctx context.Context, key string) (backends.ObjectInfo, error) {
	m.calls.Add(1)
	return m.Backend.Stat(ctx, key)
}

func (m meter) Delete(ctx context.Context, key string) error {
	m.calls.Add(1)
	return m.Backend.Delete(ctx, key)
}

func (m meter) ListStream(ctx context.Context, prefix string, fn func(backends.ObjectInfo) error) error {
	m.calls.Add(1)
	return m.Backend.ListStream(ctx, prefix, fn)
}

// A good store keeps every promise, and the cases do not move more than they
// announce.
func TestCheck_MovesWhatItSays(t *testing.T) {
	testsize.Long(t)
	for name, p := range map[string]Profile{"full": Full(), "light": Light()} {
		var up, down, calls atomic.Int64
		h := harness(p, func(b backends.Backend) backends.Backend { return meter{b, &up, &down, &calls} })
		for _, r := range results(t, h) {
			if len(r.Failures) > 0 || r.Omitted != "" {
				t.Errorf("%s: %+v", name, r)
			}
		}
		t.Logf("%s: %.1f MB up, %.1f MB down, %d calls", name, float64(up.Load())/1e6, float64(down.Load())/1e6, calls.Load())
		if n := calls.Load(); n > int64(p.Calls) || n < int64(p.Calls)*6/10 {
			t.Errorf("%s: %d calls; announced are %d", name, n, p.Calls)
		}
		if up.Load() > p.Up || up.Load() < p.Up*7/10 || down.Load() > p.Down || down.Load() < p.Down*6/10 {
			t.Errorf("%s: %d bytes up, %d down; announced are %d and %d", name, up.Load(), down.Load(), p.Up, p.Down)
		}
	}
}

// torn lets Put be seen before it is complete.
type torn struct{ backends.Backend }

func (b torn) Put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (backends.ObjectInfo, error) {
	_, _ = b.Backend.Put(ctx, key, backends.Bytes([]byte("part"), nil), backends.PutOptions{})
	return b.Backend.Put(ctx, key, src, o)
}

// forgetful lists one object less than there are, where they are many.
type forgetful struct{ backends.Backend }

func (b forgetful) ListStream(ctx context.Context, prefix string, fn func(backends.ObjectInfo) error) error {
	n := 0
	return b.Backend.ListStream(ctx, prefix, func(o backends.ObjectInfo) error {
		if n++; n == 1001 {
			return nil
		}
		return fn(o)
	})
}

// broken panics where others answer.
type broken struct{ backends.Backend }

func (broken) Info(context.Context) (backends.Info, error) { panic("out of order") }

func TestCheck_FindsWhatIsWrong(t *testing.T) {
	testsize.Long(t)
	for _, c := range []struct {
		wrap func(backends.Backend) backends.Backend
		want string // the case that sees it
		says string
	}{
		{func(b backends.Backend) backends.Backend { return torn{b} }, "If absent", "object exists"},
		{func(b backends.Backend) backends.Backend { return torn{b} }, "Source fails", "ErrNotFound"},
		{func(b backends.Backend) backends.Backend { return forgetful{b} }, "List", "keys, want"},
		{func(b backends.Backend) backends.Backend { return broken{b} }, "Info", "panic: out of order"},
	} {
		r := results(t, harness(Light(), c.wrap))[c.want]
		if len(r.Failures) == 0 {
			t.Errorf("%s: nothing found", c.want)
		} else if all := strings.Join(r.Failures, "; "); !strings.Contains(all, c.says) {
			t.Errorf("%s: %s; want %q", c.want, all, c.says)
		}
	}
}

// poor can neither create if absent, which it says, nor delete many at once.
type poor struct{ backends.Backend }

func (b poor) Info(ctx context.Context) (backends.Info, error) {
	info, err := b.Backend.Info(ctx)
	info.ConditionalPut = false
	return info, err
}

func (b poor) Put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (backends.ObjectInfo, error) {
	if o.IfAbsent {
		if err := b.Delete(ctx, "none"); err != nil { // read-only, closed, cancelled
			return backends.ObjectInfo{}, err
		}
		return backends.ObjectInfo{}, &backends.OpError{Op: "put", Key: key, Err: backends.ErrUnsupported}
	}
	return b.Backend.Put(ctx, key, src, o)
}

// What a store cannot do is no failure, and is told.
func TestCheck_Lacks(t *testing.T) {
	for name, r := range results(t, harness(Light(), func(b backends.Backend) backends.Backend { return poor{b} })) {
		lacks := strings.HasPrefix(name, "If absent") || name == "Delete many"
		if len(r.Failures) > 0 || (r.Lacks != "") != lacks {
			t.Errorf("%+v", r)
		}
	}
}

func TestCheck_OmitsAndStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h := harness(Light(), func(b backends.Backend) backends.Backend { return b })
	h.Omit = map[string]string{"Missing store": "it is there"}
	var seen []Result
	err := Check(ctx, h, func(r Result) {
		if seen = append(seen, r); len(seen) == 3 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || len(seen) != 3 || seen[0].Omitted != "it is there" || seen[1].Omitted != "" {
		t.Errorf("%+v, %v", seen, err)
	}
}

// Everything holds below a prefix as well, beside objects that are not seen there.
func TestScratch(t *testing.T) {
	t.Cleanup(func() { mem.Drop("scratch") })
	open := func(ctx context.Context, o backends.Options) (backends.Backend, error) {
		return backends.Open(ctx, "mem://scratch", o)
	}
	all, err := open(t.Context(), backends.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	outside := []string{"store.json", "check/0/1", "check/00/x", "check/0"}
	for _, key := range outside {
		if _, err := all.Put(t.Context(), key, backends.Bytes([]byte(key), nil), backends.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	p := Light()
	p.MaxKey -= len("check/0/000/")
	h := Harness{Profile: p, Omit: map[string]string{"Missing store": "it is there"}, New: func(*T) Opener {
		n++
		return Scratch(open, keyOf("check/0/%03d/", n))
	}}
	for _, r := range results(t, h) {
		if len(r.Failures) > 0 {
			t.Errorf("%+v", r)
		}
	}
	for _, key := range outside {
		if b, err := backends.Objects(all).Get(t.Context(), key, 0, -1); err != nil || string(b) != key {
			t.Errorf("%s: %q, %v", key, b, err)
		}
	}
	if err := all.ListStream(t.Context(), "", func(o backends.ObjectInfo) error {
		if !strings.HasPrefix(o.Key, "check/0/0") && o.Size != int64(len(o.Key)) {
			t.Errorf("%s is outside", o.Key)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
