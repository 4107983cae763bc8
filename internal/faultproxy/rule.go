package faultproxy

import (
	"strings"
	"sync"
	"time"
)

// Rule says what happens to which requests, or connections of [TCP].
type Rule struct {
	Method string // "": every one; connections have none
	Path   string // a part of the path as sent, without the query; "": all
	Nth    int    // only the nth matching request, from 1; 0: from the first on
	Times  int    // how many from Nth on; 0: one if Nth is set, else all
	Each   bool   // Nth and Times count for each path by itself
	Do     Fault
}

// Fault is what happens. The zero value lets pass.
type Fault struct {
	kind   kind
	at     int64 // byte of a body or stream
	status int
	after  string // Retry-After
	delay  time.Duration
	rate   int64 // bytes/s
}

type kind int

const (
	pass kind = iota
	resetBefore
	resetAfter
	loseReply
	blackHole
	stallDown
	cutUp
	cutDown
	flipUp
	flipDown
	reply
)

// ResetBefore resets the connection when the head of the request is there, or at
// once: nothing reaches the server.
func ResetBefore() Fault { return Fault{kind: resetBefore} }

// ResetAfter takes the whole body and resets the connection: nothing reaches the
// server. HTTP only.
func ResetAfter() Fault { return Fault{kind: resetAfter} }

// LoseReply passes the request on, waits until the server has answered, and then
// resets the connection. HTTP only.
func LoseReply() Fault { return Fault{kind: loseReply} }

// BlackHole takes what the client sends and says nothing, until the client gives up.
func BlackHole() Fault { return Fault{kind: blackHole} }

// Stall passes the reply up to byte n of its body and then nothing more, until
// the client gives up. HTTP only.
func Stall(n int64) Fault { return Fault{kind: stallDown, at: n} }

// CutUp resets both sides after n bytes of the body on its way to the server.
func CutUp(n int64) Fault { return Fault{kind: cutUp, at: n} }

// CutDown resets the client's side after n bytes of the body on its way to it.
func CutDown(n int64) Fault { return Fault{kind: cutDown, at: n} }

// FlipUp inverts the lowest bit of byte n on its way to the server.
func FlipUp(n int64) Fault { return Fault{kind: flipUp, at: n} }

// FlipDown inverts the lowest bit of byte n on its way to the client.
func FlipDown(n int64) Fault { return Fault{kind: flipDown, at: n} }

// Status takes the body and answers with a status and no body, after which the
// connection is closed. retryAfter, if not "", is sent as the header. HTTP only.
func Status(code int, retryAfter string) Fault {
	return Fault{kind: reply, status: code, after: retryAfter}
}

// Latency delays what passes: a request once, bytes of TCP each way.
func Latency(d time.Duration) Fault { return Fault{delay: d} }

// Rate limits a connection to n bytes/s, each way. TCP only.
func Rate(n int64) Fault { return Fault{rate: n} }

// script finds the fault of each request.
type script struct {
	mu    sync.Mutex
	rules []Rule
	seen  []map[string]int // by rule and, with Each, path: matching requests so far
	hit   int              // requests that had a fault
	all   int
	sent  int64 // bytes of bodies to clients
}

func (s *script) set(rules []Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules, s.seen = rules, make([]map[string]int, len(rules))
	s.hit, s.all, s.sent = 0, 0, 0
}

// next returns the fault of the first rule that covers this request. Every rule
// that matches counts it.
func (s *script) next(method, path string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all++
	var f Fault
	for i, r := range s.rules {
		if r.Method != "" && r.Method != method || !strings.Contains(path, r.Path) {
			continue
		}
		of := ""
		if r.Each {
			of = path
		}
		if s.seen[i] == nil {
			s.seen[i] = map[string]int{}
		}
		s.seen[i][of]++
		first, times := max(r.Nth, 1), r.Times
		if times == 0 && r.Nth > 0 {
			times = 1
		}
		if n := s.seen[i][of]; f == (Fault{}) && n >= first && (times == 0 || n < first+times) {
			f = r.Do
		}
	}
	if f != (Fault{}) {
		s.hit++
	}
	return f
}
