package egress

import (
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

// maxInterim is how many 1xx answers may come before the final one.
const maxInterim = 8

// converse sends the request and reads the answer. again tells whether the
// connection may be used for another exchange, as far as the answer says.
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
	body, err := c.readBody(m, &h)
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

// readBody reads and decodes the body that h announces.
func (c *conn) readBody(m *message, h *head) (body []byte, err error) {
	if h.bodyless(m.method) {
		if m.method == "HEAD" && h.length >= 0 {
			h.fields = append(h.fields, core.Field{Name: "Content-Length", Value: strconv.FormatInt(h.length, 10)})
		}
		return nil, nil
	}
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
