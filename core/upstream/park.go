package upstream

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

// flight is a call on a session of its own, which may ask back.
//
//	call ─► request ─► asks … ─► parked under a handle ─► Result{InputRequests, RequestState}
//	                                  │ (ParkedFor: cancelled)
//	repeated call ─► answers ─────────┘ ─► asks again, or the answer
type flight struct {
	p *peer
	k *conn
	r *request

	tenant, subject, method, name string
	timer                         *time.Timer
}

// leased runs a call on a session that is its own meanwhile.
func (c *Client) leased(ctx context.Context, p *peer, w *work, can abilities) (*core.Result, bool, error) {
	k, err := p.pool.lease(ctx, owner{w.call.Who.Tenant, w.call.Who.Subject, can})
	if err != nil {
		a := reply{err: err}
		again, err := c.judge(ctx, p, w, &a)
		return nil, again, err
	}
	if err := c.setLevel(ctx, p, k, w.call.LogLevel); err != nil {
		p.pool.release(k, false)
		return nil, false, err
	}
	r, err := k.begin(ctx, w.method)
	if err != nil {
		p.pool.release(k, false)
		return nil, k.isDead(), err
	}
	k.mu.Lock()
	k.holder = r
	k.mu.Unlock()
	r.listen(w.call)
	r.start(ctx, w.params(r, p.rev))
	f := &flight{p: p, k: k, r: r, tenant: w.call.Who.Tenant, subject: w.call.Who.Subject, method: w.method, name: w.call.Tool}
	return c.fly(ctx, f, w)
}

// setLevel asks for the log level of a call. That a server cannot is no reason to fail.
func (c *Client) setLevel(ctx context.Context, p *peer, k *conn, level string) error {
	if severity(level) < 0 || k.level == level || !p.offers("logging") {
		return nil
	}
	a := k.do(ctx, "logging/setLevel", append(putString([]byte{'{'}, "level", level), '}'))
	if a.err != nil {
		return a.err
	}
	k.level = level
	return nil
}

// fly waits for the answer, or for questions.
func (c *Client) fly(ctx context.Context, f *flight, w *work) (*core.Result, bool, error) {
	for {
		asked, err := f.r.wait(ctx)
		switch {
		case err != nil:
			f.drop("the caller no longer waits")
			return nil, false, err
		case !asked:
			a := f.r.answer
			f.p.pool.release(f.k, a.err == nil && !f.r.unclean)
			return c.outcome(ctx, f.p, w, &a)
		}
		timer := time.NewTimer(settle)
		select {
		case <-timer.C:
		case <-f.r.done:
		case <-ctx.Done():
		}
		timer.Stop()
		if f.r.isOver() || ctx.Err() != nil {
			continue
		}
		if asks := f.open(); len(asks) > 0 {
			out, err := c.parked.park(f, asks)
			return out, false, err
		}
	}
}

// open returns what is asked and not answered.
func (f *flight) open() []ask {
	f.k.mu.Lock()
	defer f.k.mu.Unlock()
	return append([]ask(nil), f.r.asks...)
}

// drop ends the call and its session: what the upstream still says of it must not reach
// the next call.
func (f *flight) drop(why string) {
	f.r.abandon(why)
	f.p.pool.release(f.k, f.p.c.lax.sessions)
}

// resume goes on with a parked call.
func (c *Client) resume(ctx context.Context, w *work, handle string) (*core.Result, error) {
	f := c.parked.take(handle, w)
	if f == nil {
		return nil, staleState()
	}
	f.r.listen(w.call)
	for _, q := range f.open() {
		answer, refusal := w.call.InputResponses[q.key], w.call.InputRefusals[q.key]
		if answer == nil && refusal == nil {
			continue
		}
		if !f.answered(q.key) {
			continue // taken back meanwhile
		}
		said := appendAnswer
		if answer == nil {
			said, answer = appendFailure, refusal
		}
		if err := f.k.link.tell(ctx, said(nil, q.id, answer)); err != nil {
			f.drop("the answer to its question did not arrive")
			return nil, err
		}
	}
	if left := f.open(); len(left) > 0 && !f.r.isOver() {
		return c.parked.park(f, left)
	}
	out, again, err := c.fly(ctx, f, w)
	if again && err == nil {
		err = c.unavailable("it contradicts itself", errContradiction)
	}
	if err != nil {
		c.noted(err)
		return nil, err
	}
	return out, nil
}

