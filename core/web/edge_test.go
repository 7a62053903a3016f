package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/mcp"
)

func TestReply(t *testing.T) {
	var seen *mcp.Request
	r := run(t, func(_ *Options, e *fakeEndpoint) {
		e.handle = func(_ context.Context, r *mcp.Request, sink mcp.Sink) {
			seen = r
			r.Seen.RPC, r.Seen.Revision = "tools/list", "2025-06-18"
			sink.Reply(201, "application/json", []core.Field{
				{Name: "Mcp-Session-Id", Value: "abc"}, {Name: "X-Bad", Value: "a\nb"}, {Name: "Vary", Value: "Accept"},
			}, []byte(`{"x":1}`))
		}
	})
	got := r.rawClosed(post("/a/b/message?sessionId=s1", `{"q":1}`))
	if got.StatusCode != 201 || got.body != `{"x":1}` || got.closed {
		t.Errorf("answer %d %q, closed %v", got.StatusCode, got.body, got.closed)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Content-Length": "7", "Mcp-Session-Id": "abc", "X-Bad": "", "Vary": "Accept",
		"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Request-Id": seen.ID, "Server": "", "Connection": "",
	} {
		if g := got.Header.Get(name); g != want {
			t.Errorf("%s is %q, want %q", name, g, want)
		}
	}
	if seen.Transport != mcp.SSEMessage || seen.SessionID != "s1" || seen.Method != "POST" || seen.Handler.Server().Name != "deep" {
		t.Errorf("request %+v", seen)
	}
	event := r.observer.last(t, 1)
	want := core.RequestEvent{
		Server: "deep", Method: "POST", Route: "message", RPC: "tools/list", Revision: "2025-06-18",
		Status: 201, Bytes: 7, Duration: event.Duration, ID: seen.ID,
	}
	if event != want {
		t.Errorf("event %+v, want %+v", event, want)
	}
	for path, want := range map[string]string{"/sse": "/message", "/a/b/sse": "/a/b/message"} {
		r.raw(request("GET", path, ""))
		if seen.MessagePath != want || seen.Transport != mcp.SSEStream {
			t.Errorf("GET %s: message path %q, transport %v", path, seen.MessagePath, seen.Transport)
		}
	}
}

func TestNoBody(t *testing.T) {
	r := run(t, func(_ *Options, e *fakeEndpoint) {
		e.handle = func(_ context.Context, _ *mcp.Request, sink mcp.Sink) { sink.Reply(202, "", nil, nil) }
	})
	got := r.raw(post("/mcp", "{}"))
	if got.StatusCode != 202 || got.body != "" || got.Header.Get("Content-Type") != "" {
		t.Errorf("answer %d %q %v", got.StatusCode, got.body, got.Header)
	}
}

func TestHealth(t *testing.T) {
	state := Readiness{Ready: true, Revision: "abc"}
	r := run(t, func(o *Options, _ *fakeEndpoint) {
		o.Ready = func() Readiness { return state }
		o.Metrics = func() ([]byte, string) { return []byte("up 1\n"), "text/plain; version=0.0.4" }
	})
	if got := r.raw(request("GET", "/healthz", "")); got.StatusCode != 200 || got.body != `{"alive":true}` {
		t.Errorf("healthz: %d %q", got.StatusCode, got.body)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if got := r.raw(request("HEAD", path, "")); got.StatusCode != 200 || got.body != "" || got.ContentLength <= 0 {
			t.Errorf("HEAD %s: %d %q, length %d", path, got.StatusCode, got.body, got.ContentLength)
		}
		if got := r.raw(request("OPTIONS", path, "")); got.StatusCode != 204 || got.Header.Get("Allow") != allowRead {
			t.Errorf("OPTIONS %s: %d %v", path, got.StatusCode, got.Header)
		}
	}
	if got := r.raw(request("GET", "/metrics", "")); got.body != "up 1\n" || got.Header.Get("Content-Type") != "text/plain; version=0.0.4" {
		t.Errorf("metrics: %q %v", got.body, got.Header)
	}
	if got := r.raw(request("GET", "/readyz", "")); got.StatusCode != 200 || got.body != `{"ready":true,"draining":false,"revision":"abc"}` {
		t.Errorf("readyz: %d %q", got.StatusCode, got.body)
	}
	state = Readiness{ReloadError: json.RawMessage(`[{"file":"bad.yaml","line":3}]`)}
	if got := r.raw(request("GET", "/readyz", "")); got.StatusCode != 503 || !strings.Contains(got.body, `"reloadError":[{"file":"bad.yaml","line":3}]`) {
		t.Errorf("readyz: %d %q", got.StatusCode, got.body)
	}
	if got := run(t, nil).raw(request("GET", "/metrics", "")); got.StatusCode != 404 {
		t.Errorf("metrics without a source: %d, want 404", got.StatusCode)
	}
}

