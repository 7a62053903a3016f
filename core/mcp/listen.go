package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// listen is one subscriptions/listen stream (2026-07-28, subscriptions).
type listen struct {
	e    *Endpoint
	id   json.RawMessage // the id of the request, which names the subscription
	rev  *revision
	name []byte // how the server calls itself
	want filter

	mu     sync.Mutex
	stream Stream
	stop   func()
	over   bool

	follows []func() // end of what upstreams were asked to tell of; set before the stream opens
}

// filter says which changes a client wants, and gets.
type filter struct {
	tools, prompts, resources bool
	uris                      map[string]struct{}
	order                     []string // of uris, as asked
}

// subscribe opens a listen stream. The acknowledgement goes out before anything
// else can.
func (e *Endpoint) subscribe(ctx context.Context, r *Request, sink Sink, rev *revision, m *message) {
	offers := r.Handler.Server().Offers
	want, f := readFilter(m.p.notifications, offers)
	if f != nil {
		f.status = 400
		e.refuse(r, sink, rev, m.id, f)
		return
	}
	l := &listen{e: e, id: bytes.Clone(m.id), rev: rev, name: implementation(rev, r.Handler.Server()), want: want}
	l.follow(ctx, r)
	// Before the stream is open, so that nothing is missed after the acknowledgement; and
	// outside the lock: whoever tells of changes holds one of its own meanwhile.
	l.stop = r.Handler.Changes(r.Who, l.changed)
	if err := l.open(sink); err != nil {
		l.stop()
		l.unfollow()
		if errors.Is(err, errDraining) {
			e.refuse(r, sink, rev, m.id, &fault{code: codeInternal, status: 503, message: err.Error()})
		}
	}
}

// follow asks for the resources that the client wants to know of. What cannot be followed,
// or not in time, is not acknowledged (2026-07-28, subscriptions).
func (l *listen) follow(ctx context.Context, r *Request) {
	if len(l.want.order) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, l.e.limits.FollowTimeout)
	defer cancel()
	const atOnce = 16
	stops := make([]func(), len(l.want.order))
	var work sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, uri := range l.want.order {
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			stops[i] = l.e.follow(ctx, r.Handler, r.Who, uri)
		})
	}
	work.Wait()
	order := l.want.order
	l.want.order = order[:0:0]
	for i, stop := range stops {
		if stop == nil {
			delete(l.want.uris, order[i])
			continue
		}
		l.want.order = append(l.want.order, order[i])
		l.follows = append(l.follows, stop)
	}
}

// unfollow ends what follow began.
func (l *listen) unfollow() {
	for _, stop := range l.follows {
		stop()
	}
}

var errDraining = errors.New("the server is stopping")

// open parks the stream and acknowledges.
func (l *listen) open(sink Sink) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.e.park(l) {
		return errDraining
	}
	stream, err := sink.Park(streamHeader, l.end)
	if err != nil { // the client has left
		l.over = true
		l.e.unpark(l)
		return err
	}
	l.stream = stream
	l.send(appendNotification(nil, "notifications/subscriptions/acknowledged",
		l.want.appendTo(append(l.appendID([]byte(`{"_meta":{`)), `},"notifications":`...))))
	return nil
}

// readFilter reads params.notifications, and drops what the server has not.
func readFilter(b json.RawMessage, o core.Offers) (want filter, f *fault) {
	if !wire.IsObject(b) {
		return want, invalidParams("params.notifications must be an object")
	}
	err := wire.Walk(b, func(name string, v json.RawMessage) error {
		flag := string(v) == "true"
		wrong := !flag && string(v) != "false"
		switch name {
		case "toolsListChanged":
			want.tools = flag && o.Tools
		case "promptsListChanged":
			want.prompts = flag && o.Prompts
		case "resourcesListChanged":
			want.resources = flag && o.Resources
		case "resourceSubscriptions":
			wrong = !wire.IsArray(v) || want.readURIs(v) != nil
			if !o.Subscribe {
				want.order, want.uris = nil, nil
			}
		default:
			wrong = false
		}
		if wrong && f == nil {
			f = invalidParams("params.notifications." + name + " has the wrong type, or too many entries")
		}
		return nil
	})
	if err != nil {
		return want, syntaxFault(err)
	}
	return want, f
}

