package egress

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Options sets an Egress up; the zero value works.
type Options struct {
	Allow    []netip.Prefix // opened besides public addresses; from the settings, never from a document
	Resolver Resolver       // nil = the system's
	Observer core.Observer  // nil = none
	Log      *slog.Logger   // nil = none
	Now      func() time.Time
	Rand     func() float64 // jitter, in [0, 1)
	Idle     time.Duration  // how long a connection stays idle; 0 = 60 s
	Agent    string         // User-Agent; "" = Sallyport
}

// Egress implements core.Egress. It starts no goroutine: cancellation moves socket
// deadlines, and one timer sweeps idle connections while there are upstreams.
type Egress struct {
	o Options

	mu     sync.Mutex
	pools  map[string]*shared
	lanes  map[string]*lane
	timer  *time.Timer
	closed bool
	broken atomic.Int64 // streams

	unguarded bool // only the test of the test sets it
}

// shared is a transport with the number of upstreams that use it.
type shared struct {
	transport
	key   string
	users int
}

// lane is what upstreams of one connection share, also across reloads: how much is
// in flight, how it went, how many retries are left.
type lane struct {
	bulkhead bulkhead
	streams  streams
	breaker  *breaker
	budget   budget
	key      string
	users    int
}

// New returns an Egress. Close it when the last upstream is closed.
func New(o Options) *Egress {
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Observer == nil {
		o.Observer = core.NoObserver{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Idle <= 0 {
		o.Idle = 60 * time.Second
	}
	if o.Agent == "" {
		o.Agent = "Sallyport"
	}
	o.Allow = slices.Clone(o.Allow)
	e := &Egress{o: o, pools: map[string]*shared{}, lanes: map[string]*lane{}}
	o.Observer.Gauge("upstream_connections_idle", "Idle connections to upstreams.", e.countIdle)
	o.Observer.Gauge("upstream_requests_in_flight", "Exchanges with upstreams that run now.", e.countFlights)
	o.Observer.Gauge("upstream_streams_open", "Answers of upstreams that are read while they arrive.", e.countStreams)
	o.Observer.Counter("upstream_streams_broken", "Answers that ended, while they were read, in another way than their end or their reader's.", e.broken.Load)
	o.Observer.Gauge("upstream_breakers_open", "Connections whose circuit breaker is open.", e.countOpen)
	return e
}

// Open checks a connection and returns its upstream. An error is a *core.Error with
// CodeInvalid that says what is wrong with the connection.
func (e *Egress) Open(c *core.Connection) (core.Upstream, error) {
	u, err := e.prepare(c)
	if err != nil {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "connection " + c.Name + ": " + err.Error()}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, &core.Error{Code: core.CodeUnavailable, Message: "connection " + c.Name + ": the gateway is shutting down"}
	}
	if u.pool, err = e.join(&u.profile); err != nil {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "connection " + c.Name + ": " + err.Error()}
	}
	u.lane = e.enter(c)
	if c.TLS.Insecure && u.pool.users == 1 {
		e.o.Log.Warn("the certificate of an upstream is not checked (tls.insecureSkipVerify)", "connection", c.Name)
	}
	return u, nil
}

// Close closes what is idle; exchanges that run end by themselves.
func (e *Egress) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for _, s := range e.pools {
		s.close()
	}
	if e.timer != nil {
		e.timer.Stop()
	}
	return nil
}

// profile is what decides whether two upstreams may share connections.
type profile struct {
	scheme, host, port string
	tls                core.TLS
	http2              bool
	connect, first     time.Duration
	ranges             []netip.Prefix
}

// key is a digest over length-delimited parts, so that no two profiles meet in one
// key and no private key of TLS stays around as text.
func (p *profile) key() string {
	parts := []string{
		p.scheme, p.host, p.port, p.tls.CA, p.tls.Certificate, p.tls.Key.Reveal(), p.tls.ServerName,
		fmt.Sprint(p.tls.Insecure, p.http2, p.connect, p.first, p.ranges),
	}
	return digest(parts)
}

func digest(parts []string) string {
	h := sha256.New()
	for _, part := range parts {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part)))
		_, _ = h.Write([]byte(part))
	}
	return string(h.Sum(nil))
}

