package testserver

import (
	"crypto/rand"
	"sync"
	"testing"
)

// running holds the servers that several tests use.
var running = struct {
	sync.Mutex
	servers map[string]*shared
}{servers: map[string]*shared{}}

// shared is a server and how many tests use it.
type shared struct {
	users int
	s3    S3
}

// acquire returns the server that key names, started if it does not run, until
// the test ends.
func acquire(tb testing.TB, key string, newServer func() S3) S3 {
	tb.Helper()
	running.Lock()
	defer running.Unlock()
	s := running.servers[key]
	if s == nil {
		s = &shared{s3: newServer()}
		running.servers[key] = s
	}
	s.users++
	tb.Cleanup(func() {
		running.Lock()
		defer running.Unlock()
		if s.users--; s.users == 0 {
			delete(running.servers, key)
			s.s3.process.stop(tb)
		}
	})
	s.s3.process.showLog(tb)
	return s.s3
}

// random returns n random letters and digits.
func random(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, n)
	_, _ = rand.Read(b) // does not fail
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b)
}
