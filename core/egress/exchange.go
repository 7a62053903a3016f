package egress

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// message is one HTTP request with its limits, ready for a transport.
type message struct {
	name       string // of the connection, for the log
	method     string
	authority  string // Host
	secure     bool   // https
	base, path string // escaped; one behind the other
	query      [3]string
	own        []core.Field // of the connection, credentials included
	home       []core.Field // what own is at the origin of the connection
	fields     []core.Field // of the request; they win over own
	body       []byte
	idempotent bool

	limit    int64 // of the body, decoded
	connect  time.Duration
	first    time.Duration
	start    time.Time // of this try
	deadline time.Time
	progress func(received, total int64)

	live     bool          // the body is handed out while it arrives
	source   io.ReadCloser // of a live one, set by the transport; nil = there is no body
	encoding string        // of source, lower case; "" = identity

	reused bool      // set by the transport
	ended  time.Time // the same, where it knows; zero = it does not
}

// appendHead appends the head of an HTTP/1.1 request. Every part was checked
// before (field.go), so nothing here can start another line.
func (m *message) appendHead(b []byte) []byte {
	b = append(b, m.method...)
	b = append(b, ' ')
	b = m.appendTarget(b)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, m.authority...)
	b = append(b, "\r\n"...)
	for i := range m.own {
		if !m.names(m.own[i].Name) {
			b = appendField(b, &m.own[i])
		}
	}
	for i := range m.fields {
		b = appendField(b, &m.fields[i])
	}
	if len(m.body) > 0 || m.method == "POST" || m.method == "PUT" || m.method == "PATCH" {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(m.body)), 10)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// appendTarget appends path and query.
func (m *message) appendTarget(b []byte) []byte {
	b = append(b, m.base...)
	b = append(b, m.path...)
	separator := byte('?')
	for _, q := range m.query {
		if q != "" {
			b = append(b, separator)
			b = append(b, q...)
			separator = '&'
		}
	}
	return b
}

// names tells whether the request itself sets the header.
func (m *message) names(name string) bool {
	for i := range m.fields {
		if strings.EqualFold(m.fields[i].Name, name) {
			return true
		}
	}
	return false
}

func appendField(b []byte, f *core.Field) []byte {
	b = append(b, f.Name...)
	b = append(b, ": "...)
	b = append(b, f.Value...)
	return append(b, "\r\n"...)
}

// drop lets go of an answer that is not handed out. It does not wait for the rest.
func (m *message) drop() {
	if m.source != nil {
		_ = m.source.Close()
		m.source = nil
	}
}

// maxInterim is how many 1xx answers may come before the final one.
const maxInterim = 8

// converse sends the request and reads the answer; of a live one the head, and the
// body becomes m.source. again tells whether the connection may be used for another
// exchange, as far as the answer says.
func (c *conn) converse(m *message, first, rest []byte) (answer *core.Response, again bool, err error) {
	// A new connection took time of its own; on an idle one start is now.
	start := m.start
	if !m.reused {
		start = c.now()
	}
	wait := earlier(start.Add(m.first), m.deadline)
	sending := wait
	if rest != nil {
		sending = m.deadline // a large request takes the time it takes
	}
	if err := c.until(sending, start); err != nil {
		return nil, false, err
	}
	var broken, failed error
	if rest == nil {
		broken, failed = c.ask(first)
	} else if c.plain && c.reused && !c.probe.quiet() {
		broken = errStirred
	} else if broken = c.write(first); broken == nil {
		broken = c.write(rest)
		c.later = earlier(c.now().Add(m.first), m.deadline)
	}
	if failed != nil {
		return nil, false, failed
	}
	if broken != nil && (c.sent == 0 || c.aborted.Load()) {
		return nil, false, broken
	}
	// An upstream may refuse a request before it has read all of it, and close: its
	// answer says more than our failed write.
	whole := &received{}
	h := head{fields: whole.first[:0]}
	if err := c.readFinal(&h); err != nil {
		if broken != nil {
			err = broken
		}
		return nil, false, err
	}
	var body []byte
	switch {
	case h.bodyless(m.method):
		h.tellLength(m.method == "HEAD")
	case m.live:
		err = c.stream(m, &h)
	default:
		body, err = c.readBody(m, &h)
	}
	if err != nil {
		return nil, false, err
	}
	whole.Response = core.Response{Status: h.status, Header: h.fields, Body: body}
	return &whole.Response, h.keep && broken == nil, nil
}

// received is an answer and its header, in one piece as long as that is short.
type received struct {
	core.Response
	first [8]core.Field
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// readFinal reads the head of the final answer, past interim ones.
func (c *conn) readFinal(h *head) error {
	for range maxInterim {
		text, err := c.readHead()
		if err != nil {
			return err
		}
		*h = head{fields: h.fields[:0]}
		if err := h.parse(text); err != nil {
			return err
		}
		if h.status == 101 {
			return bad1("101 to a request without Upgrade")
		}
		if h.status >= 200 {
			return nil
		}
	}
	return bad1("too many interim answers")
}

// tellLength gives the length back to the fields where nothing changed it.
func (h *head) tellLength(same bool) {
	if same && h.length >= 0 {
		h.fields = append(h.fields, core.Field{Name: "Content-Length", Value: strconv.FormatInt(h.length, 10)})
	}
}

// stream makes a flow of the body that h announces, unless that is empty.
func (c *conn) stream(m *message, h *head) error {
	plain := h.encoding == "" || h.encoding == "identity"
	h.tellLength(plain)
	switch {
	case h.length == 0:
		return nil
	case h.length > m.limit:
		return errTooLarge
	case !plain:
		m.encoding = h.encoding
	}
	f := &flow{c: c, name: m.name, chunked: h.chunked, left: max(h.length, 0)}
	if f.open = h.length < 0 && !h.chunked; f.open {
		h.keep = false
	}
	// From now on only the end of its context, or of the reader's patience, ends it.
	c.by, c.later = time.Time{}, time.Time{}
	if err := c.wire.SetDeadline(time.Time{}); err != nil {
		return err
	}
	c.want = leanSize
	m.source = f
	return nil
}

// readBody reads and decodes the body that h announces.
func (c *conn) readBody(m *message, h *head) (body []byte, err error) {
	c.later = m.deadline
	in := intake{c: c, limit: m.limit, total: h.length, progress: m.progress}
	switch {
	case h.chunked:
		body, err = in.chunked(nil)
	case h.length >= 0:
		body, err = in.fixed(nil, h.length)
	default:
		h.keep = false
		body, err = in.untilEnd(nil)
	}
	if err != nil || h.encoding == "" || h.encoding == "identity" {
		return body, err
	}
	return decode(h.encoding, body, m.limit)
}
