package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// link carries the messages of one conn.
type link interface {
	// send brings a request on its way, within ctx. Whatever goes wrong ends the request.
	send(ctx context.Context, r *request, message []byte)
	// tell brings a message on its way that wants no answer.
	tell(ctx context.Context, message []byte) error
	// cancels tells whether closing its stream ends a request of rev.
	cancels(rev *revision) bool
	// close ends the session, within ctx. Nothing is received after it.
	close(ctx context.Context)
}

// conn is one conversation with the upstream: a session, or where the revision has none,
// whatever is sent to it. Ids and progress tokens are its own, and count up.
type conn struct {
	c    *Client
	link link
	who  owner // whose session it is
	can  abilities
	rev  atomic.Pointer[revision]

	life context.Context //nolint:containedctx // of the conversation, which outlives every call
	end  context.CancelFunc
	busy chan struct{} // what is told at once

	mu      sync.Mutex
	last    int64
	pending map[int64]*request
	holder  *request // whose call the upstream means when it does not say
	level   string   // of logging, as set
	dead    error    // *core.Error: takes no more requests
	retired bool     // closed with its last request
	second  time.Time
	events  int // in that second

	gone      chan struct{} // closed when dead
	idleTimer *time.Timer   // the pool's
	shutOnce  sync.Once
	standing  sync.Once // the stream that belongs to no request
}

// request is one request to the upstream, until its answer.
type request struct {
	k      *conn
	id     int64
	method string
	header []core.Field  // of the exchange, beside what every one has
	life   core.Lifetime // of the exchange, which outlives the call while it is parked

	done    chan struct{} // closed with the answer
	answer  reply         // once done is closed
	asked   chan struct{} // a question has come; holds one signal
	session string        // Mcp-Session-Id of the HTTP answer
	carried atomic.Bool   // somebody waits for the exchange to end
	told    func(m *message) bool

	// Under k.mu.
	over    bool
	asks    []ask
	named   map[string]int // asks so far, by method
	unclean bool           // questions were left open
	logs    bool           // wants log messages

	// Whom notifications go to, under out.
	out      sync.Mutex
	notify   func(core.Notification)
	progress bool
	level    int // severity that the call wants; < 0 = none
}

// ask is a question of the upstream in the middle of a call.
type ask struct {
	id     json.RawMessage
	key    string
	method string
	params json.RawMessage
}

func (c *Client) newConn(l func(*conn) link, rev *revision) *conn {
	k := &conn{c: c, pending: map[int64]*request{}, gone: make(chan struct{}), busy: make(chan struct{}, maxCancel)}
	k.life, k.end = context.WithCancel(c.life)
	k.rev.Store(rev)
	k.link = l(k)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		k.dead = c.wasClosed()
		close(k.gone)
		return k
	}
	c.conns[k] = struct{}{}
	return k
}

// begin makes a request. It is sent with start.
func (k *conn) begin(ctx context.Context, method string) (*request, error) {
	return k.open(ctx, method, nil)
}

// open is begin for a request that notifications belong to (subscriptions/listen): told is
// given them.
func (k *conn) open(ctx context.Context, method string, told func(*message) bool) (*request, error) {
	r := &request{k: k, method: method, told: told, done: make(chan struct{}), asked: make(chan struct{}, 1), level: -1}
	r.life.Begin(context.WithoutCancel(ctx), time.Time{})
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.dead != nil:
		r.cancel()
		return nil, k.dead
	case len(k.pending) >= k.c.limits.Pending:
		r.cancel()
		return nil, &core.Error{Code: core.CodeLimited, Message: "upstream " + k.c.o.Name + " has too many calls without an answer"}
	}
	k.last++
	r.id = k.last
	k.pending[r.id] = r
	return r, nil
}

// message begins the request's bytes; params are an object.
func (r *request) message(params []byte) []byte {
	dst := append(make([]byte, 0, len(params)+96), `{"jsonrpc":"2.0","id":`...)
	dst = strconv.AppendInt(dst, r.id, 10)
	dst = wire.AppendString(append(dst, `,"method":`...), r.method)
	return append(append(append(dst, `,"params":`...), params...), '}')
}

// start sends it.
func (r *request) start(ctx context.Context, params []byte) {
	r.k.link.send(ctx, r, r.message(params))
}

// wait returns when the answer is there, when the upstream asks something, or with the
// end of ctx.
func (r *request) wait(ctx context.Context) (asked bool, err error) {
	select {
	case <-r.done:
		return false, nil
	default:
	}
	select {
	case <-r.done:
		return false, nil
	case <-r.asked:
		return true, nil
	case <-ctx.Done():
		return false, r.k.c.ended(ctx)
	}
}

// do sends a request of ours and waits for its answer.
func (k *conn) do(ctx context.Context, method string, params []byte) reply {
	r, err := k.begin(ctx, method)
	if err != nil {
		return reply{err: err}
	}
	return k.run(ctx, r, params)
}

