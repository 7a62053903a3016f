package mcp

import (
	"context"

	"github.com/sallyport/sallyport/core/wire"
)

// envelope answers a message that brings its revision with it (2026-07-28). The
// checks stand in the order of protocol: what speaks, then what was said.
func (e *Endpoint) envelope(ctx context.Context, r *Request, sink Sink, m *message, f *fault, named string, present bool) {
	rev := byName(named)
	claimed, ok := revisionOf(m.p.m.revision)
	if f == nil && !ok {
		f = invalidParams("params._meta[" + metaRevision + "] must be a string")
		f.status = 400
	}
	if f == nil && present && named != claimed {
		f = mismatch("header " + headerRevision + " differs from the revision in the body")
	}
	if f == nil {
		if rev = byName(claimed); rev == nil || !rev.Envelope {
			rev, f = latestEnvelope, revisionFault(claimed)
		}
	}
	if rev == nil {
		rev = latestEnvelope
	}
	r.Seen.Revision = rev.Name
	if f == nil && !m.request() {
		sink.Reply(202, "", nil, nil)
		return
	}
	if f == nil {
		f = checkEnvelope(r.Header, m, present)
	}
	if f != nil {
		e.refuse(r, sink, rev, m.id, f)
		return
	}
	if m.method == "subscriptions/listen" {
		e.subscribe(ctx, r, sink, rev, m)
		return
	}
	var p struct { // one piece of memory
		exchange exchange
		single   single
	}
	p.single.sink = sink
	x := &p.exchange
	x.e, x.r, x.rev, x.m, x.out = e, r, rev, m, &p.single
	x.invocation.Client = e.clients.read(rev, m.p.m.client, m.p.m.capabilities)
	if m.p.m.level != nil && r.Handler.Server().Offers.Logging {
		x.level, _ = text(m.p.m.level)
	}
	status, body := x.answer(ctx)
	x.out.finish(status, body, x.header...)
}

// latestEnvelope is how errors look to a client whose revision is not served.
var latestEnvelope = &rev20260728

// checkEnvelope checks what every request must bring, in _meta and in headers.
func checkEnvelope(h Header, m *message, present bool) *fault {
	gate := func(message string) *fault {
		f := invalidParams(message)
		f.status = 400
		return f
	}
	switch {
	case m.p.m.capabilities == nil:
		return gate("params._meta must hold " + metaCapabilities)
	case !wire.IsObject(m.p.m.capabilities):
		return gate("params._meta[" + metaCapabilities + "] must be an object")
	case m.p.m.client != nil && !wire.IsObject(m.p.m.client):
		return gate("params._meta[" + metaClient + "] must be an object")
	case !present:
		return mismatch("header " + headerRevision + " is missing")
	}
	if f := checkMethodHeader(h, m); f != nil {
		return f
	}
	if f := checkNameHeader(h, m); f != nil {
		return f
	}
	if m.p.m.level != nil {
		if level, ok := text(m.p.m.level); !ok || severity(level) < 0 {
			return badLevel("params._meta[" + metaLevel + "]")
		}
	}
	return nil
}
