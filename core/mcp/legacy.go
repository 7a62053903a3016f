package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"hash/maphash"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

func unknownSession() *fault {
	return &fault{code: codeUnknownSession, message: "session not found; send initialize again"}
}

// session finds the session that the header names, and checks the revision that the
// header names beside it: that of the session counts, the other must only be one
// that we serve.
func (e *Endpoint) session(ctx context.Context, r *Request) (*Session, *fault) {
	id, present, f := once(r.Header, headerSession)
	switch {
	case f != nil:
		return nil, &fault{code: codeInvalidRequest, message: f.message}
	case !present || id == "":
		return nil, &fault{code: codeNoSession, message: "header " + headerSession + " is missing; send initialize first"}
	}
	s, err := e.sessions.Find(ctx, id, r.Handler.Server().Key(), r.Who)
	if err != nil {
		known := core.AsError(err)
		if known.Code == core.CodeNotFound {
			return nil, unknownSession()
		}
		return nil, &fault{code: codeInternal, message: known.Public(), status: 503, err: err}
	}
	if s.claims.SSE {
		return nil, unknownSession() // it lives on its own transport only
	}
	r.Seen.Revision = s.within(&e.replays).Name
	return s, nil
}

// legacy answers one message of the revisions with sessions.
func (e *Endpoint) legacy(ctx context.Context, r *Request, sink Sink, m *message) {
	if m.method == "initialize" && m.request() {
		e.initialize(ctx, r, sink, m)
		return
	}
	s, f := e.session(ctx, r)
	if f != nil {
		e.refuse(r, sink, nil, m.id, f)
		return
	}
	if !m.request() {
		e.tell(s, m)
		sink.Reply(202, "", nil, nil)
		return
	}
	var p struct { // one piece of memory
		exchange exchange
		outlets  outlets
		running  running
	}
	x := &p.exchange
	x.r, x.m, x.out = r, m, p.outlets.pick(e, s, sink)
	e.serve(ctx, s, x, &p.running)
}

// tell takes a message that wants no answer.
func (e *Endpoint) tell(s *Session, m *message) {
	switch m.method {
	case "": // a response to a request of ours
		s.answered(string(m.id), answer{result: m.result, fail: m.fail})
	case "notifications/cancelled":
		if id := m.p.requestID; goodID(id) {
			s.cancel(canonicalID(id))
		}
	default:
		// notifications/initialized, progress and roots/list_changed change nothing
		// here: no roots are kept, and nobody reports progress of what we asked for.
	}
}

// running is a request of a session while it runs.
type running struct {
	id   json.RawMessage
	life core.Lifetime
	out  outlet
	left core.Waiter
}

// leave is called when the client has left. That ends the call only while the client
// could not come back for the answer.
func (c *running) leave() {
	if !c.out.resumable() {
		c.life.Cancel(errLeft)
	}
}

// serve runs one request of a session and sends its answer to x.out. x has its
// request, message and outlet; c is of the zero value.
func (e *Endpoint) serve(ctx context.Context, s *Session, x *exchange, c *running) {
	x.e, x.session = e, s
	c.id, c.out = x.m.id, x.out
	c.life.Begin(context.WithoutCancel(ctx), time.Time{}) // see leave
	defer c.life.Cancel(nil)
	if f := s.start(c, x); f != nil {
		x.out.finish(f.httpStatus(nil), appendError(nil, s.revision(), x.m.id, f))
		return
	}
	defer s.finished(c)
	_, ends := ctx.Deadline()
	if life, ok := ctx.(*core.Lifetime); ok && !ends {
		life.OnCancel(&c.left, c.leave)
		defer c.left.Stop()
	} else {
		stop := context.AfterFunc(ctx, c.leave)
		defer stop()
	}

	if !x.r.Handler.Server().Offers.Logging {
		x.level = ""
	}
	x.invocation.Client.Revision = x.rev.Name
	status, body := x.answer(&c.life)
	if errors.Is(core.Cause(&c.life), errCancelled) {
		// The client wants no answer any more; a POST that is not a stream needs one.
		if _, plain := x.out.(share); plain || x.out.resumable() {
			body = nil
		}
	}
	x.out.finish(status, body, x.header...)
}

