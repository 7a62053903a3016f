package egress_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/egress"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp, the backend of the benchmark, keeps these for ever.
		goleak.IgnoreTopFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	)
}

// loopback opens what tests need.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// newEgress returns an egress that may dial loopback, closed at the end.
func newEgress(t testing.TB, o egress.Options) *egress.Egress {
	t.Helper()
	if o.Allow == nil {
		o.Allow = loopback
	}
	e := egress.New(o)
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// open opens a connection, closed at the end.
func open(t testing.TB, e *egress.Egress, c core.Connection) core.Upstream {
	t.Helper()
	if c.Name == "" {
		c.Name = "shop"
	}
	u, err := e.Open(&c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = u.Close() })
	return u
}

func parse(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func get(path string) *core.Request {
	return &core.Request{Method: "GET", Path: path, Idempotent: true}
}

// wants checks that err is a *core.Error with a code, and names the connection.
func wants(t testing.TB, err error, code core.Code) *core.Error {
	t.Helper()
	var e *core.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want a *core.Error with code %s", err, err, code)
	}
	if e.Code != code {
		t.Fatalf("code %s (%v), want %s", e.Code, err, code)
	}
	if !strings.HasPrefix(e.Message, "connection ") {
		t.Errorf("message %q does not name the connection", e.Message)
	}
	return e
}

// rawServer is an upstream at the level of bytes. It answers each accepted
// connection with talk, in a goroutine that ends before the test does.
type rawServer struct {
	url      *url.URL
	accepted atomic.Int64 // connections
	requests atomic.Int64 // requests read by readRequest
	bytes    atomic.Int64 // bytes read by readRequest
}

func serveRaw(t testing.TB, talk func(s *rawServer, c net.Conn, r *bufio.Reader)) *rawServer {
	t.Helper()
	return serveRawOn(t, "127.0.0.1:0", talk)
}

func serveRawOn(t testing.TB, address string, talk func(s *rawServer, c net.Conn, r *bufio.Reader)) *rawServer {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &rawServer{url: &url.URL{Scheme: "http", Host: l.Addr().String()}}
	var talks sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	talks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.accepted.Add(1)
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			talks.Go(func() {
				defer func() { _ = c.Close() }()
				talk(s, c, bufio.NewReader(&counted{c, &s.bytes}))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		talks.Wait()
	})
	return s
}

type counted struct {
	net.Conn
	n *atomic.Int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// readRequest reads one request with its body, or returns nil at the end.
func (s *rawServer) readRequest(r *bufio.Reader) *http.Request {
	q, err := http.ReadRequest(r)
	if err != nil {
		return nil
	}
	s.requests.Add(1)
	b := make([]byte, 1024)
	for {
		if _, err := q.Body.Read(b); err != nil {
			return q
		}
	}
}

// say answers every request on a connection with the same bytes.
func say(answer string) func(*rawServer, net.Conn, *bufio.Reader) {
	return func(s *rawServer, c net.Conn, r *bufio.Reader) {
		for s.readRequest(r) != nil {
			if _, err := c.Write([]byte(answer)); err != nil {
				return
			}
		}
	}
}

// events collects what the observer is told.
type events struct {
	core.NoObserver
	mu   sync.Mutex
	sent []core.UpstreamEvent
}

func (e *events) Sent(event core.UpstreamEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sent = append(e.sent, event)
}

func (e *events) outcomes() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]string, len(e.sent))
	for i, s := range e.sent {
		list[i] = s.Outcome
	}
	return list
}

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// names is a resolver: each lookup of a host takes the next of its answers, the
// last one for ever.
type names struct {
	mu      sync.Mutex
	answers map[string][][]string
	asked   int
}

func (n *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	list := n.answers[host]
	if len(list) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if len(list) > 1 {
		n.answers[host] = list[1:]
	}
	var out []netip.Addr
	for _, a := range list[0] {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, nil
}

// resolverFunc is a resolver that fails in its own way.
type resolverFunc func(ctx context.Context) error

func (f resolverFunc) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	return nil, f(ctx)
}
