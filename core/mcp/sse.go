package mcp

import (
	"bufio"
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
	lines *bufio.Reader
	limit int
	begun bool
	cr    bool // the last line ended with CR: a LF that follows belongs to it
}

// NewDecoder returns a Decoder of r; an event may have limit bytes, line ends
// included.
func NewDecoder(r io.Reader, limit int) *Decoder {
	return &Decoder{lines: bufio.NewReader(r), limit: limit}
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
			e.Name = string(value)
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

// line reads up to LF, CR or CRLF, which it drops.
func (d *Decoder) line(limit int) ([]byte, error) {
	var line []byte
	if !d.begun {
		d.begun = true
		if mark, err := d.lines.Peek(3); err == nil && string(mark) == "\xef\xbb\xbf" {
			_, _ = d.lines.Discard(3)
		}
	}
	for {
		c, err := d.lines.ReadByte()
		if err != nil {
			return nil, err
		}
		if d.cr {
			d.cr = false
			if c == '\n' {
				continue
			}
		}
		switch c {
		case '\r':
			d.cr = true
			return line, nil
		case '\n':
			return line, nil
		}
		if len(line) >= limit {
			return nil, ErrEventTooLarge
		}
		line = append(line, c)
	}
}
