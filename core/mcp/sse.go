package mcp

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"time"
)

// Event is one server-sent event (WHATWG HTML, section 9.2).
type Event struct {
	ID    string        // no line break in it
	Name  string        // the event field; "" means message
	Data  []byte        // nil: no data line, so that a reader dispatches nothing; empty: one empty line
	Retry time.Duration // 0: no retry line; sent in milliseconds
}

// AppendEvent appends e in wire form. Line breaks in Data (LF, CR, CRLF) become
// several data lines.
func AppendEvent(dst []byte, e Event) []byte {
	if e.Name != "" {
		dst = append(append(append(dst, "event: "...), e.Name...), '\n')
	}
	if e.ID != "" {
		dst = append(append(append(dst, "id: "...), e.ID...), '\n')
	}
	if e.Retry > 0 {
		dst = strconv.AppendInt(append(dst, "retry: "...), e.Retry.Milliseconds(), 10)
		dst = append(dst, '\n')
	}
	if e.Data != nil {
		data := e.Data
		for {
			cut := bytes.IndexAny(data, "\r\n")
			line := data
			if cut >= 0 {
				line = data[:cut]
			}
			dst = append(dst, "data:"...)
			if len(line) > 0 {
				dst = append(append(dst, ' '), line...)
			}
			dst = append(dst, '\n')
			if cut < 0 {
				break
			}
			if data[cut] == '\r' && cut+1 < len(data) && data[cut+1] == '\n' {
				cut++
			}
			data = data[cut+1:]
		}
	}
	return append(dst, '\n')
}

// ErrEventTooLarge is returned by Decoder.Next for an event past its limit.
var ErrEventTooLarge = errors.New("server-sent event is larger than allowed")

// Decoder reads server-sent events.
type Decoder struct {
	from  io.Reader
	limit int
	begun bool
	cr    bool // the last line ended with CR: a LF that follows belongs to it

	buf []byte // buf[r:] was read, and not yet taken
	r   int
	err error // of from, behind what is in buf
}

// The buffer of a Decoder grows with the lines that come; many streams are quiet.
const (
	firstBuffer = 2 << 10
	keptBuffer  = 32 << 10 // a larger one is not kept for the next event
)

// NewDecoder returns a Decoder of r; an event may have limit bytes, line ends
// included.
func NewDecoder(r io.Reader, limit int) *Decoder {
	return &Decoder{from: r, limit: limit}
}

// Next returns the next event that has data, an id or a retry. Comments are passed
// over. At the end it returns io.EOF; an event that was cut off is dropped, as the
// specification asks.
func (d *Decoder) Next() (Event, error) {
	var e Event
	size, filled := 0, false
	for {
		line, err := d.line(d.limit - size)
		if err != nil {
			return Event{}, err
		}
		size += len(line) + 1
		if len(line) == 0 {
			if !filled {
				e, size = Event{}, 0
				continue
			}
			return e, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			if e.Name = "message"; string(value) != e.Name { // most are that
				e.Name = string(value)
			}
		case "data":
			if e.Data == nil {
				e.Data = []byte{}
			} else {
				e.Data = append(e.Data, '\n')
			}
			e.Data = append(e.Data, value...)
			filled = true
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				e.ID = string(value)
				filled = true
			}
		case "retry":
			if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
				e.Retry = time.Duration(ms) * time.Millisecond
				filled = true
			}
		}
	}
}

// Ended tells whether the stream is known to have ended: nothing is left to be read, and
// Next would not wait.
func (d *Decoder) Ended() bool { return d.err != nil && d.r == len(d.buf) }

// Empty tells whether all that was read is handed out.
func (d *Decoder) Empty() bool { return d.r == len(d.buf) }

// line reads up to LF, CR or CRLF, which it drops. The line lives until the next one.
func (d *Decoder) line(limit int) ([]byte, error) {
	if err := d.begin(); err != nil {
		return nil, err
	}
	seen := 0 // bytes of the line known to hold no end
	for {
		held := d.buf[d.r:]
		if d.cr && len(held) > 0 {
			if d.cr = false; held[0] == '\n' {
				d.r++
				held = held[1:]
			}
		}
		rest := held[seen:]
		end := bytes.IndexByte(rest, '\n')
		if end >= 0 {
			rest = rest[:end]
		}
		if cr := bytes.IndexByte(rest, '\r'); cr >= 0 {
			end = cr
		}
		switch {
		case end >= 0:
			if end += seen; end > max(limit, 0) {
				return nil, ErrEventTooLarge
			}
			d.r += end + 1
			d.cr = held[end] == '\r'
			return held[:end], nil
		case len(held) > max(limit, 0):
			return nil, ErrEventTooLarge
		}
		seen = len(held)
		if err := d.fill(); err != nil {
			return nil, err
		}
	}
}

// begin drops the byte order mark that a stream may begin with.
func (d *Decoder) begin() error {
	const mark = "\xef\xbb\xbf"
	for !d.begun {
		held := d.buf[d.r:]
		switch {
		case len(held) >= len(mark):
			d.begun = true
			if string(held[:len(mark)]) == mark {
				d.r += len(mark)
			}
		case len(held) > 0 && held[0] != mark[0]:
			d.begun = true
		default:
			if err := d.fill(); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill reads more: at least one byte, or an error.
func (d *Decoder) fill() error {
	if d.err != nil {
		return d.err
	}
	if d.r == len(d.buf) {
		if d.buf, d.r = d.buf[:0], 0; cap(d.buf) > keptBuffer {
			d.buf = nil
		}
	}
	if len(d.buf) == cap(d.buf) {
		to := d.buf
		if d.r <= cap(d.buf)/2 {
			to = make([]byte, max(2*cap(d.buf), firstBuffer))
		}
		d.buf, d.r = to[:copy(to, d.buf[d.r:])], 0
	}
	for range 100 {
		n, err := d.from.Read(d.buf[len(d.buf):cap(d.buf)])
		d.buf, d.err = d.buf[:len(d.buf)+n], err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}