func TestInFlightLimit(t *testing.T) {
	release := make(chan struct{})
	var running atomic.Int64
	r := run(t, func(o *Options, e *fakeEndpoint) {
		o.Limits.InFlight, o.Limits.RetryAfter = 3, 7
		e.handle = func(_ context.Context, _ *mcp.Request, sink mcp.Sink) {
			running.Add(1)
			<-release
			sink.Reply(202, "", nil, nil)
		}
	})
	var conns []net.Conn
	for range 3 {
		c := r.dial()
		r.send(c, post("/mcp", "{}"))
		conns = append(conns, c)
	}
	eventually(t, "three requests", func() bool { return running.Load() == 3 })
	begun := time.Now()
	got := r.raw(post("/mcp", "{}"))
	if got.StatusCode != 503 || got.Header.Get("Retry-After") != "7" || !strings.Contains(got.body, "too many requests") {
		t.Errorf("fourth request: %d %v %q", got.StatusCode, got.Header, got.body)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("shed after %v", took)
	}
	if got := r.raw(request("GET", "/healthz", "")); got.StatusCode != 200 {
		t.Errorf("healthz under load: %d", got.StatusCode)
	}
	close(release)
	for _, c := range conns {
		if got := readReply(t, bufio.NewReader(c), "POST"); got.StatusCode != 202 {
			t.Errorf("accepted request: %d", got.StatusCode)
		}
	}
	eventually(t, "none in flight", func() bool { return r.edge.inFlight.Load() == 0 })
}

func TestConnectionLimits(t *testing.T) {
	first := func(r *rig) string {
		c := r.dial()
		in := bufio.NewReader(c)
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		line, _ := in.ReadString('\n')
		return strings.TrimSpace(line)
	}
	t.Run("per address", func(t *testing.T) {
		r := run(t, func(o *Options, _ *fakeEndpoint) { o.Limits.PerIP = 2 })
		held := r.dial()
		r.dial()
		eventually(t, "two connections", func() bool { return r.edge.connections() == 2 })
		if got := first(r); got != "HTTP/1.1 429 Too Many Requests" {
			t.Errorf("third connection: %q", got)
		}
		_ = held.Close()
		eventually(t, "one connection", func() bool { return r.edge.connections() == 1 })
		if got := first(r); got != "" {
			t.Errorf("after one left: %q", got)
		}
		eventually(t, "a refusal is counted", func() bool { return r.edge.refusedConns.Load() == 1 })
	})
	t.Run("in all", func(t *testing.T) {
		r := run(t, func(o *Options, _ *fakeEndpoint) { o.Limits.Connections = 1 })
		r.dial()
		eventually(t, "one connection", func() bool { return r.edge.connections() == 1 })
		if got := first(r); got != "HTTP/1.1 503 Service Unavailable" {
			t.Errorf("second connection: %q", got)
		}
	})
	t.Run("trusted proxy", func(t *testing.T) {
		var forwarded string
		r := run(t, func(o *Options, e *fakeEndpoint) {
			o.Limits.PerIP = 1
			o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			e.handle = func(_ context.Context, r *mcp.Request, sink mcp.Sink) {
				forwarded = r.Header.Get("X-Forwarded-For") + r.Header.Get("X_Forwarded_For")
				sink.Reply(202, "", nil, nil)
			}
		})
		r.dial()
		r.dial()
		if got := r.raw(post("/mcp", "{}", "X-Forwarded-For: 192.0.2.1", "X_Forwarded_For: 6.6.6.6")); got.StatusCode != 202 {
			t.Errorf("third connection of a trusted proxy: %d", got.StatusCode)
		}
		if forwarded != "192.0.2.1" {
			t.Errorf("X-Forwarded-For is %q", forwarded)
		}
	})
}