// answered takes a question off the list; false when it is not on it.
func (f *flight) answered(key string) bool {
	f.k.mu.Lock()
	defer f.k.mu.Unlock()
	for i := range f.r.asks {
		if f.r.asks[i].key == key {
			f.r.asks = append(f.r.asks[:i:i], f.r.asks[i+1:]...)
			return true
		}
	}
	return false
}

// Forget ends a call that waits for answers which will not come: state is the
// RequestState of its Result. The upstream is told.
func (c *Client) Forget(state json.RawMessage) {
	if handle, ok := handleOf(state); ok {
		c.parked.expire(handle)
	}
}

// parking holds the calls that wait for what their clients say.
type parking struct {
	c  *Client
	mu sync.Mutex
	by map[string]*flight
}

const handlePrefix = `{"parked":"`

// handleOf reads the handle out of a request state of ours.
func handleOf(state json.RawMessage) (string, bool) {
	rest, ok := strings.CutPrefix(string(state), handlePrefix)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, `"}`)
}

// park keeps a flight, and returns the questions as a Result.
func (p *parking) park(f *flight, asks []ask) (*core.Result, error) {
	f.r.mute()
	var secret [24]byte
	if _, err := io.ReadFull(p.c.o.Rand, secret[:]); err != nil {
		f.drop("no handle")
		return nil, &core.Error{Code: core.CodeInternal, Message: "internal error", Err: err}
	}
	handle := hex.EncodeToString(secret[:])
	p.mu.Lock()
	if p.by == nil {
		p.by = map[string]*flight{}
	}
	if len(p.by) >= p.c.limits.Parked {
		p.mu.Unlock()
		f.drop("too many calls wait for their clients")
		return nil, &core.Error{
			Code: core.CodeLimited, Message: "upstream " + p.c.o.Name + ": too many calls wait for their clients (" + strconv.Itoa(p.c.limits.Parked) + ")",
			Fix: "try again later",
		}
	}
	p.by[handle] = f
	f.timer = time.AfterFunc(p.c.limits.ParkedFor, func() { p.expire(handle) })
	p.mu.Unlock()
	out := &core.Result{
		TakesRefusals: true, RequestState: json.RawMessage(handlePrefix + handle + `"}`),
		Forget: func() { p.expire(handle) },
	}
	for _, q := range asks {
		out.InputRequests = append(out.InputRequests, core.InputRequest{Key: q.key, Method: q.method, Params: q.params})
	}
	return out, nil
}

// take returns the flight of a handle to whoever began it, for the same thing; nil for
// everybody else.
func (p *parking) take(handle string, w *work) *flight {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.by[handle]
	if f == nil || !f.belongs(w) && !p.c.lax.handles {
		return nil
	}
	delete(p.by, handle)
	f.timer.Stop()
	return f
}

// belongs tells whether a repeated call is of the same caller, for the same thing.
func (f *flight) belongs(w *work) bool {
	who := w.call.Who
	return f.tenant == who.Tenant && f.subject == who.Subject && f.method == w.method && f.name == w.call.Tool
}

// expire gives a call up that nobody came back for.
func (p *parking) expire(handle string) {
	p.mu.Lock()
	f := p.by[handle]
	delete(p.by, handle)
	p.mu.Unlock()
	if f != nil {
		f.timer.Stop()
		f.drop("its questions were not answered")
	}
}

func (p *parking) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.by)
}

func (p *parking) close() {
	p.mu.Lock()
	all := p.by
	p.by = nil
	p.mu.Unlock()
	for _, f := range all {
		f.timer.Stop()
		f.drop("the gateway is stopping")
	}
}
