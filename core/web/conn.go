package web

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/core"
)

// errLeft is the cause of a request's context when the client closed the
// connection; errStopped when the gateway stopped for good.
var (
	errLeft    = errors.New("the client closed the connection")
	errStopped = errors.New("the gateway stopped before the answer")
)

// writePiece is what one write deadline is given for: a reader that takes less in
// that time is too slow.
const writePiece = 64 << 10

// conn is one client connection. Fiber reads and writes through it; a stream takes
// it over.
type conn struct {
	net.Conn
	edge    *Edge
	raw     syscall.RawConn // of the socket, also below TLS; nil when there is none
	plain   bool            // bytes may be written to the socket itself
	id      uint64
	peer    netip.Addr // what is counted per address; invalid = not counted
	local   netip.Addr
	trusted bool // the peer is a trusted proxy

	// Only the serving goroutine uses these.
	host     string    // Host that was allowed last
	asked    asked     // the endpoint that was asked for last
	until    time.Time // the read deadline that is wanted
	readBy   time.Time // and the one that is set
	taken    uint64    // bytes that requests so far consumed, or less
	received atomic.Uint64
	deadline atomic.Int64 // write deadline in use, in Unix nanoseconds; 0 = none
	halfHead atomic.Bool  // waits for the rest of a request's head
	lingers  atomic.Bool  // read on for a while before closing
	watched  atomic.Bool
	owned    atomic.Bool // a stream has it: deadlines of others do not count
	left     atomic.Bool // the client closed its side
	closed   atomic.Bool

	mu     sync.Mutex
	life   *core.Lifetime // of the request being answered
	stream *stream
	turn   uint64 // counts requests, so that a late timer cannot end the next one
}

// Read counts what arrives.
func (c *conn) Read(b []byte) (int, error) {
	// A request that is whole in the buffer needs no deadline, and the next one
	// hardly another: moving it costs as much as a short answer.
	if early := c.until.Sub(c.readBy); early < 0 || early > c.edge.limits.early {
		c.readBy = c.until
		if err := c.Conn.SetReadDeadline(c.until); err != nil {
			return 0, err
		}
	}
	// When less than the whole buffer is free, a part of a head is in it: bodies are
	// read into an empty buffer, or past it.
	half := len(b) < c.edge.limits.Head
	if half {
		c.halfHead.Store(true)
	}
	n, err := c.Conn.Read(b)
	if half {
		c.halfHead.Store(false)
	}
	if n > 0 {
		c.received.Add(uint64(n))
	}
	return n, err
}

// Write writes in pieces, each under a deadline of its own.
func (c *conn) Write(b []byte) (n int, err error) {
	for {
		piece := b[n:]
		if len(piece) > writePiece {
			piece = piece[:writePiece]
		}
		if err := c.extend(); err != nil {
			return n, err
		}
		m, err := c.Conn.Write(piece)
		n += m
		if err != nil || n == len(b) {
			return n, err
		}
	}
}

// extend moves the write deadline on, at most ten times per limit: moving it costs
// as much as a short answer.
func (c *conn) extend() error {
	limit := c.edge.limits.Write
	now := c.edge.now()
	if c.deadline.Load() > now.Add(limit).UnixNano() {
		return nil
	}
	until := now.Add(limit + limit/10)
	c.deadline.Store(until.UnixNano())
	return c.Conn.SetWriteDeadline(until)
}

// SetDeadline sets both deadlines, unless a stream has the connection.
func (c *conn) SetDeadline(t time.Time) error {
	if c.owned.Load() {
		return nil
	}
	c.deadline.Store(0)
	c.until, c.readBy = t, t
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline is for the reads that come: the next one sets it, give or take a
// hundredth. fasthttp calls it before every read, never beside one.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.until = t
	return nil
}

// SetWriteDeadline does nothing: every write has one already.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// Close closes the connection. A client that is still sending what was refused
// gets a moment to read why, else a reset could overtake the answer.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	if c.lingers.Load() {
		c.linger()
	}
	err := c.Conn.Close()
	c.edge.forget(c)
	return err
}

func (c *conn) linger() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if c.Conn.SetReadDeadline(c.edge.now().Add(c.edge.limits.lingerOnError)) != nil {
		return
	}
	var sink [4096]byte
	for range 1024 {
		if _, err := c.Conn.Read(sink[:]); err != nil {
			return
		}
	}
}

// begin says which context ends when the client leaves, end that the request is over.
func (c *conn) begin(life *core.Lifetime) {
	c.mu.Lock()
	c.turn++
	c.life = life
	c.mu.Unlock()
	if c.left.Load() {
		c.leave()
	}
}

func (c *conn) end() {
	c.mu.Lock()
	c.turn++
	c.life = nil
	if c.closed.Load() {
		c.edge.rejoin(c)
	}
	c.mu.Unlock()
}

// leave ends what the client can no longer want: a parked stream at once, a request
// after a grace in which a client that sent its request and then closed its
// sending side (as in printf | nc) still gets a quick answer. It does not block;
// the watcher calls it.
func (c *conn) leave() {
	c.left.Store(true)
	c.mu.Lock()
	turn, stream, busy := c.turn, c.stream, c.life != nil
	c.mu.Unlock()
	if stream != nil && stream.parked {
		stream.leave()
		return
	}
	if busy {
		time.AfterFunc(c.edge.limits.LeaveGrace, func() {
			defer c.edge.contain("end the request of a client that left")
			c.cut(turn, errLeft)
		})
	}
}

// cut cancels the request that is being answered, when it still is that turn.
func (c *conn) cut(turn uint64, cause error) {
	c.mu.Lock()
	life, stream := c.life, c.stream
	same := c.turn == turn
	c.mu.Unlock()
	if !same {
		return
	}
	if stream != nil {
		stream.leave()
	}
	if life != nil {
		life.Cancel(cause)
	}
}

// stop ends whatever the connection is doing: the hard end of a drain.
func (c *conn) stop() {
	c.mu.Lock()
	turn := c.turn
	c.mu.Unlock()
	c.cut(turn, errStopped)
}
