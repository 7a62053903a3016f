package mcp

import (
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

const (
	typeJSON = "application/json"

	// retryHint is what a priming event tells a client to wait before it comes back.
	retryHint = time.Second
)

// streamHeader goes with every SSE answer. X-Accel-Buffering keeps proxies from
// holding events back (2026-07-28, streamable HTTP, receiving messages).
var streamHeader = []core.Field{
	{Name: "Content-Type", Value: "text/event-stream"},
	{Name: "Cache-Control", Value: "no-cache"},
	{Name: "X-Accel-Buffering", Value: "no"},
}

// outlet is where the messages of one POST go. Safe for concurrent use.
type outlet interface {
	// push sends a message ahead of the answer: the answer becomes a stream.
	push(message []byte)
	// finish sends the answer, in whole or as the last message of the stream; body
	// nil ends without one. Status and header have no place in a stream.
	finish(status int, body []byte, header ...core.Field)
	// detach closes the stream in the middle of the call; false where that cannot be.
	detach(retry time.Duration) bool
	// resumable tells whether the client can come back for the answer.
	resumable() bool
}

// single is the outlet of a POST whose stream, if it gets one, lives and dies with
// the connection.
type single struct {
	sink Sink

	mu     sync.Mutex
	opened bool
	ended  bool
	stream Stream // nil when opening failed
}

func (o *single) push(message []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return
	}
	if !o.opened {
		o.opened = true
		if stream, err := o.sink.Stream(streamHeader); err == nil {
			o.stream = stream
		}
	}
	o.send(message)
}

func (o *single) send(message []byte) {
	if o.stream == nil {
		return
	}
	if err := o.stream.Send(AppendEvent(nil, Event{Data: message})); err != nil {
		o.stream = nil // the client has left; its context says so too
	}
}

func (o *single) finish(status int, body []byte, header ...core.Field) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return
	}
	o.ended = true
	switch {
	case !o.opened && body == nil:
		o.sink.Reply(status, "", nil, nil)
	case !o.opened:
		o.sink.Reply(status, typeJSON, header, body)
	case body != nil:
		o.send(body)
	}
}

func (o *single) detach(time.Duration) bool { return false }
func (o *single) resumable() bool           { return false }

// trailed is the outlet of a POST in a session whose streams can be resumed.
type trailed struct {
	sink    Sink
	session *Session
	now     func() time.Time

	mu    sync.Mutex
	trail *trail // nil until something streams
	begun bool   // the client has, or will get, an event id
	ended bool
}

// open begins the stream; o.mu is held.
func (o *trailed) open() {
	if o.trail != nil {
		return
	}
	o.trail = o.session.newTrail(postTrail, o.now())
	stream, err := o.sink.Stream(streamHeader)
	if err != nil {
		return // the client has left before it got an event id
	}
	o.begun = true
	o.trail.begin(stream)
}

func (o *trailed) push(message []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return
	}
	o.open()
	o.trail.send(message)
}

func (o *trailed) finish(status int, body []byte, header ...core.Field) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return
	}
	o.ended = true
	switch {
	case o.trail != nil:
		if body != nil {
			o.trail.send(body)
		}
		o.trail.end()
	case body == nil:
		o.sink.Reply(status, "", nil, nil)
	default:
		o.sink.Reply(status, typeJSON, header, body)
	}
}

func (o *trailed) detach(retry time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended || !o.session.revision().Detach {
		return false
	}
	o.open()
	return o.trail.detach(retry)
}

func (o *trailed) resumable() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.begun
}

// outlets is room for the outlet of one POST in a session.
type outlets struct {
	single  single
	trailed trailed
}

// pick returns the one for s.
func (o *outlets) pick(e *Endpoint, s *Session, sink Sink) outlet {
	if s.revision().Resume {
		o.trailed.sink, o.trailed.session, o.trailed.now = sink, s, e.now
		return &o.trailed
	}
	o.single.sink = sink
	return &o.single
}

// piped is the outlet of a message of the 2024-11-05 transport: the POST has been
// answered, everything goes to the stream of the session.
type piped struct{ session *Session }

func (o piped) push(message []byte) { o.session.pipe(message) }

func (o piped) finish(_ int, body []byte, _ ...core.Field) {
	if body != nil {
		o.session.pipe(body)
	}
}

func (o piped) detach(time.Duration) bool { return false }

// resumable is true because the session's stream decides, not the POST.
func (o piped) resumable() bool { return true }

// share is the part of one request in a batch: messages go to the outlet of the
// whole, the answer waits for the others unless the whole is a stream.
type share struct {
	whole outlet
	keep  func(body []byte)
}

func (o share) push(message []byte)       { o.whole.push(message) }
func (o share) detach(time.Duration) bool { return false }
func (o share) resumable() bool           { return o.whole.resumable() }
func (o share) finish(_ int, body []byte, _ ...core.Field) {
	if body != nil {
		o.keep(body)
	}
}

var (
	_ outlet = (*single)(nil)
	_ outlet = (*trailed)(nil)
	_ outlet = piped{}
	_ outlet = share{}
)
