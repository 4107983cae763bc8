package main

import (
	"bytes"
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"vaultik/backends"
	"vaultik/backends/mem"
	"vaultik/internal/fault"
	"vaultik/internal/testsize"
)

// odd is a store that can be told to misbehave: odd://what.
type odd struct {
	backends.Backend
	what     string
	readOnly bool
}

func init() {
	backends.Register("odd", func(ctx context.Context, u *url.URL,
		o backends.Options) (backends.Backend, error) {
		b, err := backends.Open(ctx, "mem://"+u.Host, backends.Options{Create: true,
			ReadOnly: o.ReadOnly})
		return odd{b, u.Host, o.ReadOnly}, err
	})
}

func (b odd) ListStream(ctx context.Context, prefix string,
	fn func(backends.ObjectInfo) error) error {
	n := 0
	return b.Backend.ListStream(ctx, prefix, func(o backends.ObjectInfo) error {
		if n++; b.what == "forgetful" && n == 1001 {
			return nil
		}
		return fn(o)
	})
}

func (b odd) Delete(ctx context.Context, key string) error {
	if b.what == "locked" && strings.Contains(key, "/006/") {
		return &backends.OpError{Op: "delete", Key: key, Err: backends.ErrLocked}
	}
	return b.Backend.Delete(ctx, key)
}

func (b odd) Stat(ctx context.Context, key string) (backends.ObjectInfo, error) {
	o, err := b.Backend.Stat(ctx, key)
	if b.what == "tomorrow" {
		o.ModTime = o.ModTime.Add(24 * time.Hour)
	}
	return o, err
}

func (b odd) Info(ctx context.Context) (backends.Info, error) {
	info, err := b.Backend.Info(ctx)
	info.ConditionalPut = info.ConditionalPut && b.what != "weak"
	return info, err
}

func (b odd) Put(ctx context.Context, key string, src backends.Source,
	o backends.PutOptions) (backends.ObjectInfo, error) {
	if b.what == "weak" && o.IfAbsent && !b.readOnly {
		return backends.ObjectInfo{}, &backends.OpError{Op: "put", Key: key,
			Err: backends.ErrUnsupported}
	}
	return b.Backend.Put(ctx, key, src, o)
}

func storeCheckOf(t *testing.T, what string) (code int, stdout, stderr string) {
	t.Helper()
	t.Cleanup(func() { mem.Drop(what) })
	t.Setenv("HOME", t.TempDir())
	var out, errs bytes.Buffer
	code = run([]string{"--store", "odd://" + what, "store", "check"}, &out, &errs)
	return code, out.String(), errs.String()
}

// What a place cannot do is told; what it does wrong fails the check.
func TestStoreCheck_OddPlaces(t *testing.T) {
	testsize.Long(t)
	for _, c := range []struct {
		what           string
		code           fault.Code
		stdout, stderr string
	}{
		{"fine", fault.Done, "checks that backups rely on passed", ""},
		{"forgetful", fault.Failed, `failed    List  `, "fails 1 of the "},
		{"forgetful", fault.Failed, `            list "": 1107 keys, want 1108`, "fix this before keeping backups there, then rerun: vaultik --store odd://forgetful store check"},
		{"locked", fault.Done, "put ", ": 1 object that could not be removed: delete \"check/"},
		{"tomorrow", fault.Failed, "clock             24:00:00 ahead of this machine's", ""}, // list and Stat differ
		{"weak", fault.Done, "safety            weak: for a store created here: two machines", ""},
		{"weak", fault.Done, "create if absent  no: ", ""},
	} {
		code, stdout, stderr := storeCheckOf(t, c.what)
		if code != int(c.code) || !strings.Contains(stdout, c.stdout) ||
			!strings.Contains(stderr, c.stderr) {
			t.Errorf("%s: exit %d, want %d\n%s%s\nwant %q and %q", c.what, code, c.code, stdout,
				stderr, c.stdout, c.stderr)
		}
		if c.stderr == "" && c.code == fault.Done && stderr != "" {
			t.Errorf("%s: %s", c.what, stderr)
		}
	}
}
