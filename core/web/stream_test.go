package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/mcp"
)

// The client's FIN or reset must end the request's context, soon and only that one.
func TestClientLeaves(t *testing.T) {
	type visit struct {
		arrived chan struct{}
		ended   chan time.Time
	}
	visits := make(chan visit, 1)
	r := run(t, func(_ *Options, e *fakeEndpoint) {
		e.handle = func(ctx context.Context, r *mcp.Request, sink mcp.Sink) {
			if r.Header.Get("X-Quick") != "" {
				sink.Reply(200, "application/json", nil, r.Body)
				return
			}
			v := visit{make(chan struct{}), make(chan time.Time, 1)}
			visits <- v
			close(v.arrived)
			<-ctx.Done()
			v.ended <- time.Now()
			if !errors.Is(core.Cause(ctx), errLeft) {
				t.Errorf("cause %v, want that the client left", core.Cause(ctx))
			}
		}
	})
	round := func() (p99 time.Duration) {
		const tries = 200
		var took []time.Duration
		for i := range tries {
			c := r.dial()
			if i%2 == 0 { // a connection that was used before
				r.send(c, post("/shop/mcp", `{}`, "X-Quick: 1"))
				readReply(t, bufio.NewReader(c), "POST")
			}
			r.send(c, post("/shop/mcp", `{}`))
			v := <-visits
			<-v.arrived
			time.Sleep(time.Duration(i%5) * 5 * time.Millisecond)
			if i%3 == 0 {
				_ = c.(*net.TCPConn).SetLinger(0) // a reset instead of a FIN
			}
			left := time.Now()
			_ = c.Close()
			select {
			case ended := <-v.ended:
				took = append(took, ended.Sub(left))
			case <-time.After(5 * time.Second):
				t.Fatalf("try %d: the context did not end", i)
			}
		}
		slices.Sort(took)
		p99 = took[tries*99/100]
		t.Logf("p50 %v, p99 %v, max %v", took[tries/2], p99, took[tries-1])
		return p99
	}
	// The bar is R8's. A machine that does other work may spoil one round, not three; the
	// race detector makes everything several times slower.
	bar := 100 * time.Millisecond
	if raceDetector {
		bar *= 5
	}
	for range 3 {
		if round() <= bar {
			return
		}
	}
	t.Errorf("p99 is above %v", bar)
}

// One connection, many requests, some ended by a timer of their own: none may be
// cancelled that its client still waits for.
func TestKeepAliveIsNotCancelled(t *testing.T) {
	var wrong atomic.Int64
	r := run(t, func(_ *Options, e *fakeEndpoint) {
		e.handle = func(ctx context.Context, r *mcp.Request, sink mcp.Sink) {
			if r.Header.Get("X-Slow") != "" {
				time.Sleep(15 * time.Millisecond)
			}
			if ctx.Err() != nil {
				wrong.Add(1)
			}
			sink.Reply(200, "application/json", nil, r.Body)
		}
	})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			c := r.dial()
			in := bufio.NewReader(c)
			for i := range 200 {
				slow := "X-Quick: 1"
				if i%20 == 0 {
					slow = "X-Slow: 1"
				}
				r.send(c, post("/shop/mcp", `{}`, slow))
				readReply(t, in, "POST")
			}
		})
	}
	group.Wait()
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d requests were cancelled while their client waited", n)
	}
}

