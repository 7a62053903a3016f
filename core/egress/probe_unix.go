//go:build unix

package egress

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// probe asks the kernel whether anything waits on an idle connection.
type probe struct {
	raw    syscall.RawConn
	polled [1]unix.PollFd
	busy   bool
	look   func(fd uintptr) // made once, so that asking allocates nothing
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
		p.polled[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		n, err := unix.Poll(p.polled[:], 0)
		p.busy = n != 0 || err != nil
	}
	return p
}

// quiet tells that neither bytes nor the end of the stream wait to be read.
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
