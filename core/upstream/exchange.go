package upstream

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/mcp"
)

const (
	typeJSON   = "application/json"
	typeEvents = "text/event-stream"
)

// streamable is the HTTP transport with one endpoint: a POST for each message, answered
// with JSON or with events; with sessions, also GET and DELETE.
type streamable struct {
	k       *conn
	to      place
	session atomic.Pointer[string]
}

// place is where an endpoint is, under the connection's origin.
type place struct{ path, query string }

func placeOf(u *url.URL) place {
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return place{path: path, query: u.RawQuery}
}

func (l *streamable) sessionID() string {
	if id := l.session.Load(); id != nil {
		return *id
	}
	return ""
}

func (l *streamable) cancels(rev *revision) bool { return rev.Envelope }

// header returns what every request to this endpoint has.
func (l *streamable) header(more []core.Field, body bool) []core.Field {
	h := make([]core.Field, 0, 6+len(more))
	if body {
		h = append(h, core.Field{Name: "Content-Type", Value: typeJSON}, core.Field{Name: "Accept", Value: typeJSON + ", " + typeEvents})
	} else {
		h = append(h, core.Field{Name: "Accept", Value: typeEvents})
	}
	if rev := l.k.rev.Load(); rev != nil && rev.VersionHeader {
		h = append(h, core.Field{Name: headerRevision, Value: rev.Name})
	}
	if id := l.sessionID(); id != "" {
		h = append(h, core.Field{Name: headerSession, Value: id})
	}
	return append(h, more...)
}

func (l *streamable) send(_ context.Context, r *request, message []byte) {
	if !l.k.c.spawn(func() {
		if rest := l.exchange(r, message); rest != nil && !rest.leave() {
			rest.drain()
		}
	}) {
		r.finish(reply{err: l.k.c.wasClosed()})
		r.cancel()
	}
}

// carry is send for a caller that wants the answer and nothing else: it is waited for
// here, without another goroutine.
func (l *streamable) carry(ctx context.Context, r *request, message []byte) {
	c := l.k.c
	if !c.enter() {
		r.finish(reply{err: c.wasClosed()})
		r.cancel()
		return
	}
	defer c.wg.Done()
	r.carried.Store(true)
	watch := func(f func()) func() bool { return context.AfterFunc(ctx, f) }
	if life, ok := ctx.(*core.Lifetime); ok { // costs less
		watch = life.AfterFunc
	}
	stop := watch(r.leave)
	defer stop()
	if rest := l.exchange(r, message); rest != nil && !rest.leave() && !c.spawn(rest.drain) {
		rest.close()
	}
}

// exchange carries one request to its answer. It returns the stream whose end is still
// to come.
func (l *streamable) exchange(r *request, message []byte) (rest *source) {
	stream, err := l.k.c.stream(&r.life, &core.Request{Method: "POST", Path: l.to.path, Query: l.to.query, Header: l.header(r.header, true), Body: message})
	if err != nil {
		r.finish(reply{err: l.k.c.transport(&r.life, err)})
		r.cancel()
		return nil
	}
	defer func() {
		if rest == nil {
			stream.Body.Close()
			r.cancel()
		}
	}()
	r.session = stream.Get(headerSession)
	switch {
	case stream.Status == 200 && contentType(stream) == typeEvents:
		return l.follow(r, stream)
	case stream.Status == 200 && contentType(stream) == typeJSON:
		l.whole(r, stream)
	default:
		l.refused(r, stream)
	}
	return nil
}

// whole reads an answer that is one JSON text.
func (l *streamable) whole(r *request, stream *core.Stream) {
	c := l.k.c
	body, err := readAll(stream, c.limits.MessageBytes)
	switch {
	case errors.Is(err, errTooLong):
		r.finish(reply{err: c.tooLarge()})
		return
	case err != nil:
		r.finish(reply{err: c.transport(&r.life, err)})
		return
	}
	wrong := l.k.receive(body, r)
	if r.finish(reply{err: c.lying("its answer is not one to this request", wrong), bare: true, status: stream.Status}) {
		c.counts.malformed.Add(1)
	}
}

