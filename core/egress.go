package core

import (
	"context"
	"io"
	"net/url"
	"time"
)

// Egress is the one door to the outside (package egress implements it). Every
// dial is checked against the address rules (SSRF), every exchange has limits.
type Egress interface {
	// Open returns the upstream for a connection profile. Upstreams of equal
	// profiles share one pool, also across reloads. Close it when done.
	Open(connection *Connection) (Upstream, error)
}

// Upstream exchanges HTTP messages with one base URL.
type Upstream interface {
	Do(ctx context.Context, request *Request) (*Response, error)
	Close() error
}

// Request is one HTTP request to an upstream. The path and query are already
// escaped; the host always comes from the connection.
type Request struct {
	Method string
	Path   string // escaped, begins with /, joined to the base URL's path
	Query  string // escaped, without ?
	Header []Field
	Body   []byte
	// Credential is the value of Authorization for this request alone, where the
	// connection has no credential there; "" = none. It stays with the origin of the
	// connection.
	Credential Secret
	Idempotent bool  // may be repeated when the connection broke or the status says try again
	MaxBytes   int64 // limit of the response after decoding; 0 = the connection's
	// Progress, when set, is called while a long body arrives: bytes so far, and the
	// total or -1.
	Progress func(received, total int64)
}

// Field is one header field, its name as it goes on the wire.
type Field struct{ Name, Value string }

// Response is a whole answer, its body decoded (gzip, br, zstd) and within limits.
type Response struct {
	Status int
	Header []Field
	Body   []byte
}

// Streamer is the second interface of an Upstream that hands out answers while they
// arrive (server-sent events).
type Streamer interface {
	// Stream returns when the head of the answer is there, within the deadlines of the
	// connection. From then on only ctx and Close end it; Request.MaxBytes bounds the
	// body, 0 = it may go on for ever. Errors of the body are *Error too; Request.Progress
	// is not called.
	Stream(ctx context.Context, request *Request) (*Stream, error)
}

// Stream is an answer whose body still arrives, decoded. Body must be closed: before its
// end, that closes the connection.
type Stream struct {
	Status int
	Header []Field
	Body   io.ReadCloser
}

// Leaver is the second interface of the Body of a Stream.
type Leaver interface {
	// Leave ends the reading of a body that has nothing more to say, and whose end is
	// about to come: it is not waited for, and the connection is used again once it has
	// come. It does nothing and returns false where that cannot be. Whoever reads calls it.
	Leave() bool
}

// Get returns the first value of a header, name in any case; "" when absent.
func (s *Stream) Get(name string) string { return first(s.Header, name) }

// Get returns the first value of a header, name in any case; "" when absent.
func (r *Response) Get(name string) string { return first(r.Header, name) }

func first(header []Field, name string) string {
	for i := range header {
		if equalFold(header[i].Name, name) {
			return header[i].Value
		}
	}
	return ""
}

func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if 'A' <= x && x <= 'Z' {
			x += 'a' - 'A'
		}
		if 'A' <= y && y <= 'Z' {
			y += 'a' - 'A'
		}
		if x != y {
			return false
		}
	}
	return true
}

// Connection is a reusable profile of one upstream base URL.
type Connection struct {
	Name       string
	BaseURL    *url.URL
	Header     []Field           // sent with every request
	Secret     map[string]Secret // header name → value (a credential), sent with every request, never shown
	Query      map[string]Secret // query parameter → value (an API key in the query)
	TLS        TLS
	HTTP2      bool          // speak HTTP/2 (net/http transport) instead of HTTP/1.1
	Connect    time.Duration // 0 = 3 s
	FirstByte  time.Duration // 0 = 10 s
	Timeout    time.Duration // whole exchange; 0 = the call's deadline
	MaxBytes   int64         // response body; 0 = 8 MiB
	Redirects  int           // followed at most; 0 = none; at most 3
	Retries    int           // extra tries of idempotent requests; default 1 is set by the reader
	InFlight   int           // bulkhead; 0 = 64; sixteen times as many streams may be open
	Queue      int           // waiting at most; 0 = 64
	Breaker    Breaker
	Connector  string   // each caller's own token for it goes out as Authorization; "" = none
	AllowCIDRs []string // private ranges that this connection may reach; taken from settings, never from a document
}

// TLS says how to trust an upstream and who we are to it.
type TLS struct {
	CA, Certificate string // PEM
	Key             Secret // PEM
	ServerName      string
	Insecure        bool // skip verification; a warning is logged
}

// Breaker opens when at least Share of Requests calls within Window failed, and
// stays open for Open. The zero value means 0.5 of 20 in 10 s, open 5 s.
type Breaker struct {
	Off      bool
	Share    float64
	Requests int
	Window   time.Duration
	Open     time.Duration
}

var _ io.Closer = Upstream(nil)
