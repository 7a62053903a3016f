package web

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/sallyport/sallyport/core"
)

// Edge is the HTTP edge. Make one with New; Serve runs it once.
type Edge struct {
	servers  Finder
	endpoint Endpoint
	api      *API
	gate     gate
	proxies  []netip.Prefix
	ready    func() Readiness
	metrics  func() ([]byte, string)
	watching func(header core.HeaderSource, address string) bool
	observer core.Observer
	log      *slog.Logger
	now      func() time.Time
	limits   Limits
	times    DrainTimes

	doorkeeper   Doorkeeper
	public       string
	retryAfter   string
	idPrefix     string
	ids          atomic.Uint64
	inFlight     atomic.Int64
	slow         atomic.Int64 // streams that were ended because nobody read them
	refusedConns atomic.Int64
	panics       atomic.Int64
	draining     atomic.Bool
	served       atomic.Bool

	app   *fiber.App
	watch *watcher
	hub   *hub

	mu       sync.Mutex
	conns    map[uint64]*conn
	detached map[uint64]*conn // closed connections whose requests run on
	perIP    map[netip.Addr]int
	nextConn uint64
}

// New makes an Edge. It fails when a required option is missing or the random
// source does.
func New(o Options) (*Edge, error) {
	if (o.Servers == nil) != (o.Endpoint == nil) || o.Servers == nil && o.API == nil {
		return nil, &core.Error{Code: core.CodeInternal, Message: "web.Options lacks Servers or Endpoint", Fix: "set both, or API alone"}
	}
	o.defaults()
	var seed [14]byte
	if _, err := io.ReadFull(o.Rand, seed[:]); err != nil {
		return nil, fmt.Errorf("read randomness for request ids: %w", err)
	}
	e := &Edge{
		servers: o.Servers, endpoint: o.Endpoint, api: o.API, gate: newGate(o.Hosts, o.Origins), proxies: o.TrustedProxies,
		ready: o.Ready, metrics: o.Metrics, watching: o.Watching, observer: o.Observer, log: o.Log, now: o.Now, limits: o.Limits, times: o.Drain,
		doorkeeper: o.Doorkeeper, public: strings.TrimSuffix(o.Public, "/"), retryAfter: strconv.Itoa(o.Limits.RetryAfter), idPrefix: fmt.Sprintf("%x-", seed[8:14]),
		conns: make(map[uint64]*conn), detached: make(map[uint64]*conn), perIP: make(map[netip.Addr]int),
	}
	e.hub = newHub(e, binary.LittleEndian.Uint64(seed[:8]))
	e.app = fiber.New(fiber.Config{
		DisableStartupMessage: true,
		CaseSensitive:         true,
		StrictRouting:         true,
		Immutable:             true, // beside copying at the edge
		BodyLimit:             o.Limits.Body,
		ReadBufferSize:        o.Limits.Head,
		WriteBufferSize:       o.Limits.writeBuffer,
		ReadTimeout:           o.Limits.Read,
		IdleTimeout:           o.Limits.Idle, // WriteTimeout stays 0: it would cut streams, and conn.Write has deadlines
		ReduceMemoryUsage:     o.Limits.ReduceMemory,

		DisablePreParseMultipartForm: true, // a body is bytes; nothing of it goes to files
	})
	server := e.app.Server()
	server.KeepHijackedConns = true
	server.CloseOnShutdown = true
	server.SecureErrorLogMessage = true
	server.LazyRequestTime = true // call.begun is ours
	server.Logger = quiet{e.log}
	server.ErrorHandler = e.misread
	server.ExpectHandler = e.expect
	server.HeaderReceived = e.largeBody
	e.app.Use(e.serve)
	// Fiber's router copies method and path four times and would find this one route.
	// The hot path, POST, goes past it; every other method is Fiber's to judge.
	routed := server.Handler
	server.Handler = func(rc *fasthttp.RequestCtx) {
		if !rc.IsPost() || !e.answer(rc) {
			routed(rc)
		}
	}
	o.Observer.Gauge("sallyport_connections", "Open client connections.", e.connections)
	o.Observer.Gauge("sallyport_streams", "Open SSE streams.", e.hub.open)
	o.Observer.Gauge("sallyport_requests_in_flight", "MCP requests being answered.", e.inFlight.Load)
	o.Observer.Counter("sallyport_slow_readers", "Streams ended because the client did not read.", e.slow.Load)
	o.Observer.Counter("sallyport_connections_refused", "Connections refused for a limit on them.", e.refusedConns.Load)
	o.Observer.Counter("sallyport_panics", "Panics contained at the edge.", e.panics.Load)
	return e, nil
}

// quiet passes on what fasthttp logs as debug records: it is about clients that
// broke off.
type quiet struct{ log *slog.Logger }

// Printf drops args: they hold addresses and pieces of requests.
func (q quiet) Printf(format string, _ ...any) { q.log.Debug("http server", "message", format) }

func (e *Edge) connections() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return int64(len(e.conns))
}

// left is called by the watcher for a connection whose client left.
func (e *Edge) left(id uint64) {
	defer e.contain("end what a client left behind")
	e.mu.Lock()
	c := e.conns[id]
	e.mu.Unlock()
	if c != nil {
		c.leave()
	}
}

// contain is deferred in goroutines of the edge: a panic is logged and goes no
// further.
func (e *Edge) contain(doing string) {
	if fault := recover(); fault != nil {
		e.panicked(doing, fault)
	}
}

func (e *Edge) panicked(doing string, fault any) {
	e.log.Error("panic contained", "while", doing, "fault", fmt.Sprint(fault), "stack", string(debug.Stack()))
	e.panics.Add(1)
}

// requestID returns a name for one request: random for the process, then a number.
func (e *Edge) requestID() string {
	const digits = "0123456789abcdef"
	var b [21]byte
	copy(b[:13], e.idPrefix)
	for n, i := e.ids.Add(1), len(b)-1; i >= 13; i, n = i-1, n>>4 {
		b[i] = digits[n&15]
	}
	return string(b[:])
}

// expect answers a client that asks before it sends a body (RFC 9110, section
// 10.1.1).
func (e *Edge) expect(rc *fasthttp.RequestCtx) int {
	if rc.Request.Header.ContentLength() > max(e.limits.Body, e.room(&rc.Request.Header)) {
		e.turnAway(rc, refuseBody)
		return refuseBody.status
	}
	return fasthttp.StatusContinue
}

// misread answers a request that fasthttp could not read.
func (e *Edge) misread(rc *fasthttp.RequestCtx, err error) {
	e.turnAway(rc, misread(err))
}

// turnAway answers a request that was not read to its end, and reports it.
func (e *Edge) turnAway(rc *fasthttp.RequestCtx, r *refusal) {
	defer e.contain("turn a request away")
	c := &call{edge: e, id: e.requestID(), begun: e.now()}
	if conn, ok := rc.Conn().(*conn); ok {
		c.conn = conn
		conn.lingers.Store(r != refuseSlow)
	}
	rc.Response.Reset()
	if path, _, _ := bytes.Cut(rc.Request.Header.RequestURI(), []byte("?")); r == refuseBody && e.api != nil && bytes.HasPrefix(path, []byte(apiRoot+"/")) {
		c.route, r = find(string(path)), refuseUpload // where errors are written in another way
	}
	c.refuse(rc, r)
	c.report(r.status, len(rc.Response.Body()), false)
}
