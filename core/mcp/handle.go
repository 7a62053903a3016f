package mcp

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// Endpoint answers MCP messages of every revision. Safe for concurrent use.
type Endpoint struct {
	sessions Sessions
	sealer   core.Sealer
	log      *slog.Logger
	now      func() time.Time
	limits   Limits

	replays    replays
	background sync.WaitGroup // calls of the 2024-11-05 transport

	mu       sync.Mutex
	draining bool
	parked   map[parked]struct{}

	clients clients
}

// parked is a stream that outlives the request that opened it.
type parked interface {
	// drain ends it gracefully.
	drain()
}

// New returns an Endpoint.
func New(o Options) *Endpoint {
	e := &Endpoint{
		sessions: o.Sessions, sealer: o.Sealer, log: o.Log, now: o.Now,
		limits: o.Limits.orDefault(), parked: map[parked]struct{}{},
	}
	e.replays.limit = e.limits.ReplayTotal
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if o.Observer != nil {
		o.Observer.Gauge("sallyport_mcp_streams", "Streams that wait for changes: GET, /sse and subscriptions/listen.", e.streams)
	}
	return e
}

func (e *Endpoint) streams() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return int64(len(e.parked))
}

// park remembers a stream for Drain; false when it is too late to begin one.
func (e *Endpoint) park(p parked) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining {
		return false
	}
	e.parked[p] = struct{}{}
	return true
}

func (e *Endpoint) unpark(p parked) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.parked, p)
}

// Drain ends the streams that are parked: subscriptions/listen with its result,
// the others by closing them. It waits, until ctx ends, for calls whose answer
// goes to a 2024-11-05 stream. New streams are refused from now on, with 503.
func (e *Endpoint) Drain(ctx context.Context) {
	e.mu.Lock()
	e.draining = true
	var listens, sessions []parked
	for p := range e.parked {
		if _, ok := p.(*listen); ok {
			listens = append(listens, p)
		} else {
			sessions = append(sessions, p)
		}
	}
	e.mu.Unlock()
	for _, p := range listens {
		p.drain()
	}
	done := make(chan struct{})
	go func() {
		e.background.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	for _, p := range sessions {
		p.drain()
	}
	<-done // closing the sessions' streams ended what still ran
}

// Handle answers one HTTP request. It owns r.Handler and releases it.
func (e *Endpoint) Handle(ctx context.Context, r *Request, sink Sink) {
	release := r.Handler.Release
	defer func() {
		if release != nil {
			release()
		}
	}()
	switch r.Transport {
	case SSEStream:
		e.openSSE(ctx, r, sink)
	case SSEMessage:
		if e.messageSSE(ctx, r, sink) {
			release = nil // its calls go on, and release it
		}
	default:
		e.streamable(ctx, r, sink)
	}
}

// messages are for streamable, of the zero value. What is made of one may alias the
// body, but nothing keeps the message itself.
var messages = sync.Pool{New: func() any { return new(message) }}

// streamable decides which revision speaks, once per request: by the envelope in
// the body and the header, never by the method.
func (e *Endpoint) streamable(ctx context.Context, r *Request, sink Sink) {
	named, present, f := once(r.Header, headerRevision)
	rev := byName(named)
	if f != nil {
		e.refuse(r, sink, byName(r.Header.Get(headerRevision)), nil, f)
		return
	}
	switch r.Method {
	case "POST":
	case "GET", "DELETE":
		e.sessionRequest(ctx, r, sink, rev, named)
		return
	default:
		status, header := notAllowed("POST, GET, DELETE")
		sink.Reply(status, "", header, nil)
		return
	}
	if f := checkContentType(r.Header); f != nil {
		e.refuse(r, sink, rev, nil, f)
		return
	}
	if f := checkAccept(r.Header); f != nil {
		e.refuse(r, sink, rev, nil, f)
		return
	}
	if wire.IsArray(r.Body) {
		e.batch(ctx, r, sink, rev, named)
		return
	}
	m := messages.Get().(*message)
	defer func() {
		*m = message{}
		messages.Put(m)
	}()
	f = m.read(r.Body)
	r.Seen.RPC = m.label()
	switch {
	case m.claim():
		e.envelope(ctx, r, sink, m, f, named, present)
	case f != nil:
		e.refuse(r, sink, rev, m.id, f)
	case rev != nil && rev.Envelope:
		r.Seen.Revision = rev.Name
		e.bare(r, sink, rev, m)
	case present && rev == nil && m.method != "initialize":
		e.refuse(r, sink, rev, m.id, revisionFault(named))
	default:
		e.legacy(ctx, r, sink, m)
	}
}

// bare answers a message without an envelope whose header names a revision that
// wants one.
func (e *Endpoint) bare(r *Request, sink Sink, rev *revision, m *message) {
	switch {
	case m.response():
		e.refuse(r, sink, rev, nil, invalidRequest("the server sends no requests in this revision: there is nothing to respond to"))
	case !m.request():
		sink.Reply(202, "", nil, nil) // notifications have no envelope; none means anything here
	default:
		e.refuse(r, sink, rev, m.id, missingEnvelope(m))
	}
}

func missingEnvelope(m *message) *fault {
	missing := metaRevision
	if m.p.m.capabilities == nil {
		missing += " and " + metaCapabilities
	}
	f := invalidParams("params._meta must hold " + missing)
	f.status = 400
	return f
}

// refuse ends a request that did not reach its handler.
func (e *Endpoint) refuse(r *Request, sink Sink, rev *revision, id []byte, f *fault) {
	if rev != nil && r.Seen.Revision == "" {
		r.Seen.Revision = rev.Name
	}
	sink.Reply(f.httpStatus(rev), typeJSON, nil, appendError(nil, rev, id, f))
}