// refused reads an answer whose status is not 200: often there is an error in it.
func (l *streamable) refused(r *request, stream *core.Stream) {
	c := l.k.c
	a := reply{err: c.statusFault(stream.Status), status: stream.Status, bare: true}
	if stream.Status == 200 || stream.Status == 202 {
		a.err = c.lying("it answered neither with JSON nor with events", nil)
	}
	if contentType(stream) == typeJSON {
		const most = 64 << 10
		if body, err := readAll(stream, most); err == nil && accept(body, &c.limits) == nil {
			if m, err := parse(body); err == nil && m.fail != nil {
				if m.id == nil || l.k.owner(m.id, r) == r {
					a = reply{fail: m.fail, status: stream.Status}
				}
			}
		}
	}
	if stream.Status == 404 && l.sessionID() != "" {
		gone := c.sessionGone()
		l.k.broken(gone)
		a = reply{err: gone, status: 404}
	}
	r.finish(a)
}

// follow reads events until the answer is among them. Where the revision can, it comes
// back for the rest of a stream that broke, or that the server closed. It returns the
// stream when that goes on behind the answer.
func (l *streamable) follow(r *request, stream *core.Stream) (rest *source) {
	c := l.k.c
	rev := l.k.rev.Load()
	s := &source{k: l.k, via: r, limit: c.limits.StreamBytes, retry: firstRetry}
	if r.told != nil {
		s.limit = 0 // a stream of changes goes on for ever
	}
	for vain := 0; ; vain++ {
		got, err := s.read(stream)
		if errors.Is(err, errAnswered) {
			return s
		}
		stream.Body.Close()
		if r.isOver() {
			return nil
		}
		if got {
			vain = 0
		}
		switch {
		case err != nil && !errors.Is(err, io.EOF) && s.final:
			r.finish(reply{err: c.streamFault(&r.life, err)})
			return nil
		case rev == nil || !rev.Resume || s.last == "" || vain >= c.limits.Resumes:
			if r.life.Err() != nil {
				r.finish(reply{err: c.ended(&r.life)})
				return nil
			}
			r.finish(reply{err: c.unavailable("its stream ended before the answer", err)})
			return nil
		}
		if stream = l.again(&r.life, s, vain); stream == nil {
			r.finish(reply{err: c.unavailable("its stream ended before the answer, and could not be resumed", err)})
			return nil
		}
	}
}

// again opens the stream of events from the last one that was seen; nil when that cannot
// be.
func (l *streamable) again(ctx context.Context, s *source, vain int) *core.Stream {
	for ; vain <= l.k.c.limits.Resumes; vain++ {
		if !pause(ctx, s.wait(vain)) {
			return nil
		}
		stream, err := l.k.c.stream(ctx, &core.Request{
			Method: "GET", Path: l.to.path, Query: l.to.query,
			Header: l.header([]core.Field{{Name: headerLastEvent, Value: s.last}}, false),
		})
		switch {
		case err != nil:
			continue
		case stream.Status == 200 && contentType(stream) == typeEvents:
			return stream
		}
		status := stream.Status
		stream.Body.Close()
		if status < 500 && status != 429 {
			return nil
		}
	}
	return nil
}

// tell posts a message that wants no answer.
func (l *streamable) tell(ctx context.Context, message []byte) error {
	return l.k.c.post(ctx, l.to, l.header(l.tellHeader(message), true), message, func(status int) {
		if status == 404 && l.sessionID() != "" {
			l.k.broken(l.k.c.sessionGone())
		}
	})
}

// tellHeader gives notifications the headers that requests have.
func (l *streamable) tellHeader(message []byte) []core.Field {
	if rev := l.k.rev.Load(); rev == nil || !rev.Envelope {
		return nil
	}
	return []core.Field{{Name: headerMethod, Value: stringOf(message, "method")}}
}

// close ends the session. A server may refuse to.
func (l *streamable) close(ctx context.Context) {
	if l.sessionID() == "" {
		return
	}
	stream, err := l.k.c.stream(ctx, &core.Request{Method: "DELETE", Path: l.to.path, Query: l.to.query, Header: l.header(nil, false)})
	if err != nil {
		return
	}
	discard(stream)
}

