package main

import (
	"bytes"
	"io"
	"log"
	"testing"
)

// What a library says through package log is a line of the program's own with -v, and
// nothing without.
func TestRemarks(t *testing.T) {
	t.Cleanup(func() { log.SetOutput(io.Discard) })
	for args, want := range map[string]string{
		"-v": "vaultik: Unsolicited response received: \"\\x1bHTTP/1.1\"\n",
		"-q": "",
	} {
		var stdout, stderr bytes.Buffer
		if code := run([]string{args, "version"}, &stdout, &stderr); code != 0 {
			t.Fatalf("exit %d: %s", code, stderr.String())
		}
		stderr.Reset()
		log.Printf("Unsolicited response received: %q", "\x1bHTTP/1.1")
		if got := stderr.String(); got != want {
			t.Errorf("with %s: %q, want %q", args, got, want)
		}
	}
}
