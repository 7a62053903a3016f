package web

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/core"
)

// CheckListen reports whether the gateway may listen on addr ("127.0.0.1:8080",
// "[::1]:8080", "localhost:8080"). Without authentication only loopback addresses
// are allowed: anybody who reaches the gateway may call everything it serves.
func CheckListen(addr string, authenticated bool) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return &core.Error{
			Code: core.CodeInvalid, Err: err,
			Message: fmt.Sprintf("listen address %q is not host:port", addr),
			Fix:     "write it like 127.0.0.1:8080 or [::1]:8080",
		}
	}
	if authenticated || strings.EqualFold(host, "localhost") {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().IsLoopback() {
		return nil
	}
	return &core.Error{
		Code:    core.CodeDenied,
		Message: fmt.Sprintf("listen address %q can be reached from other machines, and no authentication is configured", addr),
		Fix:     "listen on a loopback address such as 127.0.0.1:8080, behind a proxy that authenticates if others must reach it, or configure authentication",
	}
}

// listener wraps what it accepts, counts it, and stays alive when the process runs
// out of files for a moment: fasthttp would stop serving for good.
type listener struct {
	net.Listener
	edge *Edge
}

// Accept returns the next connection that is within the limits.
func (l *listener) Accept() (net.Conn, error) {
	pause := time.Duration(0)
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if !passing(err) {
				return nil, err
			}
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			l.edge.log.Warn("cannot accept a connection, trying again", "error", err, "pause", pause)
			time.Sleep(pause)
			continue
		}
		pause = 0
		if wrapped := l.edge.admit(c); wrapped != nil {
			return wrapped, nil
		}
	}
}

// passing reports whether an error of Accept is likely to go away.
func passing(err error) bool {
	for _, one := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED, syscall.ENOBUFS, syscall.ENOMEM, syscall.EINTR} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// admit counts a new connection; nil when it was refused and closed.
func (e *Edge) admit(nc net.Conn) *conn {
	c := &conn{Conn: nc, edge: e, peer: address(nc.RemoteAddr()), local: address(nc.LocalAddr())}
	socket := nc
	if t, ok := nc.(*tls.Conn); ok {
		socket = t.NetConn()
	} else {
		c.plain = true
	}
	if s, ok := socket.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
	c.plain = c.plain && c.raw != nil
	for _, proxy := range e.proxies {
		if proxy.Contains(c.peer) {
			c.trusted = true
		}
	}
	c.peer = counted(c.peer)
	if c.trusted || e.limits.PerIP < 0 {
		c.peer = netip.Addr{}
	}

	e.mu.Lock()
	status := ""
	switch {
	case len(e.conns) >= e.limits.Connections:
		status = "503 Service Unavailable"
	case c.peer.IsValid() && e.perIP[c.peer] >= e.limits.PerIP:
		status = "429 Too Many Requests"
	default:
		e.nextConn++
		c.id = e.nextConn
		e.conns[c.id] = c
		if c.peer.IsValid() {
			e.perIP[c.peer]++
		}
	}
	e.mu.Unlock()
	if status == "" {
		return c
	}
	e.refusedConns.Add(1)
	if c.plain { // the send buffer of a new socket is empty: this cannot block
		_, _ = c.tryWrite([]byte("HTTP/1.1 " + status + "\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"))
	}
	_ = nc.Close()
	return nil
}

// forget is called once for every admitted connection, when it is closed.
func (e *Edge) forget(c *conn) {
	if c.watched.Load() {
		e.watch.remove(c)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e.mu.Lock()
	if c.life != nil { // its request runs on without it
		e.detached[c.id] = c
	}
	delete(e.conns, c.id)
	if c.peer.IsValid() {
		if e.perIP[c.peer]--; e.perIP[c.peer] <= 0 {
			delete(e.perIP, c.peer)
		}
	}
	e.mu.Unlock()
}

// rejoin is called when a request is over whose connection was closed before.
func (e *Edge) rejoin(c *conn) {
	e.mu.Lock()
	delete(e.detached, c.id)
	e.mu.Unlock()
}

func address(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ip, _ := netip.AddrFromSlice(tcp.IP)
		return ip.Unmap()
	}
	return netip.Addr{}
}

// counted is what one client is likely to have to itself: an IPv4 address, or the
// /64 around an IPv6 address.
func counted(ip netip.Addr) netip.Addr {
	if ip.Is6() {
		if prefix, err := ip.Prefix(64); err == nil {
			return prefix.Addr()
		}
	}
	return ip
}