// initialize opens a session on the streamable transport.
func (e *Endpoint) initialize(ctx context.Context, r *Request, sink Sink, m *message) {
	rev, client, f := greet(m)
	if f != nil {
		e.refuse(r, sink, nil, m.id, f)
		return
	}
	r.Seen.Revision = rev.Name
	server := r.Handler.Server()
	s, err := e.sessions.Create(ctx, Claims{Server: server.Key(), Who: r.Who, Revision: rev.Name, Client: sealable(client)})
	if err != nil {
		known := core.AsError(err)
		e.log.ErrorContext(ctx, "session not created", "request", r.ID, "server", server.Name, "error", err)
		e.refuse(r, sink, rev, m.id, &fault{code: codeInternal, message: "no session: " + known.Public(), status: 503})
		return
	}
	s.agree(rev, memorable(client))
	header := []core.Field{{Name: headerSession, Value: s.ID()}}
	sink.Reply(200, typeJSON, header, appendWelcome(nil, m.id, rev, server))
}

// greet reads the parameters of initialize and picks the revision: the one asked
// for, or the latest that has sessions.
func greet(m *message) (*revision, core.Client, *fault) {
	asked, ok := text(m.p.protocolVersion)
	if !ok {
		return nil, core.Client{}, invalidParams("params.protocolVersion must be a string")
	}
	if !wire.IsNull(m.p.capabilities) && !wire.IsObject(m.p.capabilities) {
		return nil, core.Client{}, invalidParams("params.capabilities must be an object")
	}
	if !wire.IsNull(m.p.client) && !wire.IsObject(m.p.client) {
		return nil, core.Client{}, invalidParams("params.clientInfo must be an object")
	}
	rev := byName(asked)
	if rev == nil || !rev.Sessions {
		rev = latestSession
	}
	return rev, clientOf(rev, m.p.client, m.p.capabilities), nil
}

// clientOf makes a Client of what a client said of itself.
func clientOf(rev *revision, about, capabilities json.RawMessage) core.Client {
	c := core.Client{Revision: rev.Name, Capabilities: capabilities}
	if !wire.IsObject(capabilities) {
		c.Capabilities = json.RawMessage("{}")
	}
	if !wire.IsObject(about) {
		return c
	}
	c.Info = about
	_ = wire.Walk(about, func(name string, value json.RawMessage) error { // about has been accepted
		switch name {
		case "name":
			c.Name, _ = text(value)
		case "version":
			c.Version, _ = text(value)
		}
		return nil
	})
	return c
}

// clients remembers how clients named themselves lately: most requests with an
// envelope bring the same clientInfo as others before. It holds at most 64 of them,
// each of at most 512 bytes.
type clients struct {
	slots [64]atomic.Pointer[named]
}

type named struct {
	about         []byte
	name, version string
}

var clientSeed = maphash.MakeSeed()

// read is clientOf.
func (c *clients) read(rev *revision, about, capabilities json.RawMessage) core.Client {
	if len(about) > 512 || !wire.IsObject(about) {
		return clientOf(rev, about, capabilities)
	}
	slot := &c.slots[maphash.Bytes(clientSeed, about)%uint64(len(c.slots))]
	if n := slot.Load(); n != nil && bytes.Equal(n.about, about) {
		client := clientOf(rev, nil, capabilities)
		client.Info, client.Name, client.Version = about, n.name, n.version
		return client
	}
	client := clientOf(rev, about, capabilities)
	slot.Store(&named{bytes.Clone(about), client.Name, client.Version})
	return client
}

// sealable is the part of c that a session id can hold: a session made again knows
// what it may ask the client, and whom to name in a log.
func sealable(c core.Client) core.Client {
	return core.Client{
		Name: cut(c.Name, 64), Version: cut(c.Version, 32), Revision: c.Revision,
		Capabilities: abilitiesOf(c.Capabilities).object(),
	}
}

// memorable is the part of c that a session keeps: a copy, so that the body it
// came in can go, and not more than a client has reason to say.
func memorable(c core.Client) core.Client {
	c.Info, c.Capabilities = bytes.Clone(c.Info), bytes.Clone(c.Capabilities)
	if len(c.Info) > maxAbout {
		c.Info = nil
	}
	if len(c.Capabilities) > maxAbout {
		c.Capabilities = abilitiesOf(c.Capabilities).object()
	}
	c.Name, c.Version = cut(c.Name, 256), cut(c.Version, 256)
	return c
}

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xC0 == 0x80 { // not within a character
		limit--
	}
	return s[:limit]
}

