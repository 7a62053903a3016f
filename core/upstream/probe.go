package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

type probing struct {
	done chan struct{}
	p    *peer
	err  error
}

// peer returns what is known of the upstream, finding it out first where nothing is. All
// that ask at once wait for one probe.
func (c *Client) peer(ctx context.Context) (*peer, error) {
	c.mu.Lock()
	if p := c.current; p != nil {
		c.mu.Unlock()
		return p, nil
	}
	if c.closing {
		c.mu.Unlock()
		return nil, c.wasClosed()
	}
	f := c.probing
	if f == nil {
		if c.o.Now().Before(c.retry) {
			err := c.failed
			c.mu.Unlock()
			return nil, err
		}
		f = &probing{done: make(chan struct{})}
		c.probing = f
		c.mu.Unlock()
		if !c.spawn(func() { c.find(f) }) {
			return nil, c.wasClosed()
		}
	} else {
		c.mu.Unlock()
	}
	select {
	case <-f.done:
		return f.p, f.err
	case <-ctx.Done():
		return nil, c.ended(ctx)
	}
}

func (c *Client) find(f *probing) {
	ctx, cancel := context.WithTimeout(c.life, 3*c.limits.Probe)
	defer cancel()
	p, err := c.probe(ctx)
	now := c.o.Now()
	c.mu.Lock()
	c.probing = nil
	if err == nil && c.closing {
		err = c.wasClosed()
	}
	f.p, f.err = p, err
	if err == nil {
		c.current, c.failed, c.since = p, nil, now
	} else {
		f.p = nil
		if c.failed == nil {
			c.since = now
		}
		c.failed, c.retry = err, now.Add(refailAfter)
		c.last = trouble{err, now}
	}
	c.mu.Unlock()
	close(f.done)
	if err != nil {
		if p != nil {
			p.retire()
		}
		c.log.Warn("upstream not reached", slog.String("upstream", c.o.Name), slog.String("error", core.AsError(err).Error()))
		return
	}
	c.log.Info("upstream reached", slog.String("upstream", c.o.Name), slog.String("revision", p.rev.Name), slog.String("transport", p.transport.String()))
}

// contradicted forgets what the probe found. Requests on it go on to their end.
func (c *Client) contradicted(p *peer, why string) {
	c.mu.Lock()
	if c.current != p {
		c.mu.Unlock()
		return
	}
	c.current = nil
	c.mu.Unlock()
	c.log.Warn("upstream is not what it was", slog.String("upstream", c.o.Name), slog.String("reason", why))
	c.spawn(p.retire)
	c.changes.poke()
}

// probe finds out what the upstream is (protocol.md 1.5).
func (c *Client) probe(ctx context.Context) (*peer, error) {
	switch c.o.Transport {
	case Stdio:
		return c.probeStdio(ctx)
	case SSE:
		return c.probeSSE(ctx)
	default:
		return c.probeHTTP(ctx)
	}
}

func (c *Client) probeHTTP(ctx context.Context) (*peer, error) {
	want := latestSession
	if c.fixed == nil || c.fixed.Envelope {
		k := c.dialHTTP(latestEnvelope)
		found, a := c.discover(ctx, k)
		switch {
		case found != nil:
			return c.modern(k, HTTP, found), nil
		case c.fixed != nil || a.hopeless(ctx):
			k.shut()
			return nil, c.asError(&a, "server/discover")
		}
		k.shut()
	} else {
		want = c.fixed
	}
	k := c.dialHTTP(nil)
	a := c.initialize(ctx, k, want, 0)
	switch {
	case a.err == nil && a.fail == nil:
		return c.sessions(k, HTTP, a.result), nil
	case a.bare && (a.status == 400 || a.status == 404 || a.status == 405) && (c.fixed == nil || c.fixed == &rev20241105):
		k.shut()
		p, err := c.probeSSE(ctx)
		if err != nil { // what the other transport says is more likely to help
			return nil, c.asError(&a, "initialize")
		}
		return p, nil
	}
	k.shut()
	return nil, c.asError(&a, "initialize")
}

// hopeless tells that nothing else need be tried: nobody is there, or nobody lets us in.
func (a *reply) hopeless(ctx context.Context) bool {
	if ctx.Err() != nil || a.status == 401 || a.status == 403 {
		return true
	}
	if a.fail != nil || a.status != 0 || a.err == nil {
		return false
	}
	var known *core.Error
	return !errors.As(a.err, &known) || known.Code != core.CodeTimeout
}

// probeSSE opens the stream of the first revision. Many servers that still have it speak
// later ones on it; one that is confused by their name is asked again without it.
func (c *Client) probeSSE(ctx context.Context) (*peer, error) {
	want := latestSession
	if c.fixed != nil {
		want = c.fixed
	}
	for {
		step, cancel := context.WithTimeout(ctx, c.limits.Probe)
		k, err := c.dialEvents(step)
		cancel()
		if err != nil {
			return nil, err
		}
		a := c.initialize(ctx, k, want, 0)
		if a.err == nil && a.fail == nil {
			return c.sessions(k, SSE, a.result), nil
		}
		k.shut()
		if a.fail == nil || c.fixed != nil || want == &rev20241105 {
			return nil, c.asError(&a, "initialize")
		}
		want = &rev20241105
	}
}

