package mcp

import (
	"context"
	"net/url"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// openSSE opens a session of the 2024-11-05 transport: a GET whose stream is the
// session. Its first event says where to POST.
func (e *Endpoint) openSSE(ctx context.Context, r *Request, sink Sink) {
	if r.Method != "GET" {
		status, header := notAllowed("GET")
		sink.Reply(status, "", header, nil)
		return
	}
	if !accepts(r.Header, "text", "event-stream") {
		e.refuse(r, sink, nil, nil, &fault{code: codeInvalidRequest, status: 406, message: "Accept must list text/event-stream"})
		return
	}
	s, err := e.sessions.Create(ctx, Claims{Server: r.Handler.Server().Key(), Who: r.Who, SSE: true})
	if err != nil {
		known := core.AsError(err)
		e.log.ErrorContext(ctx, "session not created", "request", r.ID, "error", err)
		e.refuse(r, sink, nil, nil, &fault{code: codeInternal, message: "no session: " + known.Public(), status: 503})
		return
	}
	if !e.park(resident{s}) {
		e.sessions.End(ctx, s.ID())
		s.Close()
		e.refuse(r, sink, nil, nil, &fault{code: codeInternal, message: "the server is stopping", status: 503})
		return
	}
	s.whenClosed(func() { e.unpark(resident{s}) })
	ended := context.WithoutCancel(ctx)
	gone := func() {
		e.sessions.End(ended, s.ID())
		s.Close()
	}
	stream, err := sink.Park(streamHeader, gone)
	if err != nil {
		gone()
		return
	}
	if !s.attach(stream) {
		_ = stream.Close() // the client has left already
		return
	}
	_ = stream.Send(AppendEvent(nil, Event{ // when it fails the hub calls gone
		Name: "endpoint", Data: []byte(r.MessagePath + "?sessionId=" + url.QueryEscape(s.ID())),
	}))
	s.watch(func(f func(core.Change)) func() { return r.Handler.Changes(r.Who, f) })
}

// messageSSE takes a POST of the 2024-11-05 transport. It is answered at once; what
// the message leads to arrives on the stream. True means that requests still run,
// and release the handler when they are done.
func (e *Endpoint) messageSSE(ctx context.Context, r *Request, sink Sink) (running bool) {
	if r.Method != "POST" {
		status, header := notAllowed("POST")
		sink.Reply(status, "", header, nil)
		return false
	}
	if f := checkContentType(r.Header); f != nil {
		e.refuse(r, sink, nil, nil, f)
		return false
	}
	if r.SessionID == "" {
		e.refuse(r, sink, nil, nil, &fault{code: codeNoSession, message: "sessionId is missing from the query"})
		return false
	}
	s, err := e.sessions.Find(ctx, r.SessionID, r.Handler.Server().Key(), r.Who)
	if err != nil || !s.claims.SSE || !s.attached() {
		e.refuse(r, sink, nil, nil, unknownSession())
		return false
	}
	rev := s.revision()
	r.Seen.Revision = rev.Name
	var list []part
	if isBatch := wire.IsArray(r.Body); isBatch && !rev.Batch {
		e.refuse(r, sink, rev, nil, invalidRequest("revision "+rev.Name+" has no batches: send one message"))
		return false
	} else if isBatch {
		var f *fault
		if list, f = e.parseBatch(r.Body); f != nil {
			e.refuse(r, sink, rev, nil, f)
			return false
		}
		r.Seen.RPC = "batch"
	} else {
		m, f := parse(r.Body)
		r.Seen.RPC = m.label()
		if f != nil {
			e.refuse(r, sink, rev, m.id, f)
			return false
		}
		if !m.request() {
			e.tell(s, m)
			sink.Reply(202, "", nil, nil)
			return false
		}
		list = []part{{m: m}}
	}
	// The client may wait for this answer before it sends the next message, which may
	// be the response that a call waits for: so the call must not hold it back.
	e.background.Go(func() {
		defer r.Handler.Release()
		defer e.contain(ctx, r)
		e.serveSSE(context.WithoutCancel(ctx), r, s, list)
	})
	sink.Reply(202, "", nil, nil)
	return true
}

func (e *Endpoint) serveSSE(ctx context.Context, r *Request, s *Session, list []part) {
	if len(list) > 1 || list[0].f != nil {
		e.serveBatch(ctx, r, s, list, piped{s})
		return
	}
	m := list[0].m
	if m.method == "initialize" {
		s.pipe(e.initializeSSE(r, s, m))
		return
	}
	e.serve(ctx, s, &exchange{r: r, m: m, out: piped{s}}, &running{})
}

// initializeSSE answers initialize in a session that its stream has opened.
func (e *Endpoint) initializeSSE(r *Request, s *Session, m *message) []byte {
	rev, client, f := greet(m)
	if f == nil && !s.agree(rev, memorable(client)) {
		f = invalidRequest("the session is initialized already")
	}
	if f != nil {
		return appendError(nil, s.revision(), m.id, f)
	}
	return appendWelcome(nil, m.id, rev, r.Handler.Server())
}
