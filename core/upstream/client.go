package upstream

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Transport says how an upstream is reached.
type Transport int

// The transports.
const (
	HTTP  Transport = iota // streamable HTTP of any revision, or HTTP+SSE where it answers as such
	SSE                    // HTTP+SSE of 2024-11-05, without trying anything else
	Stdio                  // a process
)

// String returns how people write it.
func (t Transport) String() string { return [...]string{"http", "sse", "stdio"}[t] }

// Options says which upstream it is.
type Options struct {
	Name      string // in errors and logs
	Transport Transport

	// URL is where the upstream is; Open has a connection to its origin, without a path.
	// HTTP must have core.Streamer too. Both are for HTTP and SSE.
	URL  *url.URL
	HTTP core.Upstream
	// Spawn starts a process. It is for Stdio.
	Spawn func(ctx context.Context) (Pipe, error)

	Revision string // that is spoken, and no other; "" = what the upstream can
	Client   string // our name; "" = sallyport
	Version  string // ours; "" = 0
	Limits   Limits

	Log  *slog.Logger     // nil = none
	Now  func() time.Time // nil = time.Now
	Rand io.Reader        // nil = crypto/rand
}

// Client is a client of one upstream. It is safe for concurrent use. Nothing is sent
// before the first call.
type Client struct {
	o      Options
	http   core.Streamer
	fixed  *revision
	limits Limits
	about  []byte // clientInfo
	log    *slog.Logger

	life context.Context //nolint:containedctx // of everything that outlives a call
	end  context.CancelFunc
	wg   sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	current *peer
	probing *probing
	failed  error // of the last probe
	last    trouble
	since   time.Time // of the current peer, or of the first failure
	retry   time.Time // no probe before
	closing bool
	conns   map[*conn]struct{}

	parked  parking
	changes changes
	counts  counts
	lax     lax // for tests alone
}

// lax switches defences off, so that tests can see what they are good for.
type lax struct{ streams, handles, origin, sessions bool }

// counts are of what an upstream did that it should not.
type counts struct{ unknown, malformed, dropped atomic.Int64 }

type trouble struct {
	err error
	at  time.Time
}

// Open makes a client. It does not connect yet.
func Open(o Options) (*Client, error) {
	c := &Client{o: o, limits: o.Limits.orDefault(), log: o.Log}
	bad := func(message, fix string) (*Client, error) {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "upstream " + o.Name + ": " + message, Fix: fix}
	}
	if o.Transport == Stdio {
		if o.Spawn == nil {
			return bad("nothing starts its process", "set Spawn")
		}
	} else {
		var ok bool
		if c.http, ok = o.HTTP.(core.Streamer); !ok {
			return bad("its connection cannot stream", "use one that has core.Streamer")
		}
		if o.URL == nil || o.URL.Host == "" {
			return bad("it has no URL", "write for example https://host/mcp")
		}
	}
	if o.Revision != "" {
		c.fixed = byName(o.Revision)
		switch {
		case c.fixed == nil:
			return bad("revision "+cut(o.Revision, 40)+" is unknown", "use one of "+allRevisions())
		case o.Transport == SSE && c.fixed.Envelope:
			return bad("revision "+o.Revision+" has no HTTP+SSE", "use transport http")
		}
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.o.Now == nil {
		c.o.Now = time.Now
	}
	if c.o.Rand == nil {
		c.o.Rand = rand.Reader
	}
	if c.o.Client == "" {
		c.o.Client = "sallyport"
	}
	if c.o.Version == "" {
		c.o.Version = "0"
	}
	c.about = append(putString(putString([]byte{'{'}, "name", c.o.Client), "version", c.o.Version), '}')
	c.life, c.end = context.WithCancel(context.Background())
	c.parked.c, c.changes.c = c, c
	c.conns = map[*conn]struct{}{}
	return c, nil
}

// spawn runs f in a goroutine that Close waits for; false after Close.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Go(f)
	return true
}

// enter lets a caller in that Close waits for; false after Close. It leaves by wg.Done.
func (c *Client) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Add(1)
	return true
}

// Close ends every call, session and stream, and returns when they are gone.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closing = true
	p := c.current
	c.current = nil
	c.mu.Unlock()
	if p != nil {
		p.retire()
	}
	c.changes.close()
	c.parked.close()
	c.mu.Lock()
	open := slices.Collect(maps.Keys(c.conns))
	c.mu.Unlock()
	var all sync.WaitGroup
	for _, k := range open {
		all.Go(k.shut)
	}
	all.Wait()
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.wg.Wait()
	return nil
}

// wasClosed is the error for whoever comes after Close.
func (c *Client) wasClosed() error { return c.unavailable("it was closed", nil) }

// noted keeps what went wrong last.
func (c *Client) noted(err error) {
	if err == nil || errors.Is(err, errAbandoned) {
		return
	}
	c.mu.Lock()
	c.last = trouble{err, c.o.Now()}
	c.mu.Unlock()
}

// State is how an upstream is, for health pages.
type State struct {
	Revision  string // "" while unknown
	Transport string
	Up        bool      // it answered the last probe, and nothing contradicted it since
	Since     time.Time // of Up; zero before the first probe
	Sessions  int       // open, processes included
	Parked    int       // calls that wait for what their client says
	LastError string    // fit to be shown; "" = none
	LastAt    time.Time

	Unknown   int64 // answers and notifications that belong to no call
	Malformed int64 // messages that could not be read
	Dropped   int64 // notifications and questions that nobody asked for, or too many
}

// State says how it is.
func (c *Client) State() State {
	parked := c.parked.count()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := State{
		Transport: c.o.Transport.String(), Up: c.current != nil, Since: c.since, Parked: parked, LastAt: c.last.at,
		Sessions: len(c.conns),
		Unknown:  c.counts.unknown.Load(), Malformed: c.counts.malformed.Load(), Dropped: c.counts.dropped.Load(),
	}
	if c.last.err != nil {
		s.LastError = core.AsError(c.last.err).Public()
	}
	if c.current != nil {
		s.Revision, s.Transport = c.current.rev.Name, c.current.transport.String()
	}
	return s
}
