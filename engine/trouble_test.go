package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"vaultik/backends/retry"
	"vaultik/engine/events"
)

func TestTrouble(t *testing.T) {
	start := time.Now()
	down := errors.New("put \"h/x\": connection refused")
	for _, c := range []struct {
		name    string
		verbose bool
		fails   []int // seconds at which a call fails; < 0: when all were answered again
		want    []string
	}{
		{"an outage, said once", false, []int{0, 1, 3, 30, 60, 100, -120}, []string{
			`warning: mem://x: put "h/x": connection refused; retrying for up to 14 min 30 s`, "mem://x is responding again after 2 min"}},
		{"hiccups, the first is said", false, []int{0, -1, 10, -11, 20, -21, 30, -31}, []string{
			"warning: ", "mem://x is responding again after 1 s",
			"3 more calls to the store failed and were retried"}},
		{"hiccups, one a minute is said", false, []int{0, -1, 61, -62, 70, -71}, []string{
			"warning: ", "again after 1 s", "warning: ", "again after 1 s",
			"1 more call to the store failed and was retried"}},
		{"a hiccup that becomes an outage", false, []int{0, -1, 5, 6, 14, 15, 16, -30},
			[]string{"warning: ", "after 1 s", "warning: ", "after 25 s"}},
		{"every one with -v", true, []int{0, 1, -2}, []string{"warning: ", `put "h/x": connection refused; attempt 7, retrying within 3.0 s`, "after 2 s"}},
	} {
		var stderr bytes.Buffer
		all := newTroubles(events.Voice{Sink: &teller{stderr: &stderr, verbose: c.verbose}})
		tr := all.of("mem://x")
		began := -1
		n := int64(0)
		for _, sec := range c.fails {
			if sec < 0 {
				tr.over(time.Duration(-sec-began)*time.Second, true)
				began = -1
				continue
			}
			n++
			if began < 0 {
				began = sec
			}
			now := start.Add(time.Duration(sec) * time.Second)
			tr.retriedAt(now, retry.Retry{Op: "put", Key: "h/x", Attempt: 7, Err: down,
				Wait:    3 * time.Second,
				Trouble: time.Duration(sec-began) * time.Second, Left: 14*time.Minute +
					30*time.Second})
			if got := all.waiting(now.Add(5 * time.Second)); got != time.Duration(sec-began+5)*time.Second {
				t.Errorf("%s: waiting for %v", c.name, got)
			}
		}
		if got := all.sum(); got != n || all.waiting(start) != 0 {
			t.Errorf("%s: %d retries, waiting for %v", c.name, got, all.waiting(start))
		}
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		if len(lines) != len(c.want) {
			t.Errorf("%s:\n%s", c.name, stderr.String())
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(lines[i], want) {
				t.Errorf("%s: %q, want %q", c.name, lines[i], want)
			}
		}
	}
}

// A trouble that ends without an answer is over, and two stores are two.
func TestTroubles_Two(t *testing.T) {
	var stderr, stdout bytes.Buffer
	all := newTroubles(events.Voice{Sink: &teller{stderr: &stderr, stdout: &stdout}})
	a, b := all.of("mem://x"), all.of("mem://y")
	now := time.Now()
	a.retriedAt(now, retry.Retry{Op: "get", Err: errors.New("x"), Left: -1})
	b.retriedAt(now, retry.Retry{Op: "put", Err: errors.New("y")})
	if d := all.waiting(now.Add(time.Minute)); d != time.Minute ||
		!strings.Contains(stderr.String(),
			"warning: mem://y: y; retrying for up to 0 s") {
		t.Errorf("waiting for %v\n%s", d, stderr.String())
	}
	a.over(time.Second, false)
	b.over(time.Second, true)
	if all.waiting(now) != 0 || strings.Contains(stderr.String(), "mem://x answers") || !strings.Contains(stdout.String(), `{"type":"store-back","store":"mem://y","trouble_seconds":1}`) {
		t.Errorf("%s\n%s", stderr.String(), stdout.String())
	}
	a.retriedAt(now.Add(time.Hour), retry.Retry{Op: "get", Err: errors.New("x"), Left: -1})
	if n := strings.Count(stderr.String(),
		"warning: mem://x: x; retrying until it responds"); n != 2 {
		t.Errorf("%d warnings\n%s", n, stderr.String())
	}
	if n := strings.Count(stdout.String(), `{"type":"retry","store":"mem://x","op":"get","attempt":0,"reason":"x","wait_seconds":0,"trouble_seconds":0}`); n != 2 {
		t.Errorf("%s", stdout.String())
	}
}

// What libraries log becomes remarks: warnings all hear, the rest those who want more.
func TestLogs(t *testing.T) {
	var heard bytes.Buffer
	log := slog.New(logs{events.Voice{Sink: &teller{stderr: &heard,
		verbose: true}}}).With("component", "x")
	log.Debug("deep")
	log.Info("listing", "page", 2, "err", fmt.Errorf("odd\nline"))
	log.Warn("host key is not checked", "host", "h", "hint", "check it")
	want := "listing, page 2, err odd\nline\nwarning: host key is not checked, host h\nhint: check it\n"
	if heard.String() != want {
		t.Errorf("%q, want %q", heard.String(), want)
	}
}

// teller writes what a sink hears as the command line does, about.
type teller struct {
	stdout, stderr *bytes.Buffer
	verbose        bool
}

// Tell implements events.Sink.
func (s *teller) Tell(e events.Event) {
	switch e := e.(type) {
	case events.Remark:
		if e.Loudness < events.Rarely || s.verbose {
			fmt.Fprintln(s.stderr, e.Text)
		}
	case events.Warning:
		fmt.Fprintln(s.stderr, "warning: "+e.Message)
		if e.Hint != "" {
			fmt.Fprintln(s.stderr, "hint: "+e.Hint)
		}
	default:
		if s.stdout != nil {
			_ = json.NewEncoder(s.stdout).Encode(e)
		}
	}
}

// Watch implements events.Sink.
func (*teller) Watch(events.Work) (done func()) { return func() {} }