// join returns the transport of a profile, made now or shared. The caller holds mu.
func (e *Egress) join(p *profile) (*shared, error) {
	key := p.key()
	if s := e.pools[key]; s != nil {
		s.users++
		return s, nil
	}
	t, err := e.transport(p)
	if err != nil {
		return nil, err
	}
	s := &shared{transport: t, key: key, users: 1}
	e.pools[key] = s
	if len(e.pools) == 1 {
		e.timer = time.AfterFunc(e.o.Idle/4, e.sweep)
	}
	return s, nil
}

func (e *Egress) transport(p *profile) (transport, error) {
	d := &dialer{
		host: p.host, port: p.port, connect: p.connect, resolver: e.o.Resolver, now: e.o.Now,
		guard: guard{open: p.ranges, off: e.unguarded},
	}
	if p.scheme == "https" {
		protocols := []string{"http/1.1"}
		if p.http2 {
			protocols = nil // net/http fills it in
		}
		var err error
		if d.tls, err = trust(p.tls, p.host, protocols); err != nil {
			return nil, err
		}
	}
	if p.http2 {
		return newHTTP2(d, p.first, e.o.Idle, e.o.Now), nil
	}
	return &pool{dialer: d, now: e.o.Now, keep: e.o.Idle, log: e.o.Log}, nil
}

// quit ends one use of a transport; the last one closes it.
func (e *Egress) quit(s *shared) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.users--; s.users > 0 {
		return
	}
	delete(e.pools, s.key)
	s.close()
	if len(e.pools) == 0 && e.timer != nil {
		e.timer.Stop()
	}
}

// visit uses the transport of a profile for a while: a redirect to another origin.
func (e *Egress) visit(p *profile) (s *shared, quit func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s, err = e.join(p); err != nil {
		return nil, nil, err
	}
	return s, func() { e.quit(s) }, nil
}

// enter returns the lane of a connection. The caller holds mu.
func (e *Egress) enter(c *core.Connection) *lane {
	flights, queue := c.InFlight, c.Queue
	if flights <= 0 {
		flights = 64
	}
	if queue <= 0 {
		queue = 64
	}
	key := digest([]string{c.Name, c.BaseURL.String(), fmt.Sprint(flights, queue, c.Breaker)})
	l := e.lanes[key]
	if l == nil {
		l = &lane{key: key, breaker: newBreaker(c.Breaker, e.o.Rand)}
		l.bulkhead.flights, l.bulkhead.queue, l.streams.most = flights, queue, streamShare*int64(flights)
		e.lanes[key] = l
	}
	l.users++
	return l
}

func (e *Egress) exit(l *lane) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(e.lanes, l.key)
	}
}

// sweep closes connections that were idle too long, and comes back while there are
// upstreams.
func (e *Egress) sweep() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || len(e.pools) == 0 {
		return
	}
	now := e.o.Now()
	for _, s := range e.pools {
		s.sweep(now)
	}
	e.timer.Reset(e.o.Idle / 4)
}

func (e *Egress) countIdle() int64 {
	return e.count(func() (n int) {
		for _, s := range e.pools {
			n += s.idle()
		}
		return n
	})
}

func (e *Egress) countFlights() int64 {
	return e.count(func() (n int) {
		for _, l := range e.lanes {
			n += l.bulkhead.inFlight()
		}
		return n
	})
}

func (e *Egress) countStreams() int64 {
	return e.count(func() (n int) {
		for _, l := range e.lanes {
			n += int(l.streams.open.Load())
		}
		return n
	})
}

func (e *Egress) countOpen() int64 {
	return e.count(func() (n int) {
		for _, l := range e.lanes {
			if l.breaker.isOpen() {
				n++
			}
		}
		return n
	})
}

func (e *Egress) count(sum func() int) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return int64(sum())
}

var _ core.Egress = (*Egress)(nil)

// until returns the deadline of an exchange that begins now.
func until(ctx context.Context, now time.Time, whole time.Duration) time.Time {
	if whole <= 0 || whole > maxWhole {
		whole = maxWhole
	}
	deadline := now.Add(whole)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	return deadline
}

// maxWhole bounds exchanges whose caller set no deadline: the longest a call may
// take (security.md section 4).
const maxWhole = 5 * time.Minute