// printf … | nc: the request and its FIN arrive together. A quick answer must
// still come; a slow request counts as left.
func TestHalfClose(t *testing.T) {
	cancelled := make(chan bool, 1)
	r := run(t, func(o *Options, e *fakeEndpoint) {
		o.Limits.LeaveGrace = 200 * time.Millisecond
		e.handle = func(ctx context.Context, r *mcp.Request, sink mcp.Sink) {
			if r.Header.Get("X-Slow") != "" {
				<-ctx.Done()
				cancelled <- true
				return
			}
			time.Sleep(5 * time.Millisecond)
			if ctx.Err() != nil {
				t.Error("a quick request of a client that closed its sending side was cancelled")
			}
			sink.Reply(200, "application/json", nil, r.Body)
		}
	})
	for range 20 {
		c := r.dial()
		r.send(c, post("/shop/mcp", `{"n":1}`))
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := readReply(t, bufio.NewReader(c), "POST"); got.body != `{"n":1}` {
			t.Fatalf("answer %q", got.body)
		}
	}
	c := r.dial()
	r.send(c, post("/shop/mcp", `{}`, "X-Slow: 1"))
	_ = c.(*net.TCPConn).CloseWrite()
	select {
	case <-cancelled:
	case <-time.After(5 * time.Second):
		t.Error("a slow request outlived its client")
	}
}

func TestStream(t *testing.T) {
	r := run(t, func(o *Options, e *fakeEndpoint) {
		o.Limits.Heartbeat = 50 * time.Millisecond
		e.handle = func(_ context.Context, r *mcp.Request, sink mcp.Sink) {
			r.Seen.RPC = "tools/call"
			s, err := sink.Stream([]core.Field{
				{Name: "Content-Type", Value: "text/event-stream"},
				{Name: "Mcp-Session-Id", Value: "abc"},
				{Name: "X-Split", Value: "a\r\nX-Injected: b"},
				{Name: "bad name", Value: "x"},
			})
			if err != nil {
				t.Error(err)
				return
			}
			var group sync.WaitGroup
			for i := range 10 {
				group.Go(func() { _ = s.Send([]byte(fmt.Sprintf("data: %d\n\n", i))) })
			}
			group.Wait()
			time.Sleep(200 * time.Millisecond) // long enough for a heartbeat
			_ = s.Send([]byte("data: last\n\n"))
			sink.Reply(500, "", nil, nil) // too late: must not show
		}
	})
	got := r.rawClosed(post("/web/mcp", `{}`, "Origin: https://app.example.com"))
	if got.StatusCode != 200 || !got.closed {
		t.Errorf("status %d, closed %v", got.StatusCode, got.closed)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no", "Mcp-Session-Id": "abc", "X-Split": "", "X-Injected": "",
		"Access-Control-Allow-Origin": "https://app.example.com", "X-Content-Type-Options": "nosniff",
	} {
		if g := got.Header.Values(name); strings.Join(g, "|") != want {
			t.Errorf("%s: %q, want %q", name, g, want)
		}
	}
	if got.Header.Get("Date") == "" || got.Header.Get("X-Request-Id") == "" {
		t.Errorf("headers %v: want Date and X-Request-Id", got.Header)
	}
	frames := strings.Split(strings.TrimSuffix(got.body, "\n\n"), "\n\n")
	beats := 0
	for i := range 10 {
		if !slices.Contains(frames, fmt.Sprintf("data: %d", i)) {
			t.Errorf("frame %d is missing in %q", i, got.body)
		}
	}
	for _, f := range frames {
		if f == ": keep-alive" {
			beats++
		}
	}
	if beats == 0 || frames[len(frames)-1] != "data: last" {
		t.Errorf("%d heartbeats, last frame %q", beats, frames[len(frames)-1])
	}
	event := r.observer.last(t, 1)
	if !event.Streamed || event.Status != 200 || event.RPC != "tools/call" || event.Server != "web" || event.Bytes < len(got.body) || event.Duration < 200*time.Millisecond {
		t.Errorf("event %+v", event)
	}
}