// sessionRequest answers GET and DELETE.
func (e *Endpoint) sessionRequest(ctx context.Context, r *Request, sink Sink, rev *revision, named string) {
	if rev != nil && rev.Envelope || r.Header.Get(headerSession) == "" {
		status, header := notAllowed("POST")
		sink.Reply(status, "", header, nil)
		return
	}
	if rev == nil && named != "" {
		e.refuse(r, sink, nil, nil, revisionFault(named))
		return
	}
	if r.Method == "GET" && !accepts(r.Header, "text", "event-stream") {
		e.refuse(r, sink, rev, nil, &fault{code: codeInvalidRequest, status: 406, message: "Accept must list text/event-stream"})
		return
	}
	s, f := e.session(ctx, r)
	if f != nil {
		e.refuse(r, sink, rev, nil, f)
		return
	}
	if r.Method == "DELETE" {
		e.sessions.End(ctx, s.ID())
		s.Close()
		sink.Reply(204, "", nil, nil)
		return
	}
	e.listenAlone(r, sink, s)
}

// listenAlone opens the standalone stream of a session, or goes on with a stream
// that the client has lost.
func (e *Endpoint) listenAlone(r *Request, sink Sink, s *Session) {
	refuse := func(status int, message string) {
		e.refuse(r, sink, s.revision(), nil, &fault{code: codeInvalidRequest, status: status, message: message})
	}
	if !e.park(resident{s}) {
		refuse(503, "the server is stopping")
		return
	}
	s.whenClosed(func() { e.unpark(resident{s}) })
	s.watch(func(f func(core.Change)) func() { return r.Handler.Changes(r.Who, f) })
	if last := r.Header.Get(headerLastEvent); last != "" && s.revision().Resume {
		id, seq, ok := splitEventID(last)
		if !ok {
			refuse(400, headerLastEvent+" is none of ours")
			return
		}
		if t := s.find(id); t != nil {
			t.resume(sink, seq)
			return
		}
		if id[0] == postTrail {
			refuse(400, "the stream of this "+headerLastEvent+" is not kept any more; send the request again")
			return
		}
		// The standalone stream of a session made again: nothing is lost but time.
	}
	if !s.alone(e.now()).open(sink) {
		refuse(409, "the session has a standalone stream already")
	}
}

// resident is a session with a stream, as Drain sees it.
type resident struct{ s *Session }

func (p resident) drain() { p.s.hangUp() }

// appendWelcome appends the whole response to initialize.
func appendWelcome(dst []byte, id json.RawMessage, rev *revision, server *core.Server) []byte {
	dst = append(append(append(dst, `{"jsonrpc":"2.0","id":`...), id...), `,"result":{"protocolVersion":`...)
	dst = wire.AppendString(dst, rev.Name)
	dst = append(dst, `,"capabilities":`...)
	dst = appendCapabilities(dst, rev, server.Offers)
	dst = append(append(dst, `,"serverInfo":`...), implementation(rev, server)...)
	if server.Instructions != "" {
		dst = wire.AppendString(append(dst, `,"instructions":`...), server.Instructions)
	}
	return append(dst, "}}"...)
}

// appendCapabilities appends ServerCapabilities. Every list may change on reload.
func appendCapabilities(dst []byte, rev *revision, o core.Offers) []byte {
	dst = append(dst, '{')
	if o.Tools {
		dst = append(member(dst, "tools"), `{"listChanged":true}`...)
	}
	if o.Prompts {
		dst = append(member(dst, "prompts"), `{"listChanged":true}`...)
	}
	if o.Resources {
		dst = append(member(dst, "resources"), `{"subscribe":`...)
		dst = strconv.AppendBool(dst, o.Subscribe)
		dst = append(dst, `,"listChanged":true}`...)
	}
	if o.Completions && rev.Completions {
		dst = append(member(dst, "completions"), "{}"...)
	}
	if o.Logging {
		dst = append(member(dst, "logging"), "{}"...)
	}
	return append(dst, '}')
}

// implementation returns Implementation, as a server says it of itself.
func implementation(rev *revision, server *core.Server) []byte {
	return server.Wire.Get(rev.Slot, func() []byte {
		dst := wire.AppendString([]byte(`{"name":`), server.Name)
		dst = wire.AppendString(append(dst, `,"version":`...), server.Version)
		if rev.Titles {
			dst = optional(dst, "title", server.Title)
		}
		if rev.Icons {
			dst = optional(dst, "description", server.Description)
			dst = optional(dst, "websiteUrl", server.WebsiteURL)
			dst = raw(dst, "icons", server.Icons)
		}
		return append(dst, '}')
	})
}
