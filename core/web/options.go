package web

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/mcp"
)

// Finder finds the server behind a prefix. *gateway.Gateway is one.
type Finder interface {
	// Find returns a Handler that is released when the request is over; nil when no
	// server has this prefix. The prefix has no outer slashes and is exact in case.
	Find(prefix string) core.Handler
}

// Endpoint answers MCP requests. *mcp.Endpoint is one.
type Endpoint interface {
	// Handle answers one request through sink. ctx ends when the client left, and
	// when Handle returns. Handle owns request.Handler and releases it.
	Handle(ctx context.Context, request *mcp.Request, sink mcp.Sink)
	// Drain gives every parked stream its last words and closes it.
	Drain(ctx context.Context)
}

// Options configures an Edge. Servers and Endpoint are required, or API alone for a
// listener of the admin plane; the zero value of everything else works.
type Options struct {
	Servers  Finder
	Endpoint Endpoint
	API      *API // the admin plane; nil = there is nothing below /api/

	// Hosts are the names that the Host header may have, beside the address that
	// the client connected to and, on a loopback address, localhost: "mcp.example.com"
	// (any port) or "mcp.example.com:8443". Origins are the web origins that may
	// call, beside those that a server's CORS names: "https://app.example.com".
	Hosts   []string
	Origins []string
	// TrustedProxies are peers whose X-Forwarded-* headers are believed, and whose
	// connections are not counted per address.
	TrustedProxies []netip.Prefix
	// Doorkeeper authenticates callers; without it Serve refuses an address that other
	// machines can reach.
	Doorkeeper Doorkeeper
	// Public is the origin that clients use, such as https://mcp.example.com: what access
	// tokens must be made for. "" = by the Host header of each request.
	Public string

	// Ready tells /readyz; nil = always ready. Metrics makes /metrics; nil = 404.
	// Both must be fast and safe for concurrent use.
	Ready   func() Readiness
	Metrics func() (body []byte, contentType string)

	// Watching tells who may read /metrics and what /readyz says of mistakes, beside callers
	// on this machine; nil = everybody. Both name servers and documents.
	Watching func(header core.HeaderSource, address string) bool

	Observer core.Observer
	Log      *slog.Logger
	// Now is a running clock: deadlines of connections are counted from it.
	Now  func() time.Time
	Rand io.Reader // for request ids and the jitter of keep-alives; nil = crypto/rand

	Limits Limits
	Drain  DrainTimes
}

// Limits bounds what clients can hold; zero values take the defaults.
type Limits struct {
	Body          int           // bytes of a request body: 4 MiB; more is 413
	Head          int           // bytes of request line and headers: 16 KiB, at most 60 KiB; more is 431
	HeadFields    int           // header fields: 100; more is 431
	Read          time.Duration // for a whole request, head and body: 10 s
	Idle          time.Duration // between requests of one connection: 60 s
	Write         time.Duration // for each write of up to 64 KiB: 10 s
	InFlight      int           // requests being answered at once: 2,048; more is 503
	Streams       int           // open streams: 20,000; more is 503
	Connections   int           // open connections: 30,000, less when the process may open fewer files
	PerIP         int           // connections of one address (IPv6: of one /64): 256; negative = no limit
	QueueFrames   int           // frames waiting for one slow reader: 64
	QueueBytes    int           // and their bytes: 256 KiB
	Heartbeat     time.Duration // between keep-alive comments of a stream, ± 20 %: 15 s
	LeaveGrace    time.Duration // between a client's FIN and the end of its request's context: 10 ms
	RetryAfter    int           // seconds in Retry-After of a 503: 1
	ReduceMemory  bool          // an idle connection costs 7 KiB instead of 22, a call about 1 µs more (measured)
	writeBuffer   int           // bytes buffered for an answer
	early         time.Duration // how much sooner than asked a read may time out
	lingerOnError time.Duration // how long a refused body is read on, so that the refusal arrives
}

// DrainTimes says how Serve ends.
type DrainTimes struct {
	// Lag is how long /readyz already says no while requests are still taken, so
	// that load balancers notice. 0 = none; 5 s is a good value behind one.
	Lag time.Duration
	// Stop is the hard end, counted from the beginning of the drain: 25 s.
	Stop time.Duration
}

func (o *Options) defaults() {
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
		o.Rand = rand.Reader
	}
	if o.Drain.Stop <= 0 {
		o.Drain.Stop = 25 * time.Second
	}
	l := &o.Limits
	number(&l.Body, 4<<20)
	number(&l.Head, 16<<10)
	l.Head = min(l.Head, maxHead)
	number(&l.HeadFields, 100)
	number(&l.Read, 10*time.Second)
	number(&l.Idle, 60*time.Second)
	number(&l.Write, 10*time.Second)
	number(&l.InFlight, 2048)
	number(&l.Streams, 20_000)
	number(&l.Connections, openFiles(30_000))
	if l.PerIP == 0 {
		l.PerIP = 256
	}
	number(&l.QueueFrames, 64)
	number(&l.QueueBytes, 256<<10)
	number(&l.Heartbeat, 15*time.Second)
	number(&l.LeaveGrace, 10*time.Millisecond)
	number(&l.RetryAfter, 1)
	number(&l.writeBuffer, 8<<10)
	l.early = min(l.Read, l.Idle) / 100
	number(&l.lingerOnError, 500*time.Millisecond)
}

func number[T int | time.Duration](to *T, otherwise T) {
	if *to <= 0 {
		*to = otherwise
	}
}