func TestCounted(t *testing.T) {
	a, b, c := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff"), netip.MustParseAddr("2001:db8:0:1::1")
	if counted(a) != counted(b) || counted(a) == counted(c) {
		t.Error("addresses of one /64 are one client, others are not")
	}
	if four := netip.MustParseAddr("192.0.2.1"); counted(four) != four {
		t.Error("an IPv4 address counts for itself")
	}
}

// Slow heads and slow bodies are over when the read limit is.
func TestSlowloris(t *testing.T) {
	r := run(t, func(o *Options, _ *fakeEndpoint) {
		o.Limits.Read, o.Limits.Idle = 200*time.Millisecond, 300*time.Millisecond
	})
	for name, text := range map[string]string{
		"nothing": "", "half a head": "POST /mcp HTTP/1.1\r\nHost: $HOST\r\n", "half a body": "POST /mcp HTTP/1.1\r\nHost: $HOST\r\nContent-Length: 100\r\n\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			c := r.dial()
			r.send(c, text)
			begun := time.Now()
			if got := readReply(t, bufio.NewReader(c), "POST"); got.StatusCode != 408 {
				t.Errorf("status %d, want 408", got.StatusCode)
			}
			if took := time.Since(begun); took < 150*time.Millisecond || took > 2*time.Second {
				t.Errorf("ended after %v", took)
			}
		})
	}
	t.Run("drip", func(t *testing.T) {
		c := r.dial()
		r.send(c, "POST /mcp HTTP/1.1\r\nHost: $HOST\r\n")
		begun := time.Now()
		for range 100 {
			if _, err := io.WriteString(c, "X-A: b\r\n"); err != nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("a drip of headers went on for %v", took)
		}
	})
	t.Run("idle", func(t *testing.T) {
		c := r.dial()
		r.send(c, post("/mcp", "{}"))
		in := bufio.NewReader(c)
		readReply(t, in, "POST")
		begun := time.Now()
		if _, err := in.ReadByte(); err != io.EOF {
			t.Errorf("idle connection: %v, want it closed", err)
		}
		if took := time.Since(begun); took < 200*time.Millisecond || took > 3*time.Second {
			t.Errorf("idle connection closed after %v", took)
		}
	})
}

// A client that does not take its answer loses it after the write limit.
func TestAnswerNobodyReads(t *testing.T) {
	big := make([]byte, 32<<20)
	ended := make(chan struct{})
	r := run(t, func(o *Options, e *fakeEndpoint) {
		o.Limits.Write = 200 * time.Millisecond
		e.handle = func(_ context.Context, _ *mcp.Request, sink mcp.Sink) {
			sink.Reply(200, "application/octet-stream", nil, big)
			close(ended)
		}
	})
	c := r.dial()
	r.send(c, post("/mcp", "{}"))
	<-ended
	eventually(t, "the connection to end", func() bool { return r.edge.connections() == 0 })
}

func TestLargeAnswer(t *testing.T) {
	want := strings.Repeat("z", 5<<20)
	r := run(t, func(_ *Options, e *fakeEndpoint) {
		e.handle = func(_ context.Context, r *mcp.Request, sink mcp.Sink) {
			sink.Reply(200, "text/plain", nil, r.Body)
		}
	})
	if got := r.raw(post("/mcp", want[:3<<20])); got.body != want[:3<<20] {
		t.Errorf("%d bytes came back", len(got.body))
	}
}

