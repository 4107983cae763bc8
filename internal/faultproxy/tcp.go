package faultproxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// TCP is a proxy for the server at target, host:port. A rule is for a connection, a
// fault for its bytes from the first on.
func TCP(tb testing.TB, target string, rules ...Rule) *Proxy {
	tb.Helper()
	l := listen(tb)
	p := &Proxy{Addr: l.addr.String(), l: l}
	p.Script(rules...)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(c, target) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return p
}

func (p *Proxy) serve(client net.Conn, target string) {
	f := p.script.next("", "")
	switch f.kind {
	case resetBefore:
		resetConn(client)
		return
	case blackHole:
		_, _ = io.Copy(io.Discard, client)
		_ = client.Close()
		return
	}
	server, err := net.Dial("tcp", target)
	if err != nil {
		resetConn(client)
		return
	}
	up, down := stream{delay: f.delay, rate: f.rate, cut: -1, flip: -1}, stream{delay: f.delay, rate: f.rate, cut: -1, flip: -1}
	switch f.kind {
	case cutUp:
		up.cut = f.at
	case cutDown:
		down.cut = f.at
	case flipUp:
		up.flip = f.at
	case flipDown:
		down.flip = f.at
	}
	var wg sync.WaitGroup
	for _, way := range []struct {
		s        stream
		from, to net.Conn
	}{{up, client, server}, {down, server, client}} {
		wg.Go(func() {
			err := way.s.pump(way.to, way.from)
			if err == nil {
				err = closeWrite(way.to) // the other way may still have something to say
			}
			if err != nil { // cut, or one side is gone: so is the connection
				resetConn(client)
				resetConn(server)
			}
		})
	}
	wg.Wait()
	_ = client.Close()
	_ = server.Close()
}

func resetConn(c net.Conn) {
	if own, ok := c.(*conn); ok {
		own.reset()
		return
	}
	reset(c)
}

func closeWrite(c net.Conn) error {
	if own, ok := c.(*conn); ok {
		c = own.Conn
	}
	if t, ok := c.(*net.TCPConn); ok {
		return t.CloseWrite()
	}
	return nil
}

// stream is one way of a connection.
type stream struct {
	delay     time.Duration
	rate      int64
	cut, flip int64 // bytes; -1: never
}

type piece struct {
	b   []byte
	due time.Time // not before
}

// pump passes bytes until from ends (nil), or one of the two fails.
func (s stream) pump(to io.Writer, from io.Reader) error {
	pieces := make(chan piece, 256)
	failed := make(chan error, 1)
	go func() { failed <- s.write(to, pieces) }()
	var off int64
	free := time.Now() // when the line has passed all before
	for {
		b := make([]byte, 16<<10)
		n, err := from.Read(b)
		b = b[:n]
		flip(b, off, s.flip)
		if s.cut >= 0 && off+int64(n) >= s.cut {
			b, err = b[:s.cut-off], errCut
		}
		off += int64(len(b))
		now := time.Now()
		if free.Before(now) {
			free = now
		}
		if s.rate > 0 {
			free = free.Add(time.Duration(int64(len(b)) * int64(time.Second) / s.rate))
		}
		select {
		case pieces <- piece{b, free.Add(s.delay)}:
		case werr := <-failed:
			return werr
		}
		if err != nil {
			close(pieces)
			if werr := <-failed; werr != nil {
				return werr
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

func (s stream) write(to io.Writer, pieces <-chan piece) error {
	for p := range pieces {
		if d := time.Until(p.due); d > 0 && (s.delay > 0 || s.rate > 0) {
			<-time.After(d)
		}
		if _, err := to.Write(p.b); err != nil {
			return err
		}
	}
	return nil
}
