package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/mcp"
)

// call is one request at the edge and the Sink of its answer. It is one piece of
// memory with all that was copied out of Fiber; nothing in it is reused.
type call struct {
	edge    *Edge
	conn    *conn
	life    core.Lifetime // the context of Handle
	head    head
	request mcp.Request
	route   route
	method  string
	server  string
	id      string
	begun   time.Time
	allowed string // Access-Control-Allow-Origin of the answer, "" = none
	exposed bool   // and whether it depends on the Origin

	answer answer
	stream *stream
}

// answer is what will be written when Handle returned.
type answer struct {
	given       bool
	status      int
	contentType string
	header      []core.Field
	body        []byte
	refusal     *refusal
}

// Reply takes a whole answer; it is written when Handle returned.
func (c *call) Reply(status int, contentType string, header []core.Field, body []byte) {
	if c.stream != nil {
		return // an answer has begun already
	}
	c.answer = answer{given: true, status: status, contentType: contentType, header: header, body: body}
}

// Stream starts an SSE answer that ends when Handle returns.
func (c *call) Stream(header []core.Field) (mcp.Stream, error) {
	return c.open(header, nil, false)
}

// Park starts an SSE answer that outlives Handle.
func (c *call) Park(header []core.Field, gone func()) (mcp.Stream, error) {
	return c.open(header, gone, true)
}

func (c *call) open(header []core.Field, gone func(), parked bool) (mcp.Stream, error) {
	if c.stream != nil || c.answer.given {
		return nil, &core.Error{Code: core.CodeInternal, Message: "an answer has begun already"}
	}
	s := &stream{conn: c.conn, parked: parked}
	s.mu.Lock() // nobody sends before the head is out
	defer s.mu.Unlock()
	if refused := c.edge.hub.add(s); refused != nil {
		c.answer.refusal = refused
		return nil, &core.Error{Code: core.CodeLimited, Message: refused.message, Fix: refused.fix, RetryAfter: c.edge.limits.RetryAfter}
	}
	s.report = func(sent int) { c.report(200, sent, true) }
	c.conn.owned.Store(true)
	c.stream = s
	c.conn.mu.Lock()
	c.conn.stream = s
	c.conn.mu.Unlock()
	if parked && c.conn.left.Load() { // before the watcher could find the stream
		s.finish(errLeft)
		return nil, errLeft
	}
	if err := s.send(c.streamHead(header)); err != nil {
		return nil, err
	}
	s.gone = gone
	return s, nil
}

// streamHead returns status line and headers of an SSE answer. Without a length
// the body ends with the connection.
func (c *call) streamHead(header []core.Field) []byte {
	b := make([]byte, 0, 512)
	b = append(b, "HTTP/1.1 200 OK\r\nDate: "...)
	b = c.edge.now().UTC().AppendFormat(b, http.TimeFormat)
	b = append(b, "\r\nContent-Type: text/event-stream\r\nCache-Control: "...)
	if c.route.name == "api" {
		b = append(b, "no-store"...)
	} else {
		b = append(b, "no-cache"...)
	}
	b = append(b, "\r\nX-Accel-Buffering: no\r\n"+
		"Connection: close\r\nX-Content-Type-Options: nosniff\r\nX-Request-Id: "...)
	b = append(b, c.id...)
	b = append(b, "\r\n"...)
	for _, f := range c.extra(nil) {
		b = appendField(b, f)
	}
	for _, f := range header {
		switch {
		case equalFold(f.Name, "Content-Type"), equalFold(f.Name, "Cache-Control"), equalFold(f.Name, "X-Accel-Buffering"):
		default:
			b = appendField(b, f)
		}
	}
	return append(b, "\r\n"...)
}

// appendField appends a field that can be one; others are left out, so that no
// value begins a header or a body of its own.
func appendField(b []byte, f core.Field) []byte {
	if !fit(f) {
		return b
	}
	b = append(b, f.Name...)
	b = append(b, ": "...)
	b = append(b, f.Value...)
	return append(b, "\r\n"...)
}

func fit(f core.Field) bool {
	if !token(f.Name) {
		return false
	}
	for i := range len(f.Value) {
		if c := f.Value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// extra appends the headers that CORS asks for.
func (c *call) extra(to []core.Field) []core.Field {
	if c.allowed != "" {
		to = append(to, core.Field{Name: "Access-Control-Allow-Origin", Value: c.allowed},
			core.Field{Name: "Access-Control-Expose-Headers", Value: exposedHeaders})
	}
	if c.exposed {
		to = append(to, core.Field{Name: "Vary", Value: "Origin"})
	}
	return to
}

// The headers of every whole answer, in the form that fasthttp keeps.
var (
	nameSniff  = []byte("X-Content-Type-Options")
	valueSniff = []byte("nosniff")
	nameCache  = []byte("Cache-Control")
	valueCache = []byte("no-store")
	nameID     = []byte("X-Request-Id")
)

// write puts a whole answer into Fiber's response.
func (c *call) write(rc *fasthttp.RequestCtx, a *answer) {
	h := &rc.Response.Header
	rc.Response.SetStatusCode(a.status)
	if a.contentType == "" {
		h.SetNoDefaultContentType(true)
	} else {
		h.SetContentType(a.contentType)
	}
	h.SetCanonical(nameSniff, valueSniff)
	h.SetCanonical(nameCache, valueCache)
	h.SetCanonical(nameID, []byte(c.id))
	if c.allowed != "" || c.exposed {
		for _, f := range c.extra(nil) {
			h.Set(f.Name, f.Value)
		}
	}
	for _, f := range a.header {
		if fit(f) {
			if strings.EqualFold(f.Name, "Vary") {
				h.Add(f.Name, f.Value)
			} else {
				h.Set(f.Name, f.Value)
			}
		}
	}
	if len(a.body) > 0 {
		rc.Response.SetBodyRaw(a.body)
	}
	if c.edge.draining.Load() {
		rc.SetConnectionClose()
	}
}

// refuse writes an answer of the edge's own.
func (c *call) refuse(rc *fasthttp.RequestCtx, r *refusal) {
	a := answer{status: r.status, contentType: "application/problem+json", body: r.body()}
	if c.route.name == "api" {
		a.body, a.header = r.problem(c.id), secured(&apiRequest{secure: c.secure()})
	}
	if r.retry {
		a.header = append(a.header, core.Field{Name: "Retry-After", Value: c.edge.retryAfter})
	}
	if r.allow != "" {
		a.header = append(a.header, core.Field{Name: "Allow", Value: r.allow})
	}
	if r.close {
		rc.SetConnectionClose()
	}
	c.write(rc, &a)
}

// report tells the Observer of the request.
func (c *call) report(status, bytes int, streamed bool) {
	c.edge.observer.Requested(core.RequestEvent{
		Server: c.server, Method: c.method, Route: c.route.name,
		RPC: c.request.Seen.RPC, Revision: c.request.Seen.Revision,
		Status: status, Bytes: bytes, Streamed: streamed,
		Duration: c.edge.now().Sub(c.begun), ID: c.id,
	})
}

var _ mcp.Sink = (*call)(nil)