func (c *Client) probeStdio(ctx context.Context) (*peer, error) {
	want := latestSession
	var k *conn
	if c.fixed != nil && !c.fixed.Envelope {
		want = c.fixed
	} else {
		var err error
		if k, err = c.dialPipe(ctx, latestEnvelope); err != nil {
			return nil, err
		}
		found, a := c.discover(ctx, k)
		switch {
		case found != nil:
			return c.modern(k, Stdio, found), nil
		case c.fixed != nil || ctx.Err() != nil:
			k.shut()
			return nil, c.asError(&a, "server/discover")
		case k.isDead(): // some end at a word that they do not know
			k.shut()
			k = nil
		}
	}
	if k == nil {
		var err error
		if k, err = c.dialPipe(ctx, nil); err != nil {
			return nil, err
		}
	}
	k.rev.Store(nil)
	a := c.initialize(ctx, k, want, 0)
	if a.err != nil || a.fail != nil {
		k.shut()
		return nil, c.asError(&a, "initialize")
	}
	return c.sessions(k, Stdio, a.result), nil
}

func (c *Client) dialHTTP(rev *revision) *conn {
	return c.newConn(func(k *conn) link { return &streamable{k: k, to: placeOf(c.o.URL)} }, rev)
}

// discover asks an upstream without sessions for what it is. It returns nil where it is
// none, with what it said.
func (c *Client) discover(ctx context.Context, k *conn) (*about, reply) {
	step, cancel := context.WithTimeout(ctx, c.limits.Probe)
	defer cancel()
	a := c.askDiscover(step, k)
	if a.fail != nil && a.fail.code == codeRevision {
		if rev := pick(stringsOf(member(a.fail.data, "supported"))); rev != nil && rev.Envelope {
			a = c.askDiscover(step, k) // it takes what it just refused
		}
	}
	if a.err != nil || a.fail != nil {
		return nil, a
	}
	versions := member(a.result, "supportedVersions")
	if rev := pick(stringsOf(versions)); rev == nil || !rev.Envelope {
		a.fail = &failure{code: codeRevision, message: "it supports no revision without sessions"}
		return nil, a
	}
	found := &about{
		server:       member(member(a.result, "_meta"), metaServer),
		capabilities: member(a.result, "capabilities"),
		instructions: stringOf(a.result, "instructions"),
	}
	found.ttl, found.scope = hint(a.result)
	return found, a
}

func (c *Client) askDiscover(ctx context.Context, k *conn) reply {
	r, err := k.begin(ctx, "server/discover")
	if err != nil {
		return reply{err: err}
	}
	return k.run(ctx, r, k.ask(r, nil))
}

// initialize opens a session on k (up to 2025-11-25).
func (c *Client) initialize(ctx context.Context, k *conn, want *revision, can abilities) reply {
	step, cancel := context.WithTimeout(ctx, c.limits.Probe)
	defer cancel()
	k.can = want.knows(can)
	r, err := k.begin(step, "initialize")
	if err != nil {
		return reply{err: err}
	}
	params := putString([]byte{'{'}, "protocolVersion", want.Name)
	params = k.can.appendTo(put(params, "capabilities"), want)
	params = append(putRaw(params, "clientInfo", c.about), '}')
	a := k.run(step, r, params)
	if a.err != nil || a.fail != nil {
		return a
	}
	rev := byName(stringOf(a.result, "protocolVersion"))
	switch {
	case rev == nil || rev.Envelope:
		a.err = c.lying("initialize was answered with a revision that has no sessions, or that nobody knows", nil)
		return a
	case c.fixed != nil && rev != c.fixed:
		a.err = &core.Error{
			Code: core.CodeUnavailable, Message: "upstream " + c.o.Name + " speaks revision " + rev.Name + ", and not " + c.fixed.Name,
			Fix: "set its revision to that, or to none",
		}
		return a
	}
	if l, ok := k.link.(*streamable); ok && r.session != "" {
		if !sessionFits(r.session) {
			a.err = c.lying("its session id is too long, or holds characters that it may not", nil)
			return a
		}
		l.session.Store(&r.session)
	}
	k.can = rev.knows(k.can)
	k.rev.Store(rev)
	if err := k.link.tell(step, appendNotification(nil, "notifications/initialized", nil)); err != nil {
		a.err = err
	}
	return a
}

// sessionFits tells whether a session id is visible ASCII (2025-11-25, transports).
func sessionFits(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return len(id) <= maxSession
}

func (c *Client) modern(k *conn, t Transport, found *about) *peer {
	return &peer{c: c, rev: k.rev.Load(), transport: t, about: *found, shared: k}
}

func (c *Client) sessions(k *conn, t Transport, result json.RawMessage) *peer {
	p := &peer{c: c, rev: k.rev.Load(), transport: t, shared: k, about: about{
		server: member(result, "serverInfo"), capabilities: member(result, "capabilities"),
		instructions: stringOf(result, "instructions"), ttl: -1,
	}}
	p.pool = newPool(p)
	return p
}

// hint reads ttlMs and cacheScope of a result.
func hint(result json.RawMessage) (ttl int64, scope string) {
	ttl = -1
	_ = wire.Walk(result, func(name string, v json.RawMessage) error { // accepted
		switch name {
		case "ttlMs":
			if n, err := json.Number(v).Int64(); err == nil && n >= 0 {
				ttl = n
			}
		case "cacheScope":
			scope, _ = text(v)
		}
		return nil
	})
	return ttl, scope
}

// asError makes an error of how a request of ours ended.
func (c *Client) asError(a *reply, method string) error {
	if a.err != nil {
		return a.err
	}
	e := c.errorOf(a.fail, method, "")
	return c.unavailable("it answered "+method+" with error "+code(a.fail), e)
}
