package upstream

import (
	"encoding/json"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// receive takes what came: one message, or where the revision has them a batch. via is
// the request whose own stream it came on, nil where streams are shared. It returns what
// was wrong.
func (k *conn) receive(b []byte, via *request) error {
	if err := accept(b, &k.c.limits); err != nil {
		k.c.counts.malformed.Add(1)
		return err
	}
	if !wire.IsArray(b) {
		return k.one(b, via)
	}
	if rev := k.rev.Load(); rev != nil && !rev.Batch {
		k.c.counts.malformed.Add(1)
		return errBatch
	}
	const most = 1000
	n := 0
	var wrong error
	_ = wire.WalkElements(b, func(v json.RawMessage) error { // accepted
		if n++; n > most {
			wrong = errManyInside
			return wrong
		}
		if err := k.one(v, via); err != nil && wrong == nil {
			wrong = err
		}
		return nil
	})
	return wrong
}

func (k *conn) one(b []byte, via *request) error {
	m, err := parse(b)
	if err != nil {
		k.c.counts.malformed.Add(1)
		if m.method == "" && m.id != nil {
			if r := k.owner(m.id, via); r != nil { // an answer that is none still ends the wait
				r.finish(reply{err: k.c.lying("its answer cannot be read", err)})
			}
		}
		return err
	}
	switch {
	case m.answer():
		k.answered(&m, via)
	case m.request():
		k.question(&m, via)
	case k.flooded():
		k.c.counts.dropped.Add(1)
	default:
		k.heard(&m, via)
	}
	return nil
}

// owner finds the request of an id, and only on its own stream.
func (k *conn) owner(id json.RawMessage, via *request) *request {
	n, ok := ours(id)
	if !ok {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.pending[n]
	if r == nil || via != nil && via != r && !k.c.lax.streams {
		return nil
	}
	return r
}

func (k *conn) answered(m *message, via *request) {
	r := k.owner(m.id, via)
	if m.id == nil && m.fail != nil {
		r = via // an error that could not read the id of its request
	}
	if r == nil || !r.finish(reply{result: m.result, fail: m.fail}) {
		k.c.counts.unknown.Add(1)
		return
	}
	if _, own := k.link.(*streamable); own && via != r && r.carried.Load() {
		r.cancel()
	} else if own && via != r {
		time.AfterFunc(drainTimeout, r.cancel) // its own stream has nothing more to say
	}
}

// question takes a request of the upstream.
func (k *conn) question(m *message, via *request) {
	if m.method == "ping" {
		if k.flooded() {
			k.c.counts.dropped.Add(1)
			return
		}
		k.tellSoon(appendAnswer(nil, m.id, json.RawMessage("{}")))
		return
	}
	need := needOf(m.method, m.params)
	rev := k.rev.Load()
	if need == 0 || k.can&need != need || rev == nil || rev.Envelope {
		k.refuse(m.id, codeNoMethod, "this client does not have that method")
		return
	}
	k.mu.Lock()
	r := via
	if r == nil {
		r = k.holder
	}
	switch {
	case r == nil || r.over:
		k.mu.Unlock()
		k.c.counts.unknown.Add(1)
		k.refuse(m.id, codeInvalidRequest, "this belongs to no request that is still open")
		return
	case len(r.asks) >= k.c.limits.Asks:
		k.mu.Unlock()
		k.c.counts.dropped.Add(1)
		k.refuse(m.id, codeInternal, "too many questions at once")
		return
	}
	if r.named == nil {
		r.named = map[string]int{}
	}
	r.named[m.method]++
	params := m.params
	if params == nil {
		params = json.RawMessage("{}")
	}
	r.asks = append(r.asks, ask{id: m.id, key: askKey(m.method, r.named[m.method]), method: m.method, params: params})
	k.mu.Unlock()
	select {
	case r.asked <- struct{}{}:
	default:
	}
}

// heard takes a notification.
func (k *conn) heard(m *message, via *request) {
	switch m.method {
	case "notifications/progress":
		r := k.owner(member(m.params, "progressToken"), via)
		if r == nil {
			k.c.counts.unknown.Add(1)
			return
		}
		r.pass(m.method, without(m.params, "progressToken"))
		return
	case "notifications/message":
		if r := k.meant(via); r != nil {
			r.pass(m.method, m.params)
		} else {
			k.c.counts.dropped.Add(1)
		}
		return
	case "notifications/cancelled":
		k.withdrawn(m, via)
		return
	}
	if r := k.listener(m, via); r != nil {
		if !r.told(m) {
			k.c.counts.unknown.Add(1)
		}
		return
	}
	if rev := k.rev.Load(); rev != nil && rev.Envelope {
		k.c.counts.unknown.Add(1) // changes come on a stream that was asked for, and nowhere else
		return
	}
	k.c.changes.heard(m)
}

// meant finds the call that a log message belongs to: that of its stream, else that of
// the session, else the only one that wants any (2026-07-28 over stdio, where messages do
// not say to what they belong).
func (k *conn) meant(via *request) *request {
	if via != nil {
		return via
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if rev := k.rev.Load(); k.holder != nil || rev == nil || !rev.Envelope {
		return k.holder
	}
	var only *request
	for _, r := range k.pending {
		switch {
		case !r.logs:
		case only != nil:
			return nil
		default:
			only = r
		}
	}
	return only
}

// listener finds the listen request that a notification belongs to.
func (k *conn) listener(m *message, via *request) *request {
	if via != nil {
		if via.told == nil {
			return nil
		}
		return via
	}
	id := member(member(m.params, "_meta"), metaSubscription)
	if id == nil {
		return nil
	}
	if r := k.owner(id, nil); r != nil && r.told != nil {
		return r
	}
	return nil
}

// withdrawn takes back a question, or ends a listen request over stdio.
func (k *conn) withdrawn(m *message, via *request) {
	id := member(m.params, "requestId")
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.pending {
		if via != nil && r != via {
			continue
		}
		for i := range r.asks {
			if string(r.asks[i].id) == string(id) {
				r.asks = append(r.asks[:i:i], r.asks[i+1:]...)
				return
			}
		}
	}
	if n, ok := ours(id); ok {
		if r := k.pending[n]; r != nil && r.told != nil && (via == nil || via == r) {
			go r.finish(reply{result: json.RawMessage("{}")})
			return
		}
	}
	k.c.counts.unknown.Add(1)
}

// pass hands a notification to the call, as far as it asked for it.
func (r *request) pass(method string, params json.RawMessage) {
	r.out.Lock()
	defer r.out.Unlock()
	wanted := r.progress
	if method == "notifications/message" {
		wanted = r.level >= 0 && severity(stringOf(params, "level")) >= r.level
	}
	if r.notify == nil || !wanted {
		r.k.c.counts.dropped.Add(1)
		return
	}
	r.notify(core.Notification{Method: method, Params: params})
}

// without takes a member out of an object.
func without(object json.RawMessage, name string) json.RawMessage {
	dst := append(make([]byte, 0, len(object)), '{')
	_ = wire.Walk(object, func(key string, v json.RawMessage) error { // accepted
		if key != name {
			dst = putRaw(dst, key, v)
		}
		return nil
	})
	return append(dst, '}')
}

var levels = []string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

// severity is the rank of a log level; -1 for what is none.
func severity(level string) int {
	for i, l := range levels {
		if l == level {
			return i
		}
	}
	return -1
}
