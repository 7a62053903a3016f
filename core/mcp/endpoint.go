package mcp

import (
	"context"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Transport says through which door a message came.
type Transport int

// The transports.
const (
	Streamable Transport = iota // {prefix}/mcp: POST, GET, DELETE
	SSEStream                   // {prefix}/sse: GET opens a 2024-11-05 session
	SSEMessage                  // {prefix}/message?sessionId=…: POST
)

// Header reads HTTP request headers; names in any case.
type Header interface {
	Get(name string) string      // first value, "" when absent
	Values(name string) []string // all values, nil when absent
}

// Request is one HTTP request, free of any HTTP library. Everything in it is
// copied and stays valid after Handle returned.
type Request struct {
	Transport   Transport
	Method      string // POST, GET, DELETE, …
	Header      Header
	Body        []byte
	SessionID   string // SSEMessage: from the query
	MessagePath string // SSEStream: origin-relative path of the message endpoint, without the query
	Who         core.Identity
	Auth        *core.AuthRequest // how Who was asked; nil = was not
	Handler     core.Handler      // given to Handle, which releases it: not always before Handle returns
	ID          string            // request id for logs

	// Seen is filled by Handle for the request log.
	Seen struct{ RPC, Revision string }
}

// Sink takes the answer. Exactly one of its methods is called, once, before Handle
// returns. When Stream or Park returns an error the sink has answered by itself, or
// the client has left: Handle does not try another method.
type Sink interface {
	// Reply answers with a whole body; contentType is "" when there is no body.
	Reply(status int, contentType string, header []core.Field, body []byte)
	// Stream starts an SSE answer that ends when Handle returns.
	Stream(header []core.Field) (Stream, error)
	// Park starts an SSE answer that outlives Handle. gone is called once, in a
	// goroutine of the hub, when the client left or was too slow; not after Close.
	Park(header []core.Field, gone func()) (Stream, error)
}

// Stream sends SSE frames. Safe for concurrent use.
type Stream interface {
	// Send queues one encoded frame. It does not block on a slow reader: a full
	// queue or a missed write deadline closes the stream, and Send returns an error
	// from then on. The frame must not be changed afterwards.
	Send(frame []byte) error
	// Close sends what is queued and ends the connection. Idempotent.
	Close() error
}

// Sessions keeps the sessions of the revisions that have them.
type Sessions interface {
	// Create makes a session and its id (visible ASCII, sealed).
	Create(ctx context.Context, claims Claims) (*Session, error)
	// Find returns the session; an id that is unknown, expired, ended, of another
	// server or of another identity gives CodeNotFound alike.
	Find(ctx context.Context, id, server string, who core.Identity) (*Session, error)
	// End ends it: Find fails from then on.
	End(ctx context.Context, id string)
}

// Claims is what a session id seals: enough to make the Session again on another
// replica or after a restart.
type Claims struct {
	Server   string
	Who      core.Identity
	Revision string
	Client   core.Client
	SSE      bool // 2024-11-05 transport: lives and dies with its stream
}

// Options configures an Endpoint. Sessions, Sealer and Now are required.
type Options struct {
	Sessions Sessions
	Sealer   core.Sealer
	Observer core.Observer
	Log      *slog.Logger
	Now      func() time.Time
	Limits   Limits
}

// Limits bounds what one client can hold; zero values take the defaults.
type Limits struct {
	Batch         int           // messages in a 2025-03-26 batch: 100
	Rounds        int           // input rounds that one call may take: 8
	StateTTL      time.Duration // how long a client may take to come back with a requestState: 15m
	AskTimeout    time.Duration // waiting for the client's answer to a server request: 5m
	FollowTimeout time.Duration // waiting for upstreams to agree to tell of the resources of a listen stream: 20s
	Replay        int           // events kept per session for Last-Event-ID: 256
	ReplayBytes   int           // and their bytes: 1 MiB
	ReplayTotal   int           // bytes of kept events of all sessions together: 64 MiB
	InFlight      int           // requests at once per session: 64
}