// Close must reach the client while Handle runs on; Handle's context goes on too.
func TestStreamCloseBeforeHandleReturns(t *testing.T) {
	release, after := make(chan struct{}), make(chan error, 1)
	r := run(t, func(_ *Options, e *fakeEndpoint) {
		e.handle = func(ctx context.Context, _ *mcp.Request, sink mcp.Sink) {
			s, err := sink.Stream(nil)
			if err != nil {
				t.Error(err)
				return
			}
			_ = s.Send([]byte("data: bye\n\n"))
			_ = s.Close()
			_ = s.Close()
			if s.Send([]byte("data: no\n\n")) == nil {
				t.Error("Send after Close: nil")
			}
			<-release
			after <- ctx.Err()
		}
	})
	got := r.raw(post("/shop/mcp", `{}`)) // returns although Handle has not
	if got.body != "data: bye\n\n" {
		t.Errorf("body %q", got.body)
	}
	time.Sleep(50 * time.Millisecond)
	close(release)
	if err := <-after; err != nil {
		t.Errorf("the context ended with a stream that we closed ourselves: %v", err)
	}
}

// park returns an endpoint function that parks every GET and keeps the streams.
type lot struct {
	mu      sync.Mutex
	streams []mcp.Stream
	gone    atomic.Int64
}

func (l *lot) handle(_ context.Context, r *mcp.Request, sink mcp.Sink) {
	if r.Method != "GET" {
		sink.Reply(202, "", nil, nil)
		return
	}
	s, err := sink.Park(nil, func() { l.gone.Add(1) })
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams = append(l.streams, s)
}

func (l *lot) all() []mcp.Stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.streams)
}

func TestPark(t *testing.T) {
	l := &lot{}
	r := run(t, func(o *Options, e *fakeEndpoint) {
		o.Limits.Heartbeat = 50 * time.Millisecond
		e.handle = l.handle
	})
	opened := 0
	open := func() (net.Conn, *bufio.Reader) {
		c := r.dial()
		r.send(c, request("GET", "/shop/mcp", ""))
		in := bufio.NewReader(c)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "\r\n" {
				opened++ // the head is out before Park returns: wait, or the two change places
				eventually(t, "the stream", func() bool { return len(l.all()) == opened })
				return c, in
			}
		}
	}
	first, in := open()
	second, _ := open()
	eventually(t, "two streams", func() bool { return len(l.all()) == 2 && r.edge.hub.open() == 2 })
	if err := l.all()[0].Send([]byte("data: 1\n\n")); err != nil {
		t.Fatal(err)
	}
	line, err := in.ReadString('\n')
	for err == nil && line != "data: 1\n" {
		line, err = in.ReadString('\n')
	}
	if err != nil {
		t.Fatal(err)
	}
	for line != ": keep-alive\n" && err == nil {
		line, err = in.ReadString('\n')
	}
	if err != nil {
		t.Fatalf("no heartbeat: %v", err)
	}

	_ = second.Close()
	eventually(t, "gone", func() bool { return l.gone.Load() == 1 })
	if l.all()[1].Send([]byte("x")) == nil {
		t.Error("Send on a stream whose client left: nil")
	}
	_ = l.all()[0].Close()
	if rest, err := io.ReadAll(in); err != nil {
		t.Errorf("read to the end: %v after %q", err, rest)
	}
	_ = first.Close()
	time.Sleep(20 * time.Millisecond)
	if n := l.gone.Load(); n != 1 {
		t.Errorf("gone was called %d times: not after Close, and once otherwise", n)
	}
	if n := r.edge.hub.open(); n != 0 {
		t.Errorf("%d streams are still counted", n)
	}
	if event := r.observer.last(t, 2); !event.Streamed || event.Route != "mcp" {
		t.Errorf("event %+v", event)
	}
}

