package web

import (
	"context"
	"io"
	"net"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/mcp"
)

func methodName(method []byte) string {
	switch string(method) {
	case "GET":
		return "GET"
	case "POST":
		return "POST"
	case "DELETE":
		return "DELETE"
	case "OPTIONS":
		return "OPTIONS"
	case "HEAD":
		return "HEAD"
	case "PUT":
		return "PUT"
	case "PATCH":
		return "PATCH"
	}
	return "other"
}

// serve is the one route: it answers every request.
func (e *Edge) serve(fc *fiber.Ctx) error {
	if !e.answer(fc.Context()) {
		return fiber.ErrInternalServerError
	}
	return nil
}

// answer answers a request; false when it is not from our listener.
func (e *Edge) answer(rc *fasthttp.RequestCtx) bool {
	conn, ok := rc.Conn().(*conn)
	if !ok {
		return false
	}
	c := &call{edge: e, conn: conn, begun: e.now(), id: e.requestID(), method: methodName(rc.Method())}
	c.serve(rc)
	return true
}

func (c *call) serve(rc *fasthttp.RequestCtx) {
	defer func() {
		if fault := recover(); fault != nil {
			c.edge.panicked("answer a request", fault)
			c.broken(rc)
		}
		if c.stream != nil {
			// The stream has the connection: Fiber must neither answer nor close.
			rc.HijackSetNoResponse(true)
			rc.Hijack(keep)
			c.stream.handled()
			return
		}
		c.report(rc.Response.StatusCode(), len(rc.Response.Body()), false)
	}()
	if r := c.read(rc); r != nil {
		if r.close {
			c.conn.lingers.Store(true)
		}
		c.refuse(rc, r)
		return
	}
	switch {
	case c.route.name == "":
		c.refuse(rc, refusePath)
	case c.route.name == "api":
		c.serveAPI(rc)
	case c.route.name == "protected-resource":
		c.serveMetadata(rc)
	case c.route.prefix == "" && c.route.allow == allowRead:
		c.serveOwn(rc)
	default:
		c.serveMCP(rc)
	}
}

func keep(net.Conn) {}

// broken answers after a panic.
func (c *call) broken(rc *fasthttp.RequestCtx) {
	if c.stream != nil {
		c.stream.fail(io.ErrUnexpectedEOF)
		return
	}
	rc.Response.Reset()
	c.refuse(rc, refuseBroken)
}

// read copies the request out of Fiber and checks its head and Host.
func (c *call) read(rc *fasthttp.RequestCtx) *refusal {
	header := &rc.Request.Header
	raw, uri := header.RawHeaders(), header.RequestURI()
	if !c.conn.watched.Load() {
		c.conn.watched.Store(true)
		if err := c.edge.watch.add(c.conn); err != nil {
			c.edge.log.Warn("cannot watch a connection: that its client leaves is seen late", "error", err)
		}
	}
	// A client that sends the next request before it has this answer (pipelining)
	// makes fasthttp hold answers back. Each must be out before a stream may take
	// the connection: a write deadline forces that.
	c.conn.taken += uint64(len(raw) + len(uri) + len(rc.Method()) + len(" HTTP/1.1\r\n ") + len(rc.Request.Body()))
	if c.conn.received.Load() > c.conn.taken {
		if err := rc.SetWriteDeadline(c.begun.Add(c.edge.limits.Write)); err != nil {
			return refuseBroken
		}
	}
	if p := header.Protocol(); string(p) != "HTTP/1.1" && string(p) != "HTTP/1.0" {
		return refuseVersion
	}
	if r := c.head.read(uri, raw, c.edge.limits.HeadFields, c.conn.trusted); r != nil {
		return r
	}
	path, query, r := target(c.head.target, c.head.host)
	if r != nil {
		return r
	}
	if c.head.host != c.conn.host || c.head.host == "" {
		if !c.edge.gate.host(c.head.host, c.conn.local) {
			if r := find(path); r.name == "api" { // where errors are written in another way
				c.route = r
			}
			return refuseHost
		}
		c.conn.host = c.head.host
	}
	c.route = find(path)
	if c.route.transport == mcp.SSEMessage {
		c.request.SessionID = parameter(query, "sessionId")
	}
	return nil
}