func TestPanicsAreContained(t *testing.T) {
	l := &lot{}
	r := run(t, func(_ *Options, e *fakeEndpoint) {
		e.handle = func(ctx context.Context, r *mcp.Request, sink mcp.Sink) {
			switch r.Header.Get("X-Where") {
			case "handler":
				panic("boom in the handler")
			case "replied":
				sink.Reply(200, "text/plain", nil, []byte("half"))
				panic("boom after the reply")
			case "stream":
				s, err := sink.Stream(nil)
				if err != nil {
					t.Error(err)
					return
				}
				_ = s.Send([]byte("data: 1\n\n"))
				panic("boom in the stream")
			case "gone":
				if _, err := sink.Park(nil, func() { panic("boom in gone") }); err != nil {
					t.Error(err)
				}
			default:
				l.handle(ctx, r, sink)
			}
		}
	})
	for _, where := range []string{"handler", "replied"} {
		got := r.raw(post("/shop/mcp", "{}", "X-Where: "+where))
		if got.StatusCode != 500 || strings.Contains(got.body, "boom") || !strings.Contains(got.body, "request id") {
			t.Errorf("%s: %d %q", where, got.StatusCode, got.body)
		}
	}
	if got := r.rawClosed(post("/shop/mcp", "{}", "X-Where: stream")); got.body != "data: 1\n\n" || !got.closed {
		t.Errorf("stream: %q, closed %v", got.body, got.closed)
	}
	c := r.dial()
	r.send(c, request("GET", "/shop/mcp", "", "X-Where: gone"))
	eventually(t, "the stream", func() bool { return r.edge.hub.open() == 1 })
	_ = c.Close()
	eventually(t, "four panics", func() bool { return r.edge.panics.Load() == 4 })
	log := r.log.String()
	for _, where := range []string{"boom in the handler", "boom after the reply", "boom in the stream", "boom in gone"} {
		if !strings.Contains(log, where) {
			t.Errorf("the log does not tell of %q", where)
		}
	}
	if !strings.Contains(log, "edge_test.go") {
		t.Error("the log has no stack")
	}
	if got := r.raw(post("/shop/mcp", "{}")); got.StatusCode != 202 {
		t.Errorf("afterwards: %d", got.StatusCode)
	}
	if taken, released := r.servers.taken.Load(), r.servers.released.Load(); taken != released {
		t.Errorf("%d handlers taken, %d released", taken, released)
	}
}

func TestSilentEndpoint(t *testing.T) {
	r := run(t, func(_ *Options, e *fakeEndpoint) { e.handle = func(context.Context, *mcp.Request, mcp.Sink) {} })
	if got := r.raw(post("/shop/mcp", "{}")); got.StatusCode != 500 || !strings.Contains(got.body, "no answer") {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
}

// R10: what is in flight ends well, parked streams get their last words, and the
// edge is ready no more from the first moment.
func TestDrain(t *testing.T) {
	l := &lot{}
	release := make(chan struct{})
	var running atomic.Int64
	r := run(t, func(o *Options, e *fakeEndpoint) {
		o.Drain.Lag = 300 * time.Millisecond
		e.handle = func(ctx context.Context, r *mcp.Request, sink mcp.Sink) {
			if r.Method == "GET" {
				l.handle(ctx, r, sink)
				return
			}
			running.Add(1)
			<-release
			if ctx.Err() != nil {
				t.Error("a call in flight was cancelled by the drain")
			}
			sink.Reply(200, "application/json", nil, r.Body)
		}
		e.drain = func(context.Context) {
			for _, s := range l.all()[:50] {
				_ = s.Send([]byte("data: last words\n\n"))
				_ = s.Close()
			}
		}
	})
	var calls, parks []net.Conn
	for i := range 100 {
		c := r.dial()
		r.send(c, post("/mcp", fmt.Sprintf(`{"n":%d}`, i)))
		calls = append(calls, c)
		p := r.dial()
		r.send(p, request("GET", "/shop/mcp", ""))
		parks = append(parks, p)
	}
	unused := r.dial()
	eventually(t, "calls and streams", func() bool { return running.Load() == 100 && len(l.all()) == 100 })

	ended := make(chan error, 1)
	begun := time.Now()
	go func() { ended <- r.stop() }()
	eventually(t, "not ready", func() bool { return r.raw(request("GET", "/readyz", "")).StatusCode == 503 })
	got := r.rawClosed(request("GET", "/readyz", ""))
	if !strings.Contains(got.body, `"draining":true`) || !got.closed {
		t.Errorf("readyz while draining: %q, closed %v: clients must move on", got.body, got.closed)
	}
	eventually(t, "parked streams to end", func() bool { return r.edge.hub.open() == 0 })
	close(release)
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the drain took %v", took)
	}
	for i, c := range calls {
		if got := readReply(t, bufio.NewReader(c), "POST"); got.body != fmt.Sprintf(`{"n":%d}`, i) {
			t.Fatalf("call %d was lost: %q", i, got.body)
		}
	}
	words := 0
	for _, p := range parks {
		all, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(string(all), "data: last words\n\n") {
			words++
		}
	}
	if words != 50 {
		t.Errorf("%d streams got their last words, want 50", words)
	}
	if l.gone.Load() != 0 {
		t.Error("gone was called for streams that we closed")
	}
	if _, err := unused.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a connection that was never used: %v, want it closed", err)
	}
	if _, err := net.Dial("tcp", r.addr); err == nil {
		t.Error("the address still listens")
	}
}

