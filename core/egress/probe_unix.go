//go:build unix

package egress

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// probe works on the socket of a connection without the detours of package net. It
// uses package syscall as net does, so that the race detector sees what I/O orders.
type probe struct {
	raw  syscall.RawConn
	busy bool
	one  [1]byte
	look func(fd uintptr)      // made once, so that asking allocates nothing
	take func(fd uintptr)      // the same, for swallow
	step func(fd uintptr) bool // the same, for converse

	out, in   []byte
	asked     bool
	sent, got int
	failed    error
}

func newProbe(c net.Conn) *probe {
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	p := &probe{raw: raw}
	p.look = func(fd uintptr) {
		_, err := syscall.Read(int(fd), p.one[:])
		p.busy = !errors.Is(err, syscall.EAGAIN)
	}
	p.take = func(fd uintptr) {
		n, err := syscall.Read(int(fd), p.in)
		switch {
		case n > 0:
			p.got = n
		case !errors.Is(err, syscall.EAGAIN):
			p.got = -1
		}
	}
	p.step = func(fd uintptr) bool {
		if p.asked {
			return p.read(int(fd))
		}
		p.asked = true
		if p.read(int(fd)) {
			p.got, p.failed = 0, errStirred
			return true
		}
		p.write(int(fd))
		return p.failed != nil || p.sent < len(p.out)
	}
	return p
}

// converse looks whether the connection is quiet, writes out, and waits for what
// comes then, as much as one read takes. It is errStirred when it was not quiet; then
// nothing was sent.
//
// A Read of package net tries first and waits then, and right behind a request that
// try finds nothing. Here the look of before is the try: the wait is armed, then
// nothing is there, then the request goes out, so an answer that is faster than we
// are still ends the wait. got is 0 without an error when not all of out could be
// sent at once: then nobody waited.
func (p *probe) converse(out, in []byte) (sent, got int, err error) {
	p.out, p.in, p.asked, p.sent, p.got, p.failed = out, in, false, 0, 0, nil
	err = p.raw.Read(p.step)
	p.out, p.in = nil, nil
	if p.failed != nil {
		err = p.failed
	}
	return p.sent, p.got, err
}

func (p *probe) write(fd int) {
	for {
		n, err := syscall.Write(fd, p.out)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err == nil:
			p.sent = n
		case !errors.Is(err, syscall.EAGAIN):
			p.failed = os.NewSyscallError("write", err)
		}
		return
	}
}

// read returns false to wait on.
func (p *probe) read(fd int) bool {
	for {
		n, err := syscall.Read(fd, p.in)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return false
		case err != nil:
			p.failed = os.NewSyscallError("read", err)
		case n == 0:
			p.failed = io.EOF
		default:
			p.got = n
		}
		return true
	}
}

// swallow reads up to len(in) bytes that are there: 0 when there are none, -1 when the
// connection is over.
func (p *probe) swallow(in []byte) int {
	p.in, p.got = in, 0
	err := p.raw.Control(p.take)
	if p.in = nil; err != nil {
		return -1
	}
	return p.got
}

// quiet tells that neither bytes nor the end of the stream wait to be read. A byte
// that waits is lost by asking: its connection is good for nothing.
func (p *probe) quiet() bool {
	if p == nil {
		return true
	}
	p.busy = true
	if err := p.raw.Control(p.look); err != nil {
		return false
	}
	return !p.busy
}
