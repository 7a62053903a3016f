package egress

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
)

// flow is the body of an HTTP/1.1 answer, read as it arrives. Its end gives the
// connection back to the pool; anything else closes it. It makes no other errors than
// those of the wire and the framing.
type flow struct {
	c       *conn
	pool    *pool
	name    string // of the connection, for the log
	left    int64  // bytes of data before framing or the end comes
	chunked bool
	begun   bool // a chunk was read, and its end was not
	open    bool // the end of the connection is the end of the body
	keep    bool // the connection may be used again
	excess  int64
	err     error       // of the last Read
	over    atomic.Bool // whoever sets it has the connection, to keep or to close
}

// lastChunk is the usual end of a chunked body, behind the data of the last chunk.
var lastChunk = []byte("\r\n0\r\n\r\n")

// Read returns what is there, at least one byte, or waits for it.
func (f *flow) Read(p []byte) (n int, err error) {
	if f.err != nil || len(p) == 0 {
		return 0, f.err
	}
	if n, err = f.read(p); err != nil {
		f.err = err
		f.end(errors.Is(err, io.EOF))
	}
	return n, err
}

func (f *flow) read(p []byte) (int, error) {
	if f.open {
		return f.take(p)
	}
	if f.left == 0 {
		if err := f.advance(); err != nil {
			return 0, err
		}
	}
	n, err := f.take(p[:min(int64(len(p)), f.left)])
	if err != nil {
		return n, ended(err)
	}
	// The end is told with the last byte where it is known, so that a reader who knows
	// too, and reads no further, leaves a connection that can be used again.
	if f.left -= int64(n); f.left > 0 {
		return n, nil
	}
	if c := f.c; !f.chunked {
		return n, io.EOF
	} else if bytes.HasPrefix(c.buf[c.r:c.w], lastChunk) {
		c.r += len(lastChunk)
		return n, io.EOF
	}
	return n, nil
}

// advance reads the framing up to the data of the next chunk. It is io.EOF behind the
// last one.
func (f *flow) advance() (err error) {
	if f.begun {
		if err = f.c.endChunk(); err != nil {
			return err
		}
	}
	f.begun = true
	if f.left, err = f.c.nextChunk(&f.excess); err != nil {
		return err
	}
	if f.left > 0 {
		return nil
	}
	if err = f.c.trailers(); err != nil {
		return err
	}
	return io.EOF
}

// take reads data, past the buffer where p is the larger one.
func (f *flow) take(p []byte) (int, error) {
	c := f.c
	if c.r == c.w {
		if len(p) >= bufferSize {
			return c.read(p)
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.buf[c.r:c.w])
	c.r += n
	return n, nil
}

// end keeps the connection, or closes it.
func (f *flow) end(whole bool) {
	if f.over.Swap(true) {
		return
	}
	c := f.c
	if whole && f.keep && c.r != c.w {
		whole = false
		f.pool.log.Warn("bytes after an answer; the connection is closed", "connection", f.name, "bytes", c.w-c.r)
	}
	if !whole || !f.keep {
		c.close()
		return
	}
	f.pool.give(c, f.pool.now())
}

// leave gives the connection back when nothing but the end of the body can come: it is
// the pool's to see whether that does.
func (f *flow) leave() bool {
	c := f.c
	held := c.buf[c.r:c.w]
	if !c.plain || !f.keep || !f.chunked || !f.begun || f.left > 0 || f.err != nil || len(held) >= len(lastChunk) || !bytes.HasPrefix(lastChunk, held) {
		return false
	}
	if f.over.Swap(true) {
		return false
	}
	f.err = errAborted
	c.tail = lastChunk[len(held):]
	f.pool.give(c, f.pool.now())
	return true
}

// Close closes the connection unless the body was read to its end. It may be called
// beside Read, which then fails.
func (f *flow) Close() error {
	if !f.over.Swap(true) {
		f.c.close()
	}
	return nil
}

var _ io.ReadCloser = (*flow)(nil)