// A client that stopped in the middle of a head does not hold a drain; one that still
// sends its body gets its answer.
func TestDrainOfHalfRequests(t *testing.T) {
	r := run(t, func(o *Options, e *fakeEndpoint) {
		o.Drain.Stop = 5 * time.Second
		e.handle = func(_ context.Context, r *mcp.Request, sink mcp.Sink) {
			sink.Reply(200, "application/json", nil, fmt.Appendf(nil, "%d", len(r.Body)))
		}
	})
	whole := post("/mcp", strings.Repeat("x", 70_000))
	heads, bodies := make([]net.Conn, 2), make([]net.Conn, 3)
	for i := range heads {
		heads[i] = r.dial()
	}
	r.send(heads[0], whole[:20])
	r.send(heads[1], post("/mcp", "{}"))
	readReply(t, bufio.NewReader(heads[1]), "POST")
	r.send(heads[1], whole[:20]) // the second request of a connection
	at := strings.Index(whole, "\r\n\r\n") + 4
	for i, sent := range []int{at, at + 1, at + 40_000} {
		bodies[i] = r.dial()
		r.send(bodies[i], whole[:sent])
	}
	half := func() (n int) {
		for _, c := range r.edge.open() {
			if c.halfHead.Load() {
				n++
			}
		}
		return n
	}
	eventually(t, "two halves of heads", func() bool { return half() == 2 })
	time.Sleep(20 * time.Millisecond)
	if n := half(); n != 2 {
		t.Errorf("%d connections count as in the middle of a head, want 2", n)
	}
	ended, begun := make(chan error, 1), time.Now()
	go func() { ended <- r.stop() }()
	for i, c := range heads {
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("half a head, %d: %v, want it closed", i, err)
		}
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("halves of heads were closed after %v", took)
	}
	for i, sent := range []int{at, at + 1, at + 40_000} {
		r.send(bodies[i], whole[sent:])
		if got := readReply(t, bufio.NewReader(bodies[i]), "POST"); got.body != "70000" {
			t.Errorf("half a body, %d: %d %q", i, got.StatusCode, got.body)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// What does not end is ended: by its context, then with its connection.
func TestHardStop(t *testing.T) {
	causes := make(chan error, 2)
	stuck := make(chan struct{})
	defer close(stuck)
	var running atomic.Int64
	r := run(t, func(o *Options, e *fakeEndpoint) {
		o.Drain.Stop = time.Second
		e.handle = func(ctx context.Context, r *mcp.Request, sink mcp.Sink) {
			if r.Header.Get("X-Detached") != "" { // its connection is gone, it runs on
				s, err := sink.Stream(nil)
				if err != nil {
					t.Error(err)
					return
				}
				_ = s.Close()
			}
			running.Add(1)
			<-ctx.Done()
			causes <- core.Cause(ctx)
			sink.Reply(503, "", nil, nil)
		}
		e.drain = func(context.Context) { <-stuck } // a drain that hangs
	})
	for _, header := range []string{"X-A: b", "X-Detached: 1"} {
		r.send(r.dial(), post("/mcp", "{}", header))
	}
	eventually(t, "two calls", func() bool { return running.Load() == 2 })
	begun := time.Now()
	err := r.stop()
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("the drain took %v, its end is 1 s", took)
	}
	if err == nil || !strings.Contains(err.Error(), "2 requests were cut off") {
		t.Errorf("Serve says %v", err)
	}
	for range 2 {
		if cause := <-causes; cause != errStopped {
			t.Errorf("cause %v", cause)
		}
	}
}

// The listener survives what would end fasthttp's accept loop.
func TestAcceptErrors(t *testing.T) {
	for _, err := range []error{errTooMany{}, fmt.Errorf("accept: %w", errTooMany{})} {
		if !passing(err) {
			t.Errorf("%v would end the listener", err)
		}
	}
	if passing(net.ErrClosed) {
		t.Error("a closed listener does not come back")
	}
}

// A listener that breaks ends Serve, but not the calls in flight.
func TestListenerBreaks(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	endpoint := &fakeEndpoint{handle: func(_ context.Context, r *mcp.Request, sink mcp.Sink) {
		close(arrived)
		<-release
		sink.Reply(200, "application/json", nil, r.Body)
	}}
	edge, err := New(Options{Servers: &fakeServers{byPrefix: map[string]*core.Server{"": {}}}, Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- edge.Serve(context.Background(), ln) }()
	r := &rig{t: t, addr: ln.Addr().String()}
	c := r.dial()
	r.send(c, post("/mcp", "{}"))
	<-arrived
	_ = ln.Close()
	time.Sleep(20 * time.Millisecond)
	close(release)
	if got := readReply(t, bufio.NewReader(c), "POST"); got.body != "{}" {
		t.Errorf("the call in flight got %q", got.body)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "the listener ended") {
		t.Errorf("Serve says %v", err)
	}
}

func TestServeRefusesOpenAddress(t *testing.T) {
	edge, err := New(Options{Servers: &fakeServers{}, Endpoint: &fakeEndpoint{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := edge.Serve(context.Background(), &openListener{}); err == nil || !strings.Contains(err.Error(), "no authentication") {
		t.Errorf("Serve on 0.0.0.0: %v", err)
	}
	if err := edge.Serve(context.Background(), &openListener{}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("second Serve: %v", err)
	}
}

// openListener says that it listens everywhere, and does not.
type openListener struct{ net.Listener }

func (*openListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero, Port: 80} }
func (*openListener) Close() error   { return nil }

func TestNewNeeds(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("New without Servers and Endpoint: nil")
	}
	if _, err := New(Options{Servers: &fakeServers{}, Endpoint: &fakeEndpoint{}, Rand: iotest.ErrReader(io.ErrClosedPipe)}); err == nil {
		t.Error("New without randomness: nil")
	}
}

func TestProblemBody(t *testing.T) {
	var body struct{ Error, Fix string }
	if err := json.Unmarshal(refuseOrigin.body(), &body); err != nil || body.Error != refuseOrigin.message || body.Fix != refuseOrigin.fix {
		t.Errorf("%s: %v", refuseOrigin.body(), err)
	}
}

// Requests, streams and leavers at once: for the race detector and goleak.
func TestTumult(t *testing.T) {
	l := &lot{}
	r := run(t, func(o *Options, e *fakeEndpoint) {
		o.Limits.Heartbeat = 20 * time.Millisecond
		e.handle = func(ctx context.Context, r *mcp.Request, sink mcp.Sink) {
			switch r.Header.Get("X-Do") {
			case "stream":
				s, err := sink.Stream(nil)
				if err != nil {
					return
				}
				for i := range 20 {
					if s.Send([]byte(fmt.Sprintf("data: %d\n\n", i))) != nil || ctx.Err() != nil {
						return
					}
					time.Sleep(time.Millisecond)
				}
			case "wait":
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
				sink.Reply(200, "", nil, nil)
			case "reply":
				sink.Reply(200, "text/plain", nil, r.Body)
			default:
				l.handle(ctx, r, sink)
			}
		}
	})
	var group sync.WaitGroup
	for i := range 12 {
		group.Go(func() {
			for n := range 25 {
				c, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Error(err)
					return
				}
				switch (i + n) % 6 {
				case 0:
					r.send(c, request("GET", "/shop/mcp", ""))
				case 1:
					r.send(c, post("/shop/mcp", "{}", "X-Do: wait"))
				case 2:
					r.send(c, post("/shop/mcp", "{}", "X-Do: stream"))
				case 3:
					r.send(c, post("/shop/mcp", "{}", "X-Do: stream"))
					_, _ = io.Copy(io.Discard, c)
				case 4:
					r.send(c, post("/shop/mcp", "{}", "X-Do: reply"))
					_, _ = c.Read(make([]byte, 64))
				default:
					r.send(c, "POST /shop/mcp HTTP/1.1\r\nHost: x")
				}
				time.Sleep(time.Duration(n%4) * time.Millisecond)
				_ = c.Close()
			}
		})
	}
	group.Go(func() {
		for range 100 {
			for _, s := range l.all() {
				_ = s.Send([]byte("data: all\n\n"))
			}
			time.Sleep(2 * time.Millisecond)
		}
	})
	group.Wait()
	eventually(t, "all streams to end", func() bool { return r.edge.hub.open() == 0 && r.edge.connections() == 0 })
	if parked := int64(len(l.all())); l.gone.Load() != parked {
		t.Errorf("%d streams were parked, %d clients are gone", parked, l.gone.Load())
	}
}