// originOK reports whether the Origin header, if any, may call.
func (c *call) originOK(cors *core.CORS) bool {
	return c.head.origin == "" || c.edge.gate.origin(c.head.origin, c.head.host, c.conn.local, cors)
}

func (c *call) serveOwn(rc *fasthttp.RequestCtx) {
	if !c.originOK(nil) {
		c.refuse(rc, refuseOrigin)
		return
	}
	switch c.method {
	case "GET", "HEAD":
	case "OPTIONS":
		c.write(rc, c.preflight(nil))
		return
	default:
		c.refuse(rc, refuseMethod)
		return
	}
	a := c.own()
	if a == nil {
		c.refuse(rc, refusePath)
		return
	}
	c.write(rc, a)
}

func (c *call) serveMCP(rc *fasthttp.RequestCtx) {
	if c.edge.servers == nil { // an edge of the admin plane alone
		c.refuse(rc, refusePath)
		return
	}
	handler := c.edge.servers.Find(c.route.prefix)
	if handler == nil {
		switch {
		case !c.originOK(nil):
			c.refuse(rc, refuseOrigin)
		case c.edge.doorkeeper != nil && c.method == "OPTIONS":
			c.write(rc, c.preflight(nil)) // as for a server that is there
		case c.caller(rc, nil):
			c.refuse(rc, refusePath)
		}
		return
	}
	passed := false
	defer func() {
		if !passed {
			handler.Release()
		}
	}()
	server := handler.Server()
	c.server = server.Key()
	if !c.originOK(server.CORS) {
		c.refuse(rc, refuseOrigin)
		return
	}
	c.share(server.CORS)
	switch c.method {
	case "OPTIONS":
		c.write(rc, c.preflight(server.CORS))
		return
	case "GET", "POST", "DELETE":
		if strings.Contains(c.route.allow, c.method) { // none is a part of another
			break
		}
		fallthrough
	default:
		c.refuse(rc, &refusal{status: 405, message: refuseMethod.message, fix: "use one of " + c.route.allow, allow: c.route.allow})
		return
	}
	if !c.caller(rc, handler) {
		return
	}
	if c.head.encoded {
		c.refuse(rc, refuseEncoded)
		return
	}
	if c.edge.inFlight.Add(1) > int64(c.edge.limits.InFlight) {
		c.edge.inFlight.Add(-1)
		c.refuse(rc, refuseBusy)
		return
	}
	defer c.edge.inFlight.Add(-1)

	c.request.Transport = c.route.transport
	c.request.Method = c.method
	c.request.Header = &c.head
	c.request.Body = c.body(rc)
	c.request.Handler = handler
	c.request.ID = c.id
	if c.route.transport == mcp.SSEStream {
		c.request.MessagePath = "/message"
		if c.route.prefix != "" {
			c.request.MessagePath = "/" + c.route.prefix + "/message"
		}
	}
	passed = true
	c.handle(rc)
}

// body returns a copy. A large body changes hands instead, so that an idle
// connection does not keep the buffer.
func (c *call) body(rc *fasthttp.RequestCtx) []byte {
	body := rc.Request.Body()
	if len(body) > 64<<10 {
		return rc.Request.SwapBody(nil)
	}
	return append([]byte(nil), body...)
}

// handle lets the Endpoint answer, under a context that ends when the client leaves.
func (c *call) handle(rc *fasthttp.RequestCtx) {
	ctx := &c.life
	ctx.Begin(context.Background(), time.Time{})
	defer ctx.Cancel(nil)
	c.conn.begin(ctx)
	defer c.conn.end()
	c.edge.endpoint.Handle(ctx, &c.request, c)
	c.settle(rc, ctx)
}

// settle writes what was answered, if no stream was.
func (c *call) settle(rc *fasthttp.RequestCtx, ctx *core.Lifetime) {
	switch {
	case c.stream != nil:
		if !c.stream.parked {
			_ = c.stream.Close()
		}
	case c.answer.given:
		c.write(rc, &c.answer)
	case c.answer.refusal != nil:
		c.refuse(rc, c.answer.refusal)
	case ctx.Err() != nil: // nobody is there to read an answer
		rc.SetConnectionClose()
		c.refuse(rc, &refusal{status: 499, message: "the client closed the connection", close: true})
	default:
		c.edge.log.Error("a request got no answer", "id", c.id, "route", c.route.name, "server", c.server)
		c.refuse(rc, refuseSilence)
	}
}