// stand keeps the stream open that belongs to no request, as long as the session lives
// (GET on the endpoint). A server that has none says so, and is believed. Either closes
// stands.
func (l *streamable) stand(stands chan<- struct{}) {
	k, c := l.k, l.k.c
	defer func() {
		if stands != nil {
			close(stands)
		}
	}()
	s := &source{k: k, retry: firstRetry}
	for vain := 0; ; vain++ {
		var more []core.Field
		if s.last != "" {
			more = []core.Field{{Name: headerLastEvent, Value: s.last}}
		}
		stream, err := c.stream(k.life, &core.Request{Method: "GET", Path: l.to.path, Query: l.to.query, Header: l.header(more, false)})
		if stands != nil {
			close(stands)
			stands = nil
		}
		if err == nil {
			switch {
			case stream.Status == 200 && contentType(stream) == typeEvents:
				if vain > 0 && s.last == "" {
					c.changes.missed() // nobody tells what happened meanwhile
				}
				got, _ := s.read(stream)
				stream.Body.Close()
				if got {
					vain = 0
				}
			case stream.Status == 404 && l.sessionID() != "":
				stream.Body.Close()
				k.broken(c.sessionGone())
				return
			case stream.Status >= 500 || stream.Status == 429 || stream.Status == 409:
				stream.Body.Close()
			default:
				stream.Body.Close()
				return
			}
		}
		select {
		case <-k.gone:
			return
		default:
		}
		if !pause(k.life, s.wait(vain)) {
			return
		}
	}
}

func (r *request) isOver() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (c *Client) streamFault(ctx context.Context, err error) error {
	if errors.Is(err, mcp.ErrEventTooLarge) || errors.Is(err, errStream) {
		return c.tooLarge()
	}
	return c.transport(ctx, err)
}

func (c *Client) tooLarge() *core.Error {
	return &core.Error{
		Code: core.CodeTooLarge, Message: "upstream " + c.o.Name + " sent more than it may at once",
		Fix: "ask for less, or raise the limit of the upstream",
	}
}

func (c *Client) sessionGone() *core.Error {
	return &core.Error{Code: core.CodeUnavailable, Message: "upstream " + c.o.Name + " does not know the session any more", Err: errSession}
}

var errSession = errors.New("session gone")

// stream sends one request and returns when the head of its answer is there.
func (c *Client) stream(ctx context.Context, r *core.Request) (*core.Stream, error) {
	return c.http.Stream(ctx, r)
}

// post sends a message that wants no answer; saw is told the status.
func (c *Client) post(ctx context.Context, to place, header []core.Field, message []byte, saw func(status int)) error {
	stream, err := c.stream(ctx, &core.Request{Method: "POST", Path: to.path, Query: to.query, Header: header, Body: message, MaxBytes: c.limits.MessageBytes})
	if err != nil {
		return c.transport(ctx, err)
	}
	discard(stream)
	if saw != nil {
		saw(stream.Status)
	}
	if stream.Status >= 300 {
		return c.statusFault(stream.Status)
	}
	return nil
}

// discard reads a short answer, so that its connection can be used again.
func discard(stream *core.Stream) {
	const most = 4 << 10
	if contentType(stream) != typeEvents {
		_, _ = io.CopyN(io.Discard, stream.Body, most)
	}
	stream.Body.Close()
}

func contentType(stream *core.Stream) string {
	value := stream.Get("Content-Type")
	if value == typeJSON || value == typeEvents {
		return value
	}
	kind, _, err := mime.ParseMediaType(value)
	if err != nil {
		return ""
	}
	return strings.ToLower(kind)
}

// readAll reads a body of at most limit bytes.
func readAll(stream *core.Stream, limit int64) ([]byte, error) {
	size, err := strconv.ParseInt(stream.Get("Content-Length"), 10, 64)
	if err != nil || size < 0 || size > limit {
		size = 512
	}
	body := make([]byte, 0, size+1)
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		n, err := stream.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			return nil, errTooLong
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, err
		}
	}
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

var _ link = (*streamable)(nil)
