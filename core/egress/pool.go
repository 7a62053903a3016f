package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

// transport makes single exchanges with one origin: pool speaks HTTP/1.1, http2
// the other. Upstreams with equal profiles share one.
type transport interface {
	// roundTrip makes one exchange. It sets m.reused, and m.source when m.live.
	roundTrip(ctx context.Context, m *message) (*core.Response, error)
	sweep(now time.Time)
	idle() int
	close()
}

// pool keeps idle HTTP/1.1 connections, the warmest on top.
type pool struct {
	dialer *dialer
	now    func() time.Time
	keep   time.Duration // how long a connection stays idle at most
	log    *slog.Logger

	mu     sync.Mutex
	free   []*conn
	late   []*conn // their last answer has not ended; the first is the oldest
	closed bool
}

// maxFree bounds idle connections; the bulkheads bound busy ones.
const maxFree = 256

// dialError is a failure before anything was sent.
type dialError struct{ err error }

func (d *dialError) Error() string { return d.err.Error() }
func (d *dialError) Unwrap() error { return d.err }

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, bufferSize); return &b }}

// smallBody is what is copied behind the head, so that one write sends both.
const smallBody = 32 << 10

func (p *pool) roundTrip(ctx context.Context, m *message) (*core.Response, error) {
	buffer := buffers.Get().(*[]byte)
	defer func() {
		if cap(*buffer) <= 2*smallBody {
			buffers.Put(buffer)
		}
	}()
	*buffer = m.appendHead((*buffer)[:0])
	rest := m.body
	if len(rest) <= smallBody {
		*buffer, rest = append(*buffer, rest...), nil
	}
	c := p.take(m.start)
	m.reused = c != nil
	for {
		if c == nil {
			var err error
			if c, err = p.dial(ctx, m.deadline); err != nil {
				return nil, &dialError{err}
			}
		}
		answer, err := p.exchange(ctx, c, m, *buffer, rest)
		if errors.Is(err, errStirred) {
			c = p.take(m.start)
			m.reused = c != nil
			continue
		}
		if err == nil || !c.stale(err, m.idempotent) || ctx.Err() != nil {
			return answer, err
		}
		// The upstream closed the idle connection in the moment we took it, and this
		// request did not reach it, or may reach it twice: once more on a new one,
		// which by being new cannot be stale.
		c, m.reused = nil, false
	}
}

// stale tells whether a failed exchange may be tried once more on a new connection.
func (c *conn) stale(err error, idempotent bool) bool {
	if !c.reused || c.got || c.aborted.Load() || errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	return idempotent || c.sent == 0
}

func (p *pool) dial(ctx context.Context, deadline time.Time) (*conn, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	wire, err := p.dialer.dial(ctx)
	if err != nil {
		return nil, err
	}
	if t, ok := wire.(*tls.Conn); ok {
		return newConn(wire, t.NetConn(), p.now), nil
	}
	return newConn(wire, wire, p.now), nil
}

// exchange makes one exchange on c, and keeps or closes c.
func (p *pool) exchange(ctx context.Context, c *conn, m *message, first, rest []byte) (*core.Response, error) {
	keep, flows := false, false
	c.sent, c.got, c.later = 0, false, time.Time{}
	stop := neverStarted
	if life, ok := ctx.(*core.Lifetime); ok {
		life.OnCancel(&c.waiter, c.abort) // the deadline is the connection's already
		stop = c.stop
	} else if ctx.Done() != nil {
		stop = context.AfterFunc(ctx, c.abort)
	}
	// Also on a panic of a callback. stop is false when abort has begun: its deadline
	// may come after this exchange, so the connection is not used again.
	defer func() {
		if flows {
			return
		}
		if !stop() || !keep {
			c.close()
			return
		}
		m.ended = p.now()
		p.give(c, m.ended)
	}()
	answer, again, err := c.converse(m, first, rest)
	if f, ok := m.source.(*flow); ok && err == nil {
		if m.source = nil; !stop() {
			return nil, errAborted
		}
		f.pool, f.keep = p, again
		m.source, flows = f, true
		return answer, nil
	}
	keep = err == nil && again
	if err == nil && c.r != c.w {
		keep = false
		p.log.Warn("bytes after an answer; the connection is closed", "connection", m.name, "bytes", c.w-c.r)
	}
	return answer, err
}

