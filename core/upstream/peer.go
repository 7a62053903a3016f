package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// peer is what a probe found out, and what stands on it: an upstream of one revision,
// until something contradicts that.
type peer struct {
	c         *Client
	rev       *revision
	transport Transport
	about     about
	pool      *pool // of sessions for calls that may ask back; nil where there are no sessions
	headers   atomic.Pointer[map[string][]core.HeaderParam]
	listing   sync.Mutex // one lists for headers

	mu      sync.Mutex
	shared  *conn // for everything else
	opening *opening
	closed  bool
}

// about is what an upstream says of itself.
type about struct {
	server, capabilities json.RawMessage
	instructions         string
	ttl                  int64 // milliseconds; -1 = not said
	scope                string
}

type opening struct {
	done chan struct{}
	k    *conn
	err  error
}

// offers tells whether the upstream has a capability.
func (p *peer) offers(name string) bool { return wire.IsObject(member(p.about.capabilities, name)) }

// open returns the session for everything that cannot ask back, and where there are no
// sessions the one conversation.
func (p *peer) open(ctx context.Context) (*conn, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, p.c.unavailable("its session was closed", errSession)
	}
	if k := p.shared; k != nil && !k.isDead() {
		p.mu.Unlock()
		return k, nil
	}
	f := p.opening
	if f == nil {
		f = &opening{done: make(chan struct{})}
		p.opening = f
		old := p.shared
		p.shared = nil
		p.mu.Unlock()
		if !p.c.spawn(func() { p.reopen(f, old) }) {
			return nil, p.c.wasClosed()
		}
	} else {
		p.mu.Unlock()
	}
	select {
	case <-f.done:
		return f.k, f.err
	case <-ctx.Done():
		return nil, p.c.ended(ctx)
	}
}

func (p *peer) reopen(f *opening, old *conn) {
	if old != nil {
		p.c.spawn(old.retire)
	}
	ctx, cancel := context.WithTimeout(p.c.life, 2*p.c.limits.Probe)
	defer cancel()
	f.k, f.err = p.dial(ctx, 0)
	p.mu.Lock()
	closed := p.closed
	p.opening = nil
	if f.err == nil && !closed {
		p.shared = f.k
	}
	p.mu.Unlock()
	if f.err == nil && closed {
		f.k.shut()
		f.k, f.err = nil, p.c.unavailable("its session was closed", errSession)
	}
	close(f.done)
	if f.err == nil {
		p.c.changes.poke()
	} else {
		p.c.noted(f.err)
	}
}

// dial opens one more conversation of the same sort.
func (p *peer) dial(ctx context.Context, can abilities) (*conn, error) {
	c := p.c
	var k *conn
	var err error
	switch p.transport {
	case Stdio:
		rev := p.rev
		if !rev.Envelope {
			rev = nil
		}
		k, err = c.dialPipe(ctx, rev)
	case SSE:
		k, err = c.dialEvents(ctx)
	default:
		k = c.dialHTTP(nil)
		if p.rev.Envelope {
			k.rev.Store(p.rev)
		}
	}
	if err != nil {
		return nil, err
	}
	if p.rev.Envelope {
		return k, nil
	}
	a := c.initialize(ctx, k, p.rev, can)
	if a.err == nil && a.fail == nil && k.rev.Load() == p.rev {
		return k, nil
	}
	k.shut()
	if a.err == nil || a.strange() {
		c.contradicted(p, "it does not open a session as before")
		return nil, &core.Error{Code: core.CodeUnavailable, Message: "upstream " + c.o.Name + " is not what it was", Err: errContradiction}
	}
	return nil, a.err
}

var errContradiction = errors.New("contradiction")

// retire closes what is idle now, and the rest with its last request.
func (p *peer) retire() {
	p.mu.Lock()
	p.closed = true
	k := p.shared
	p.shared = nil
	p.mu.Unlock()
	if p.pool != nil {
		p.pool.close()
	}
	if k != nil {
		k.retire()
	}
}
