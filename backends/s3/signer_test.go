package s3

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vaultik/backends"
)

// scripted is a source whose answers a test decides.
type scripted struct {
	secret  string
	id      string
	expires time.Time
	days    int
	err     error
	asked   atomic.Int64
	wait    chan struct{} // nil: at once
}

func (s *scripted) name() string { return "a script" }

func (s *scripted) load(ctx context.Context, n need) (*grant, error) {
	s.asked.Add(1)
	if s.wait != nil {
		select {
		case <-s.wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if s.err != nil {
		return nil, s.err
	}
	g := newGrant([]byte(s.secret), make([]byte, hmacScratch), n, max(1, s.days))
	g.id, g.expires, g.again = s.id, s.expires, s.days == 0
	return g, nil
}

// clocked is a signer with a clock to be set.
type clocked struct {
	*signer
	src *scripted
	at  time.Time
}

func newClocked(src *scripted) *clocked {
	c := &clocked{src: src, at: time.Date(2026, 7, 8, 12, 0, 0, 0, time.UTC)}
	c.signer = newSigner(src, "r", func() time.Time { return c.at }, noLog)
	return c
}

func (c *clocked) want(t *testing.T, what, scope string, asked int64) *held {
	t.Helper()
	h, now, err := c.get(t.Context())
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return nil
	}
	if h.scope != scope || !now.Equal(c.at) || c.src.asked.Load() != asked {
		t.Errorf("%s: scope %s, want %s; the source was asked %d times, want %d", what, h.scope, scope, c.src.asked.Load(), asked)
	}
	return h
}

func TestSigner_Midnight(t *testing.T) {
	c := newClocked(&scripted{id: "ID", secret: "x"})
	first := c.want(t, "first", "20260708/r/s3/aws4_request", 1)
	c.at = time.Date(2026, 7, 8, 23, 59, 59, 999, time.UTC)
	c.want(t, "the last moment", "20260708/r/s3/aws4_request", 1)
	c.at = c.at.Add(time.Second)
	if h := c.want(t, "the next day", "20260709/r/s3/aws4_request", 2); h != nil && h.key == first.key {
		t.Error("the key of yesterday")
	}
	c.at = c.at.Add(-time.Minute) // a clock that is set back
	c.want(t, "yesterday again", "20260708/r/s3/aws4_request", 2)
}

func TestSigner_ManyDays(t *testing.T) {
	c := newClocked(&scripted{id: "ID", secret: "x", days: 3})
	c.want(t, "first", "20260708/r/s3/aws4_request", 1)
	c.at = c.at.AddDate(0, 0, 2)
	c.want(t, "the last day", "20260710/r/s3/aws4_request", 1)
	c.at = c.at.AddDate(0, 0, 1)
	fixed := newGrant([]byte("x"), make([]byte, hmacScratch), need{c.at.AddDate(0, 0, -3), "r"}, 3)
	c.source = envLike{fixed}
	if _, _, err := c.get(t.Context()); !errors.Is(err, backends.ErrAuth) || !strings.Contains(err.Error(), "served until 2026-07-11 and cannot be read again") {
		t.Errorf("after the last day: %v", err)
	}
}

// envLike answers with the same grant always.
type envLike struct{ g *grant }

func (envLike) name() string                                 { return "the environment" }
func (e envLike) load(context.Context, need) (*grant, error) { return e.g, nil }

func TestSigner_Temporary(t *testing.T) {
	src := &scripted{id: "ID", secret: "x"}
	c := newClocked(src)
	src.expires = c.at.Add(time.Hour)
	c.want(t, "first", "20260708/r/s3/aws4_request", 1)
	c.at = c.at.Add(55*time.Minute - time.Second)
	c.want(t, "long before the end", "20260708/r/s3/aws4_request", 1)
	c.at = c.at.Add(time.Second)
	src.err = &credentialError{err: errors.New("the source is down"), retry: true}
	c.want(t, "renewal fails", "20260708/r/s3/aws4_request", 2)
	c.want(t, "not asked at once again", "20260708/r/s3/aws4_request", 2)
	c.at = c.at.Add(renewPause)
	c.want(t, "renewal fails again", "20260708/r/s3/aws4_request", 3)
	c.at = c.at.Add(4 * time.Minute)
	if _, _, err := c.get(t.Context()); !errors.Is(err, src.err) {
		t.Errorf("at the end: %v", err)
	}
	src.err, src.secret, src.expires = nil, "y", c.at.Add(time.Minute)
	c.want(t, "renewed", "20260708/r/s3/aws4_request", 5)
	c.at = c.at.Add(29 * time.Second)
	c.want(t, "a short one, before its half", "20260708/r/s3/aws4_request", 5)
	c.at = c.at.Add(2 * time.Minute)
	if _, _, err := c.get(t.Context()); !errors.Is(err, backends.ErrAuth) || !strings.Contains(err.Error(), "ended at") {
		t.Errorf("the source has one that has ended: %v", err)
	}
}

// Many at once ask once; one that gives up does not hold up the others.
func TestSigner_AtOnce(t *testing.T) {
	src := &scripted{id: "ID", secret: "x", wait: make(chan struct{})}
	c := newClocked(src)
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() {
		_, _, err := c.get(ctx)
		gaveUp <- err
	}()
	for src.asked.Load() == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	src.asked.Store(0)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, _, err := c.get(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	close(src.wait)
	wg.Wait()
	if n := src.asked.Load(); n != 1 {
		t.Errorf("the source was asked %d times", n)
	}
}

// A key that is replaced in its file while a backup runs is found at the next
// refusal; one that is the same still is not asked for again and again.
func TestSigner_Replaced(t *testing.T) {
	f := newFake(t)
	path := f.keyFile(t)
	b := f.mustOpen(t, "", backends.Options{S3: backends.S3Options{Credentials: backends.S3Credentials{Source: "file", Path: path}}})
	f.id, f.secret = "AKIANEW", "new secret"
	err := put(t.Context(), b, "x", "text")
	if !errors.Is(err, backends.ErrAuth) || backends.Retryable(err) {
		t.Errorf("the file has the old key: %v", err)
	}
	if err := os.WriteFile(path, []byte(f.id+"\n"+f.secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := put(t.Context(), b, "x", "text"); !errors.Is(err, backends.ErrAuth) || !backends.Retryable(err) {
		t.Errorf("the file has a new key: %v", err)
	}
	if err := put(t.Context(), b, "x", "text"); err != nil {
		t.Errorf("with the new key: %v", err)
	}
	f.secret = "newer secret"
	if err := put(t.Context(), b, "x", "text"); !errors.Is(err, backends.ErrAuth) || backends.Retryable(err) {
		t.Errorf("another secret of the same key: %v", err)
	}
}

// A source that cannot be had for a while is an outage, except at the start.
func TestSigner_Outage(t *testing.T) {
	f := newFake(t)
	b := f.mustOpen(t, "", backends.Options{})
	b.signer.source = &scripted{err: &credentialError{err: backends.WithKind(backends.ErrAuth, errors.New("the command fails")), retry: true}}
	b.signer.held.Store(nil)
	if err := put(t.Context(), b, "x", "text"); !errors.Is(err, backends.ErrAuth) || !backends.Retryable(err) {
		t.Errorf("%v", err)
	}
	_, err := f.openParts(t, "s3://bucket/p?endpoint="+f.URL, backends.Options{S3: backends.S3Options{
		Credentials: backends.S3Credentials{Source: "command", Command: []string{"false"}},
	}}, parts{})
	if !errors.Is(err, backends.ErrAuth) || backends.Retryable(err) {
		t.Errorf("%v", err)
	}
}