func neverStarted() bool { return true }

// take returns an idle connection that still looks alive, or nil. That it is silent
// is seen now, or by the exchange where it can look for itself.
func (p *pool) take(now time.Time) *conn {
	for {
		c := p.pop()
		if c == nil {
			return p.takeLate(now)
		}
		// Bytes that wait before we asked are the answer to nobody's request.
		if now.Sub(c.freed) < p.keep && (c.plain || c.probe.quiet()) {
			return c
		}
		c.close()
	}
}

// takeLate is take for those whose last answer had not ended when they were given back.
// The first of them is the likeliest to have seen the end.
func (p *pool) takeLate(now time.Time) *conn {
	for range maxEarly {
		c := p.popLate()
		if c == nil {
			return nil
		}
		quiet, dead := c.settled()
		switch {
		case dead || now.Sub(c.freed) >= p.keep:
			c.close()
		case quiet:
			return c
		default:
			p.put(c)
		}
	}
	return nil
}

// maxEarly bounds how many connections are asked in vain before a new one is made.
const maxEarly = 4

func (p *pool) popLate() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.late) == 0 {
		return nil
	}
	c := p.late[0]
	p.late[0] = nil
	p.late = p.late[1:]
	return c
}

// pop takes the warmest connection; nil = there is none.
func (p *pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.free) - 1
	if n < 0 {
		return nil
	}
	c := p.free[n]
	p.free[n] = nil
	p.free = p.free[:n]
	return c
}

// give puts a connection back; it is not ours from then on.
func (p *pool) give(c *conn, now time.Time) {
	c.freed, c.reused, c.r, c.w = now, true, 0, 0
	if c.want = 0; len(c.buf) != bufferSize {
		c.buf = *readBuffers.Get().(*[]byte)
	}
	p.put(c)
}

// put makes an idle connection the warmest one, or the last in the line.
func (p *pool) put(c *conn) {
	p.mu.Lock()
	kept := !p.closed && len(p.free)+len(p.late) < maxFree
	switch {
	case !kept:
	case c.tail != nil:
		p.late = append(p.late, c)
	default:
		p.free = append(p.free, c)
	}
	p.mu.Unlock()
	if !kept {
		c.close()
	}
}

// maxTail is how long the end of an answer may be late that nobody waits for.
const maxTail = 10 * time.Second

// alive tells whether an idle connection may be of use later.
func (p *pool) alive(c *conn, now time.Time) bool {
	since := now.Sub(c.freed)
	quiet, dead := c.settled()
	switch {
	case dead || since >= p.keep:
		return false
	case !quiet:
		return since < maxTail
	}
	return c.probe.quiet()
}

// sweep closes what was idle too long, or was closed by the upstream.
func (p *pool) sweep(now time.Time) {
	var gone []*conn
	p.mu.Lock()
	live := p.free[:0]
	for _, c := range p.free {
		if p.alive(c, now) {
			live = append(live, c)
		} else {
			gone = append(gone, c)
		}
	}
	clear(p.free[len(live):])
	late := p.late[:0]
	for _, c := range p.late {
		switch {
		case !p.alive(c, now):
			gone = append(gone, c)
		case c.tail == nil: // the end has come
			live = append(live, c)
		default:
			late = append(late, c)
		}
	}
	clear(p.late[len(late):])
	p.free, p.late = live, late
	p.mu.Unlock()
	for _, c := range gone {
		c.close()
	}
}

func (p *pool) idle() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.free) + len(p.late)
}

// close closes the idle connections; busy ones close when their exchange ends.
func (p *pool) close() {
	p.mu.Lock()
	gone := slices.Concat(p.free, p.late)
	p.free, p.late, p.closed = nil, nil, true
	p.mu.Unlock()
	for _, c := range gone {
		c.close()
	}
}

var _ transport = (*pool)(nil)
