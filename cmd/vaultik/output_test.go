package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"vaultik/engine/events"
	"vaultik/messages"
)

func TestMeter(t *testing.T) {
	p := new(messages.Progress)
	start := time.Unix(1000, 0)
	waiting := time.Duration(0)
	m := events.NewMeter(events.Work{Progress: p,
		Waiting: func(time.Time) time.Duration { return waiting }}, start)
	p.FilesTotal.Store(5000)
	p.BytesTotal.Store(100 << 20)
	p.SetCurrent("home/漢字\n")
	for i := range 10 {
		p.FilesDone.Add(120)
		p.BytesDone.Add(1 << 20)
		line := progressLine(m, start.Add(time.Duration(i+1)*time.Second), 100)
		if strings.Contains(line, "left") || !strings.Contains(line, "5,000+ files") ||
			!strings.Contains(line, "1.0 MiB/s") {
			t.Errorf("%q", line)
		}
	}
	p.TotalKnown.Store(true)
	p.Errors.Store(2)
	line := progressLine(m, start.Add(10*time.Second), 120)
	want := `[==                  ]  10 %  1,200/5,000 files  10 MiB/100 MiB  1.0 MiB/s  1:30 left  2 errors  home/漢字\n`
	if line != want {
		t.Errorf("%q\n%q", line, want)
	}
	waiting = 72 * time.Second
	if got := progressLine(m, start.Add(10*time.Second), 150); !strings.HasSuffix(got,
		"2 errors  store not responding for 1 min 12 s, retrying") {
		t.Errorf("%q", got)
	}
	for width := 20; width < 130; width++ {
		if got := progressLine(m, start.Add(10*time.Second), width); columns(got) >= width ||
			!strings.Contains(got, " 10 %") {
			t.Errorf("width %d: %q", width, got)
		}
	}
	if got := tail("home/user/pictures/漢字", 15); got != "...ictures/漢字" {
		t.Errorf("%q", got)
	}
	b, err := json.Marshal(m.Event(start.Add(10 * time.Second)))
	if err != nil || !strings.Contains(string(b), `"seconds_left":90`) || !strings.Contains(string(b), `"files_done":1200`) {
		t.Errorf("%s, %v", b, err)
	}
}

func TestShow_Compacted(t *testing.T) {
	for blobs, want := range map[int]string{
		1: "stored 2.0 MiB anew, so that this snapshot does without 1 blob of 15 MiB that was " +
			"mostly unused\n",
		3: "stored 2.0 MiB anew, so that this snapshot does without 3 blobs of 15 MiB that were " +
			"mostly unused\n",
	} {
		var b bytes.Buffer
		s := newSession(&b, new(bytes.Buffer))
		s.showObject(events.Compacted{Stored: 2 << 20, Blobs: blobs, Left: 15 << 20})
		if b.String() != want {
			t.Errorf("%q", b.String())
		}
	}
}

func TestShowProgress_JSON(t *testing.T) {
	var out, errs bytes.Buffer
	s := newSession(&out, &errs)
	s.out.json = true
	stop := s.Watch(events.Work{Progress: new(messages.Progress)})
	stop()
	if errs.Len() > 0 {
		t.Errorf("%q", errs.String())
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestFinish_StdoutBroken(t *testing.T) {
	var errs bytes.Buffer
	s := newSession(failingWriter{}, &errs)
	s.sum.Command = "ls"
	s.out.result("x")
	if code := s.finish(nil); code != 1 || errs.String() != "vaultik: error: write output: full\n" {
		t.Errorf("%d %q", code, errs.String())
	}
}

func TestProtect_Panic(t *testing.T) {
	var out, errs bytes.Buffer
	s := newSession(&out, &errs)
	s.out.json = true
	err := protect(t.Context(), func() error { panic("AGE-SECRET-KEY-1ABCDEFGH") })
	if code := s.finish(err); code != 1 {
		t.Errorf("exit %d", code)
	}
	if !strings.Contains(errs.String(), "error: internal error: AGE-SECRET-KEY-[not shown]\n") ||
		strings.Contains(errs.String()+out.String(), "ABCDEFGH") ||
		!strings.Contains(out.String(), `"type":"summary"`) {
		t.Errorf("%s%s", errs.String(), out.String())
	}
}
