package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/mcp"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m,
		// Both sleep: one for a second at most, the other for ten.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// fakeServers finds servers by prefix.
type fakeServers struct {
	byPrefix map[string]*core.Server
	taken    atomic.Int64
	released atomic.Int64
}

func (f *fakeServers) Find(prefix string) core.Handler {
	server, found := f.byPrefix[prefix]
	if !found {
		return nil
	}
	f.taken.Add(1)
	return &fakeHandler{server: server, servers: f}
}

type fakeHandler struct {
	core.Handler
	server  *core.Server
	servers *fakeServers
}

func (h *fakeHandler) Server() *core.Server { return h.server }
func (h *fakeHandler) Release()             { h.servers.released.Add(1) }

// fakeEndpoint answers with its function; without one it sends the body back.
type fakeEndpoint struct {
	handle func(ctx context.Context, r *mcp.Request, sink mcp.Sink)
	drain  func(ctx context.Context)
}

func (f *fakeEndpoint) Handle(ctx context.Context, r *mcp.Request, sink mcp.Sink) {
	defer r.Handler.Release()
	if f.handle != nil {
		f.handle(ctx, r, sink)
		return
	}
	r.Seen.RPC, r.Seen.Revision = "echo", "2026-07-28"
	sink.Reply(200, "application/json", nil, r.Body)
}

func (f *fakeEndpoint) Drain(ctx context.Context) {
	if f.drain != nil {
		f.drain(ctx)
	}
}

// fakeObserver keeps request events.
type fakeObserver struct {
	core.NoObserver
	mu       sync.Mutex
	requests []core.RequestEvent
}

func (f *fakeObserver) Requested(e core.RequestEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, e)
}

func (f *fakeObserver) last(t *testing.T, want int) core.RequestEvent {
	t.Helper()
	eventually(t, "a request event", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.requests) >= want
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests[len(f.requests)-1]
}

// reported tells whether an event with this status came after the first n.
func (f *fakeObserver) reported(n, status int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.requests[n:], func(e core.RequestEvent) bool { return e.Status == status })
}

func (f *fakeObserver) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.requests)
}

// safeBuffer is a log that may be read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// rig is a running edge.
type rig struct {
	t        testing.TB
	edge     *Edge
	addr     string
	servers  *fakeServers
	endpoint *fakeEndpoint
	observer *fakeObserver
	log      *safeBuffer
	stop     func() error // ends Serve and returns what it said; idempotent
}

func run(t testing.TB, change func(*Options, *fakeEndpoint)) *rig {
	t.Helper()
	r := &rig{t: t, endpoint: &fakeEndpoint{}, observer: &fakeObserver{}, log: &safeBuffer{}}
	r.servers = &fakeServers{byPrefix: map[string]*core.Server{
		"":     {Name: "root"},
		"shop": {Name: "shop", Prefix: "shop"},
		"a/b":  {Name: "deep", Prefix: "a/b"},
		"web":  {Name: "web", Prefix: "web", CORS: &core.CORS{Origins: []string{"https://app.example.com"}, MaxAge: 600}},
		"open": {Name: "open", Prefix: "open", CORS: &core.CORS{Origins: []string{"*"}}},
	}}
	o := Options{Servers: r.servers, Endpoint: r.endpoint, Observer: r.observer, Log: slog.New(slog.NewTextHandler(r.log, nil))}
	if change != nil {
		change(&o, r.endpoint)
	}
	edge, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.edge, r.addr = edge, ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- edge.Serve(ctx, ln) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(20 * time.Second):
			return errors.New("Serve did not end within 20 s")
		}
	})
	t.Cleanup(func() { _ = r.stop() })
	return r
}

// dial opens a connection that fails rather than hangs.
func (r *rig) dial() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// reply is one response, its body read.
type reply struct {
	*http.Response
	body   string
	closed bool // the server closed the connection after it
}

// raw sends bytes as they are and reads one response. $HOST in text is replaced.
func (r *rig) raw(text string) reply {
	r.t.Helper()
	c := r.dial()
	defer c.Close()
	r.send(c, text)
	return readReply(r.t, bufio.NewReader(c), text[:max(strings.IndexByte(text, ' '), 0)])
}

func (r *rig) send(c net.Conn, text string) {
	r.t.Helper()
	if _, err := io.WriteString(c, strings.ReplaceAll(text, "$HOST", r.addr)); err != nil {
		r.t.Fatal(err)
	}
}

// rawClosed is raw that also sees whether the connection is closed then.
func (r *rig) rawClosed(text string) reply {
	r.t.Helper()
	c := r.dial()
	defer c.Close()
	r.send(c, text)
	in := bufio.NewReader(c)
	got := readReply(r.t, in, "GET")
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := in.ReadByte()
	got.closed = errors.Is(err, io.EOF)
	return got
}

func readReply(t testing.TB, in *bufio.Reader, method string) reply {
	t.Helper()
	res, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("read response: %v", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("read body: %v", err)
	}
	return reply{Response: res, body: string(body)}
}

func post(path, body string, headers ...string) string {
	return request("POST", path, body, headers...)
}

func request(method, path, body string, headers ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: $HOST\r\n", method, path)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	return b.String()
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited 10 s for %s", what)
}