// A client that does not read loses its stream: by the queue or by the deadline,
// never by blocking who sends.
func TestSlowReader(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*Limits)
		frames int
		want   error
	}{
		{"queue of frames", func(l *Limits) { l.QueueBytes = 1 << 30 }, 1000, errSlow},
		{"queue of bytes", func(l *Limits) { l.QueueFrames = 1 << 30 }, 1000, errSlow},
		{"deadline", func(l *Limits) { l.Write, l.QueueFrames, l.QueueBytes = 100*time.Millisecond, 1<<30, 1<<30 }, 200, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := &lot{}
			r := run(t, func(o *Options, e *fakeEndpoint) {
				row.change(&o.Limits)
				e.handle = l.handle
			})
			c := r.dial()
			r.send(c, request("GET", "/shop/mcp", ""))
			eventually(t, "the stream", func() bool { return len(l.all()) == 1 })
			frame := []byte("data: " + strings.Repeat("x", 64<<10) + "\n\n")
			var err error
			var longest time.Duration
			for range row.frames {
				begun := time.Now()
				err = l.all()[0].Send(frame)
				longest = max(longest, time.Since(begun))
				if err != nil {
					break
				}
			}
			if row.want != nil && !errors.Is(err, row.want) {
				t.Errorf("Send says %v, want %v", err, row.want)
			}
			if longest > time.Second { // a write would wait ten
				t.Errorf("Send blocked for %v", longest)
			}
			eventually(t, "gone", func() bool { return l.gone.Load() == 1 })
		})
	}
}

// A reader that is slow but takes everything in time gets everything, in order.
func TestSlowButSteadyReader(t *testing.T) {
	l := &lot{}
	r := run(t, func(_ *Options, e *fakeEndpoint) { e.handle = l.handle })
	c := r.dial()
	_ = c.(*net.TCPConn).SetReadBuffer(256 << 10)
	r.send(c, request("GET", "/shop/mcp", ""))
	eventually(t, "the stream", func() bool { return len(l.all()) == 1 })
	s := l.all()[0]
	big := strings.Repeat("y", 3<<20) // more than any socket buffer takes
	for i := range 20 {
		text := fmt.Sprintf("data: %d\n\n", i)
		if i == 3 {
			text = "data: " + big + "\n\n"
		}
		if err := s.Send([]byte(text)); err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
	}
	_ = s.Close() // sends what is queued first
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(all), "\r\n\r\n")
	frames := strings.Split(strings.TrimSuffix(body, "\n\n"), "\n\n")
	if len(frames) != 20 || frames[19] != "data: 19" || len(frames[3]) != len(big)+6 {
		t.Errorf("%d frames, the last %q", len(frames), frames[len(frames)-1])
	}
}

func TestPipelinedThenStream(t *testing.T) {
	r := run(t, func(_ *Options, e *fakeEndpoint) {
		e.handle = func(_ context.Context, r *mcp.Request, sink mcp.Sink) {
			if string(r.Body) == "{2}" {
				s, err := sink.Stream(nil)
				if err != nil {
					t.Error(err)
					return
				}
				_ = s.Send([]byte("data: two\n\n"))
				return
			}
			sink.Reply(200, "text/plain", nil, []byte("one"))
		}
	})
	for _, encoding := range []string{"length", "chunked"} {
		c := r.dial()
		one := post("/shop/mcp", "{1}")
		if encoding == "chunked" {
			one = "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{1}\r\n0\r\n\r\n"
		}
		r.send(c, one+one+post("/shop/mcp", "{2}"))
		in := bufio.NewReader(c)
		var bodies []string
		for range 3 {
			bodies = append(bodies, readReply(t, in, "POST").body)
		}
		if got := strings.Join(bodies, "|"); got != "one|one|data: two\n\n" {
			t.Errorf("%s: answers %q: a stream overtook an answer", encoding, got)
		}
	}
}

func TestStreamLimit(t *testing.T) {
	l := &lot{}
	r := run(t, func(o *Options, e *fakeEndpoint) {
		o.Limits.Streams = 2
		e.handle = l.handle
	})
	for range 2 {
		r.send(r.dial(), request("GET", "/shop/mcp", ""))
	}
	eventually(t, "two streams", func() bool { return len(l.all()) == 2 })
	got := r.raw(request("GET", "/shop/mcp", ""))
	if got.StatusCode != 503 || got.Header.Get("Retry-After") != "1" || got.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("third stream: %d %v", got.StatusCode, got.Header)
	}
}