func (k *conn) run(ctx context.Context, r *request, params []byte) reply {
	if l, ok := k.link.(*streamable); ok {
		l.carry(ctx, r, r.message(params))
		if errors.Is(r.answer.err, errAbandoned) {
			return reply{err: k.c.ended(ctx)}
		}
		return r.answer
	}
	r.start(ctx, params)
	if _, err := r.wait(ctx); err != nil {
		r.leave()
		return reply{err: err}
	}
	return r.answer
}

// finish gives the request its answer; the first one counts.
func (r *request) finish(a reply) bool {
	k := r.k
	k.mu.Lock()
	if r.over {
		k.mu.Unlock()
		return false
	}
	r.over = true
	delete(k.pending, r.id)
	if k.holder == r {
		k.holder = nil
	}
	left := r.asks
	r.asks = nil
	r.unclean = len(left) > 0
	last := k.retired && len(k.pending) == 0
	k.mu.Unlock()
	r.mute()
	r.answer = a
	close(r.done)
	for _, q := range left {
		k.refuse(q.id, codeInvalidRequest, "the request that this belongs to is over")
	}
	if last {
		k.c.spawn(k.shut)
	}
	return true
}

// mute lets nothing more through to the call.
func (r *request) mute() {
	r.out.Lock()
	r.notify = nil
	r.out.Unlock()
}

// listen says where notifications of the call go from now on.
func (r *request) listen(call *core.Call) {
	r.k.mu.Lock()
	r.logs = severity(call.LogLevel) >= 0
	r.k.mu.Unlock()
	r.out.Lock()
	r.notify, r.progress, r.level = call.Notify, call.Progress, severity(call.LogLevel)
	r.out.Unlock()
}

// abandon ends a request that nobody waits for, and tells the upstream.
func (r *request) abandon(why string) {
	if !r.finish(reply{err: errAbandoned}) {
		return
	}
	k := r.k
	if rev := k.rev.Load(); r.method != "initialize" && (rev == nil || !k.link.cancels(rev)) {
		r.tellCancelled(why)
	}
	r.cancel()
}

// tellCancelled tells the upstream that the answer is not wanted.
func (r *request) tellCancelled(why string) {
	params := strconv.AppendInt([]byte(`{"requestId":`), r.id, 10)
	params = append(putString(params, "reason", why), '}')
	r.k.tellSoon(appendNotification(nil, "notifications/cancelled", params))
}

// cancel ends the exchange.
func (r *request) cancel() { r.life.Cancel(nil) }

// leave is abandon for a caller whose context has ended.
func (r *request) leave() { r.abandon("the caller no longer waits") }

var errAbandoned = errors.New("abandoned")

// tellSoon sends what wants no answer, without waiting for it.
func (k *conn) tellSoon(message []byte) {
	select {
	case k.busy <- struct{}{}:
	default:
		k.c.counts.dropped.Add(1)
		return
	}
	if !k.c.spawn(func() {
		defer func() { <-k.busy }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(k.life), tellTimeout)
		defer cancel()
		if err := k.link.tell(ctx, message); err != nil {
			k.c.noted(err)
		}
	}) {
		<-k.busy
	}
}

// refuse answers a question of the upstream that nobody will.
func (k *conn) refuse(id json.RawMessage, code int, why string) {
	k.tellSoon(appendRefusal(nil, id, code, why))
}

// fail ends the conversation: every request that has no answer yet gets err.
func (k *conn) fail(err error) {
	k.mu.Lock()
	if k.dead == nil {
		k.dead = err
		close(k.gone)
	}
	open := make([]*request, 0, len(k.pending))
	for _, r := range k.pending {
		open = append(open, r)
	}
	k.mu.Unlock()
	for _, r := range open {
		r.finish(reply{err: err})
		r.cancel()
	}
}

// broken takes no more requests; those under way go on.
func (k *conn) broken(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dead == nil {
		k.dead = err
		close(k.gone)
	}
}

func (k *conn) isDead() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dead != nil
}

// retire closes the conversation when its last request has an answer.
func (k *conn) retire() {
	k.broken(k.c.unavailable("its session was replaced", nil))
	k.mu.Lock()
	k.retired = true
	empty := len(k.pending) == 0
	k.mu.Unlock()
	if empty {
		k.shut()
	}
}

// shut ends everything, and returns when it has.
func (k *conn) shut() {
	k.shutOnce.Do(func() {
		k.fail(k.c.unavailable("its session was closed", nil))
		ctx, cancel := context.WithTimeout(context.WithoutCancel(k.life), closeTimeout)
		defer cancel()
		k.flush(ctx)
		k.link.close(ctx)
		k.end()
		k.c.mu.Lock()
		delete(k.c.conns, k)
		k.c.mu.Unlock()
	})
}

// flush waits until what was told is on its way.
func (k *conn) flush(ctx context.Context) {
	for range cap(k.busy) {
		select {
		case k.busy <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// flooded counts what the upstream sends without being asked, and tells when it is too
// much.
func (k *conn) flooded() bool {
	now := k.c.o.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if d := now.Sub(k.second); d < 0 || d >= time.Second {
		k.second, k.events = now, 0
	}
	k.events++
	return k.events > k.c.limits.Events
}