func (f *filter) readURIs(b json.RawMessage) error {
	f.uris, f.order = map[string]struct{}{}, []string{}
	size := 0
	return wire.Elements(b, func(v json.RawMessage) error {
		uri, ok := text(v)
		if !ok {
			return errors.New("not a string")
		}
		if _, had := f.uris[uri]; had {
			return nil
		}
		if size += len(uri); len(f.order) >= maxSubscriptions || size > maxSubscriptionBytes {
			return errors.New("too many")
		}
		f.uris[uri] = struct{}{}
		f.order = append(f.order, uri)
		return nil
	})
}

// appendTo closes params with what is honoured.
func (f *filter) appendTo(dst []byte) []byte {
	dst = append(dst, '{')
	for _, flag := range []struct {
		name string
		on   bool
	}{{"toolsListChanged", f.tools}, {"promptsListChanged", f.prompts}, {"resourcesListChanged", f.resources}} {
		if flag.on {
			dst = append(member(dst, flag.name), "true"...)
		}
	}
	if f.order != nil {
		dst = appendStrings(member(dst, "resourceSubscriptions"), f.order)
	}
	return append(dst, "}}"...)
}

func (f *filter) wants(c core.Change) bool {
	switch c.Kind {
	case core.ToolsChanged:
		return f.tools
	case core.PromptsChanged:
		return f.prompts
	case core.ResourcesChanged:
		return f.resources
	case core.ResourceUpdated:
		_, ok := f.uris[c.URI]
		return ok
	}
	return false
}

// appendID appends the member of _meta that names the subscription.
func (l *listen) appendID(dst []byte) []byte {
	return append(member(dst, metaSubscription), l.id...)
}

// changed is called for each change of the server.
func (l *listen) changed(c core.Change) {
	if !l.want.wants(c) {
		return
	}
	message := changeMessage(c, l.appendID([]byte{'{'}))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.send(message)
}

func (l *listen) send(message []byte) {
	if !l.over && l.stream != nil {
		_ = l.stream.Send(AppendEvent(nil, Event{Data: message})) // when it fails the hub calls end
	}
}

// end forgets a stream whose client has left.
func (l *listen) end() { l.finish(false) }

// drain sends the result that says: ended, and on purpose.
func (l *listen) drain() { l.finish(true) }

func (l *listen) finish(graceful bool) {
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return
	}
	if graceful {
		dst := append(append([]byte(`{"jsonrpc":"2.0","id":`), l.id...), `,"result":{"resultType":"complete","_meta":{`...)
		dst = l.appendID(dst)
		dst = append(append(member(dst, metaServer), l.name...), "}}}"...)
		l.send(dst)
		_ = l.stream.Close() // the client has left otherwise
	}
	l.over = true
	stop := l.stop
	l.stop = nil
	l.mu.Unlock()
	l.e.unpark(l)
	if stop != nil {
		stop()
	}
	l.unfollow()
}

// changeMessage makes the notification of a change; meta, when not nil, is the
// inside of its params._meta, with the brace before it.
func changeMessage(c core.Change, meta []byte) []byte {
	var method string
	switch c.Kind {
	case core.ToolsChanged:
		method = "notifications/tools/list_changed"
	case core.PromptsChanged:
		method = "notifications/prompts/list_changed"
	case core.ResourcesChanged:
		method = "notifications/resources/list_changed"
	case core.ResourceUpdated:
		method = "notifications/resources/updated"
	default:
		return nil
	}
	if meta == nil && c.Kind != core.ResourceUpdated {
		return appendNotification(nil, method, nil)
	}
	params := []byte{'{'}
	if meta != nil {
		params = append(append(member(params, "_meta"), meta...), '}')
	}
	if c.Kind == core.ResourceUpdated {
		params = wire.AppendString(member(params, "uri"), c.URI)
	}
	return appendNotification(nil, method, append(params, '}'))
}
