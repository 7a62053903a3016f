package egress

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
)

// conn is one HTTP/1.1 connection with its read buffer. One exchange at a time uses
// it; only abort may be called beside that.
type conn struct {
	wire   net.Conn // TCP or TLS
	plain  bool     // wire is what probe looks at
	probe  *probe
	now    func() time.Time
	buf    []byte
	r, w   int       // buf[r:w] is read from the wire and not yet taken
	freed  time.Time // when it went idle
	reused bool      // it has served an exchange before
	by     time.Time // the deadline that is set
	tail   []byte    // the end of an answer that nobody waited for: it comes before anything else; nil = none

	// Of the exchange that runs:
	sent    int       // bytes of the request that the kernel took
	got     bool      // at least one byte of the answer came
	want    int       // size that the empty buffer gets before a read; 0 = it stays
	later   time.Time // read deadline to set before the next read; zero = it is set
	aborted atomic.Bool
	abort   func()      // made once: context.AfterFunc wants a func
	stop    func() bool // of waiter; made once
	waiter  core.Waiter
}

const (
	bufferSize = 4 << 10
	leanSize   = 512 // of the buffer of a stream, until one read fills it
)

// readBuffers holds what streams that wait can do without.
var readBuffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

var (
	errAborted = errors.New("the exchange was cancelled")
	errStirred = errors.New("the idle connection was closed, or something came that nobody had asked for")
)

func newConn(wire net.Conn, raw net.Conn, now func() time.Time) *conn {
	c := &conn{wire: wire, probe: newProbe(raw), now: now, buf: make([]byte, bufferSize)}
	c.plain = c.probe != nil && wire == raw
	c.abort = func() {
		// The order matters: whoever sets a deadline looks at aborted afterwards.
		c.aborted.Store(true)
		_ = c.wire.SetDeadline(time.Unix(1, 0))
	}
	c.stop = c.waiter.Stop
	return c
}

// until sets the deadline of reads and writes, unless the exchange was aborted. It
// is t, counted from start, or later by a 32nd of that time and at most 50 ms:
// moving a deadline costs, and so one serves many short exchanges.
func (c *conn) until(t, start time.Time) error {
	slack := min(max(t.Sub(start)/32, 0), 50*time.Millisecond)
	if late := c.by.Sub(t); late < 0 || late > slack {
		c.by = t.Add(slack)
		if err := c.wire.SetDeadline(c.by); err != nil {
			return err
		}
	}
	if c.aborted.Load() {
		_ = c.wire.SetDeadline(time.Unix(1, 0))
		return errAborted
	}
	return nil
}

// write sends b whole.
func (c *conn) write(b []byte) error {
	n, err := c.wire.Write(b)
	c.sent += n
	return err
}

// ask sends a request whole. On a connection that was idle it makes sure of the
// silence before, and reads the first bytes of the answer too, which is cheaper in
// one. failed is an error of that read, not of the write.
func (c *conn) ask(b []byte) (broken, failed error) {
	if !c.plain || !c.reused {
		return c.write(b), nil
	}
	c.r, c.w = 0, 0
	sent, got, err := c.probe.converse(b, c.buf)
	c.sent += sent
	switch {
	case sent == 0 && err != nil:
		return err, nil
	case sent < len(b):
		return c.write(b[sent:]), nil
	}
	c.w, c.got = got, got > 0
	return nil, err
}

// fill reads more into the buffer: at least one byte, or an error.
func (c *conn) fill() error {
	if c.r == c.w {
		c.r, c.w = 0, 0
		if c.want != 0 && c.want != len(c.buf) {
			c.resize()
		}
	}
	if c.w == len(c.buf) {
		if c.r > 0 {
			c.w = copy(c.buf, c.buf[c.r:c.w])
			c.r = 0
		} else {
			c.buf = append(c.buf, make([]byte, len(c.buf))...)
		}
	}
	n, err := c.read(c.buf[c.w:])
	c.w += n
	if c.want != 0 && c.w == len(c.buf) {
		c.want = bufferSize
	}
	return err
}

// resize changes the empty buffer for one of the size that is wanted.
func (c *conn) resize() {
	old := c.buf
	if c.want == bufferSize {
		c.buf = *readBuffers.Get().(*[]byte)
	} else {
		c.buf = make([]byte, c.want)
	}
	if len(old) == bufferSize {
		readBuffers.Put(&old)
	}
}

// read reads from the wire: at least one byte, or an error.
func (c *conn) read(b []byte) (int, error) {
	if !c.later.IsZero() {
		t := c.later
		c.later = time.Time{}
		if err := c.until(t, c.now()); err != nil {
			return 0, err
		}
	}
	for range 100 {
		n, err := c.wire.Read(b)
		if n > 0 {
			c.got = true
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

var emptyLine = []byte("\r\n\r\n")

// readHead reads up to and with the empty line, at most maxHead bytes.
func (c *conn) readHead() (string, error) {
	seen := 0 // bytes of the buffer known not to end a head
	for {
		if i := bytes.Index(c.buf[c.r+seen:c.w], emptyLine); i >= 0 {
			n := seen + i + len(emptyLine)
			if n > maxHead {
				return "", errHeadTooLarge
			}
			text := string(c.buf[c.r : c.r+n])
			c.r += n
			return text, nil
		}
		held := c.w - c.r
		if held > maxHead {
			return "", errHeadTooLarge
		}
		seen = max(held-len(emptyLine)+1, 0)
		if err := c.fill(); err != nil {
			if errors.Is(err, io.EOF) && c.got {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
	}
}

// readLine returns the next line without its CR LF; the slice lives until the next
// read.
func (c *conn) readLine(limit int) ([]byte, error) {
	for {
		held := c.buf[c.r:c.w]
		if i := bytes.IndexByte(held, '\n'); i >= 0 {
			if i == 0 || held[i-1] != '\r' {
				return nil, bad1("a line of the body's framing does not end with CR LF")
			}
			c.r += i + 1
			return held[:i-1], nil
		}
		if len(held) > limit {
			return nil, bad1("a line of the body's framing is too long")
		}
		if err := c.fill(); err != nil {
			return nil, ended(err)
		}
	}
}

// ended makes an end in the middle what it is.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// settled tells whether the end of the last answer has come, where nobody waited for it.
// dead is true when something else came.
func (c *conn) settled() (quiet, dead bool) {
	if c.tail == nil {
		return true, false
	}
	n := c.probe.swallow(c.buf[:len(c.tail)])
	switch {
	case n == 0:
		return false, false
	case n != len(c.tail) || !bytes.Equal(c.buf[:n], c.tail):
		return false, true
	}
	c.tail = nil
	return true, false
}

// close ends the connection. A reset saves the FIN handshake states, but would
// hide the end from upstreams that watch for it, so it is a plain close.
func (c *conn) close() { _ = c.wire.Close() }
