package upstream

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

// owner is whose a session is that may ask back: sessions are never shared between
// callers, nor between clients that can do different things.
type owner struct {
	tenant, subject string
	can             abilities
}

// pool holds the sessions for calls that may ask back, or that want a log level of their
// own. Each is leased to one call at a time, so that what the upstream says outside of
// the streams of calls can only mean that call.
//
//	lease ─► an idle session of the owner ─► else a new one, while there may be more
//	      ─► else the oldest idle one of somebody else is closed ─► else wait
type pool struct {
	p *peer

	mu      sync.Mutex
	idle    []*conn // oldest first
	open    int
	waiting []chan struct{} // in order; closed when it is worth another look
	closed  bool
}

func newPool(p *peer) *pool { return &pool{p: p} }

// lease returns a session that is the caller's until release.
func (q *pool) lease(ctx context.Context, o owner) (*conn, error) {
	c := q.p.c
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return nil, &core.Error{Code: core.CodeUnavailable, Message: "upstream " + c.o.Name + ": its session was replaced", Err: errContradiction}
		}
		if k := q.take(o); k != nil {
			q.mu.Unlock()
			return k, nil
		}
		var victim *conn
		if q.open >= c.limits.Sessions && len(q.idle) > 0 {
			victim = q.idle[0]
			q.idle = q.idle[1:]
			victim.idleTimer.Stop()
			q.open--
		}
		if q.open < c.limits.Sessions {
			q.open++
			q.mu.Unlock()
			if victim != nil {
				c.spawn(victim.shut)
			}
			return q.dial(ctx, o)
		}
		if len(q.waiting) >= c.limits.Waiting {
			q.mu.Unlock()
			return nil, &core.Error{
				Code: core.CodeLimited, Message: "upstream " + c.o.Name + ": too many calls wait for a session",
				Fix: "raise the number of its sessions",
			}
		}
		turn := make(chan struct{})
		q.waiting = append(q.waiting, turn)
		q.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
			q.leave(turn)
			return nil, c.ended(ctx)
		}
	}
}

// take returns the idle session of an owner that was used last, or nil.
func (q *pool) take(o owner) *conn {
	for i, k := range slices.Backward(q.idle) {
		if k.who != o {
			continue
		}
		q.idle = append(q.idle[:i:i], q.idle[i+1:]...)
		k.idleTimer.Stop()
		if !k.isDead() {
			return k
		}
		q.open--
		q.p.c.spawn(k.shut)
	}
	return nil
}

func (q *pool) dial(ctx context.Context, o owner) (*conn, error) {
	k, err := q.p.dial(ctx, o.can)
	if err != nil {
		q.mu.Lock()
		q.open--
		q.wake()
		q.mu.Unlock()
		return nil, err
	}
	k.who = o
	if l, ok := k.link.(*streamable); ok && o.can != 0 {
		k.standing.Do(func() { q.stand(ctx, l) })
	}
	return k, nil
}

// stand opens the stream of no request, and waits for it: some ask on it, and what they ask
// before it is there is lost. Some say nothing of it before they have something to say.
func (q *pool) stand(ctx context.Context, l *streamable) {
	stands := make(chan struct{})
	if !q.p.c.spawn(func() { l.stand(stands) }) {
		return
	}
	timer := time.NewTimer(standTimeout)
	defer timer.Stop()
	select {
	case <-stands:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// release gives a session back. One that may still say something of this call is not
// clean, and closed.
func (q *pool) release(k *conn, clean bool) {
	q.mu.Lock()
	if clean && !q.closed && !k.isDead() {
		q.idle = append(q.idle, k)
		k.idleTimer = time.AfterFunc(q.p.c.limits.Idle, func() { q.expire(k) })
		q.wake()
		q.mu.Unlock()
		return
	}
	q.open--
	q.wake()
	q.mu.Unlock()
	q.p.c.spawn(k.shut)
}

// expire closes a session that nobody used for long.
func (q *pool) expire(k *conn) {
	q.mu.Lock()
	found := false
	for i := range q.idle {
		if q.idle[i] == k {
			q.idle = append(q.idle[:i:i], q.idle[i+1:]...)
			q.open--
			found = true
			break
		}
	}
	q.mu.Unlock()
	if found {
		q.p.c.spawn(k.shut)
	}
}

// wake lets the first that waits look again.
func (q *pool) wake() {
	if len(q.waiting) > 0 {
		close(q.waiting[0])
		q.waiting = q.waiting[1:]
	}
}

// leave takes one out of the line. When its turn had come it hands it on.
func (q *pool) leave(turn chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.waiting {
		if q.waiting[i] == turn {
			q.waiting = append(q.waiting[:i:i], q.waiting[i+1:]...)
			return
		}
	}
	q.wake()
}

// close closes what is idle now, and the rest when it is released.
func (q *pool) close() {
	q.mu.Lock()
	q.closed = true
	idle := q.idle
	q.idle = nil
	q.open -= len(idle)
	for _, turn := range q.waiting {
		close(turn)
	}
	q.waiting = nil
	for _, k := range idle {
		k.idleTimer.Stop()
	}
	q.mu.Unlock()
	for _, k := range idle {
		q.p.c.spawn(k.shut)
	}
}
