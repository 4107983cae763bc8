package faultproxy

import (
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// listener accepts connections at one address, and can stop listening there and
// begin again. It knows its connections, to reset them.
type listener struct {
	tb   testing.TB
	addr netip.AddrPort

	mu     sync.Mutex
	change sync.Cond    // inner or closed has changed
	inner  net.Listener // nil while out
	held   int          // a socket that keeps the address while out; -1: none
	conns  map[*conn]struct{}
	closed bool
}

func listen(tb testing.TB) *listener {
	tb.Helper()
	inner, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	l := &listener{tb: tb, inner: inner, held: -1, conns: map[*conn]struct{}{}}
	l.addr = inner.Addr().(*net.TCPAddr).AddrPort()
	l.change.L = &l.mu
	return l
}

// Accept is of net.Listener. It waits while out.
func (l *listener) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		for l.inner == nil && !l.closed {
			l.change.Wait()
		}
		inner, closed := l.inner, l.closed
		l.mu.Unlock()
		if closed {
			return nil, net.ErrClosed
		}
		c, err := inner.Accept()
		if err != nil {
			continue // closed for an outage, or for good
		}
		own := &conn{Conn: c, of: l}
		l.mu.Lock()
		out := l.inner == nil
		l.conns[own] = struct{}{}
		l.mu.Unlock()
		if out {
			own.reset()
			continue
		}
		return own, nil
	}
}

// out stops listening, so that connecting is refused, and resets all connections;
// or begins again.
func (l *listener) out(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || on == (l.inner == nil) {
		return
	}
	if on {
		_ = l.inner.Close()
		l.inner = nil
		l.held = l.hold()
		for c := range l.conns {
			c.resetLocked()
		}
		return
	}
	_ = unix.Close(l.held)
	l.held = -1
	inner, err := net.Listen("tcp4", l.addr.String())
	if err != nil {
		l.tb.Errorf("listen again: %v", err)
		return
	}
	l.inner = inner
	l.change.Broadcast()
}

// hold binds the address without listening: nobody else gets it meanwhile.
func (l *listener) hold() int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: int(l.addr.Port()), Addr: l.addr.Addr().As4()})
	}
	if err != nil {
		l.tb.Errorf("keep the address: %v", err)
	}
	return fd
}

// Close is of net.Listener. It resets all connections.
func (l *listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	if l.inner != nil {
		_ = l.inner.Close()
	}
	if l.held >= 0 {
		_ = unix.Close(l.held)
	}
	for c := range l.conns {
		c.resetLocked()
	}
	l.change.Broadcast()
	return nil
}

// Addr is of net.Listener.
func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// open returns how many connections are open.
func (l *listener) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// conn is a connection that its listener knows.
type conn struct {
	net.Conn
	of *listener
}

// Close is of net.Conn.
func (c *conn) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// reset ends the connection so that the other side sees a reset, not an end.
func (c *conn) reset() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.resetLocked()
}

func (c *conn) resetLocked() {
	delete(c.of.conns, c)
	reset(c.Conn)
}

func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
