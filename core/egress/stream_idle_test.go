package egress_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/egress"
)

// A thousand streams on which nothing happens: what each costs, that all of them are
// alive, and that all end at once.
func TestIdleStreams(t *testing.T) {
	const many = 1000
	for _, reading := range []bool{false, true} {
		name := map[bool]string{false: "nobody reads", true: "somebody waits"}[reading]
		t.Run(name, func(t *testing.T) {
			up := quiet(t)
			e := newEgress(t, egress.Options{})
			u := open(t, e, core.Connection{BaseURL: parse(t, "http://"+up.Addr())})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			warm, err := u.(core.Streamer).Stream(ctx, get("/"))
			if err != nil {
				t.Fatal(err)
			}
			event(t, warm.Body, ": hi\n\n")
			before := cost()
			streams := make([]*core.Stream, many)
			var readers sync.WaitGroup
			var ended atomic.Int64
			for i := range streams {
				if streams[i], err = u.(core.Streamer).Stream(ctx, get("/")); err != nil {
					t.Fatal(err)
				}
				event(t, streams[i].Body, ": hi\n\n")
				if reading {
					readers.Go(func() {
						line := make([]byte, 64)
						n, err := streams[i].Body.Read(line)
						if err == nil {
							t.Errorf("read %q", line[:n])
						}
						ended.Add(1)
					})
				}
			}
			for reading && waiting() < many {
				time.Sleep(time.Millisecond)
			}
			after := cost()
			heap, stack := (after.heap-before.heap)/many, (after.stack-before.stack)/many
			goroutines := float64(after.goroutines-before.goroutines) / many
			t.Logf("a stream costs %d bytes of heap, %d of stack, %.2f goroutines; the socket of the upstream is among it", heap, stack, goroutines)
			if egress.Streams(e) != many+1 {
				t.Errorf("%d streams are counted", egress.Streams(e))
			}
			if heap+stack > 8<<10 {
				t.Errorf("a stream costs %d bytes, more than 8 KiB", heap+stack)
			}
			if want := map[bool]float64{false: 0, true: 1}[reading]; goroutines > want+0.05 {
				t.Errorf("a stream costs %.2f goroutines, want %v", goroutines, want)
			}
			cancel()
			readers.Wait()
			up.WaitGone(t, many+1)
			if reading && ended.Load() != many {
				t.Errorf("%d readers of %d ended", ended.Load(), many)
			}
			noStreams(t, e)
			for _, s := range streams {
				_ = s.Body.Close()
			}
		})
	}
}

// hush is an upstream whose streams cost next to nothing here: it says ": hi" and keeps
// the connection.
type hush struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func quiet(t *testing.T) *hush {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hush{Listener: l}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		read := make([]byte, 4096)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := c.Read(read); err != nil { // requests here come in one piece
				_ = c.Close()
				continue
			}
			_, _ = io.WriteString(c, head("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked")+"6\r\n: hi\n\n\r\n")
			h.mu.Lock()
			h.conns = append(h.conns, c)
			h.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		accepting.Wait()
		for _, c := range h.conns {
			_ = c.Close()
		}
	})
	return h
}

func (h *hush) Addr() string { return h.Listener.Addr().String() }

// WaitGone waits until all n peers have left.
func (h *hush) WaitGone(t *testing.T, n int) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.conns) != n {
		t.Fatalf("%d connections, want %d", len(h.conns), n)
	}
	for _, c := range h.conns {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Fatalf("a peer that should have left: %v", err)
		}
	}
}

type spent struct{ heap, stack, goroutines int64 }

func cost() spent {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return spent{int64(m.HeapAlloc), int64(m.StackInuse), int64(runtime.NumGoroutine())}
}

// waiting counts the goroutines that wait for bytes of a stream.
func waiting() int {
	stacks := make([]byte, 8<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "egress.(*tap).Read(")
}

// What an HTTP/2 upstream may do to a stream.
func TestEvilStreamOfHTTP2(t *testing.T) {
	for _, kind := range []string{"h2c", "h2"} {
		up := record(t, func(w http.ResponseWriter, q *http.Request) {
			flush := func() { _ = http.NewResponseController(w).Flush() }
			switch q.URL.Path {
			case "/hang":
				<-q.Context().Done()
			case "/reset":
				_, _ = io.WriteString(w, "x")
				flush()
				panic(http.ErrAbortHandler)
			case "/short":
				w.Header().Set("Content-Length", "10")
				_, _ = io.WriteString(w, "x")
				flush()
				panic(http.ErrAbortHandler)
			case "/empty":
				w.WriteHeader(http.StatusNoContent)
			case "/coded":
				w.Header().Set("Content-Encoding", "lzma")
				_, _ = io.WriteString(w, "x")
			case "/trailer":
				w.Header().Set("Trailer", "X-A")
				_, _ = io.WriteString(w, "x")
				w.Header().Set("X-A", "b")
			default:
				ok(w, q)
			}
		})
		c := core.Connection{FirstByte: time.Minute}
		start(up, kind, &c)
		c.BaseURL = parse(t, up.URL)
		e := newEgress(t, egress.Options{})
		u := open(t, e, c)
		post := func(path string) *core.Request { return &core.Request{Method: "POST", Path: path, Body: []byte("{}")} }
		refuses(t, u, post("/coded"), core.CodeUnavailable)
		for _, path := range []string{"/reset", "/short"} {
			s := stream(t, u, post(path))
			got, err := io.ReadAll(s.Body)
			if wants(t, err, core.CodeUnavailable); string(got) != "x" {
				t.Errorf("%s: %q", path, got)
			}
		}
		over(t, stream(t, u, post("/trailer")).Body, "x")
		if s := stream(t, u, post("/empty")); s.Status != 204 {
			t.Error(s.Status)
		} else {
			over(t, s.Body, "")
		}
		over(t, stream(t, u, &core.Request{Method: "HEAD", Path: "/"}).Body, "")
		if n := len(up.requests()); n != 6 {
			t.Errorf("%s: %d requests for 6 streams", kind, n)
		}
		first, whole := c, c
		first.FirstByte, whole.Timeout = 100*time.Millisecond, 100*time.Millisecond
		refuses(t, open(t, e, first), post("/hang"), core.CodeTimeout)
		refuses(t, open(t, e, whole), post("/hang"), core.CodeTimeout)
		if n := len(up.requests()); n > 8 { // a busy machine may send none in time
			t.Errorf("%s: %d requests for 8 streams", kind, n)
		}
		if n := egress.Streams(e); n != 0 {
			t.Errorf("%d streams are counted", n)
		}
	}
}

// Where an upstream of HTTP/2 speaks only HTTP/1.1, net/http repeats a GET whose
// connection broke (the test of the test). We do not, neither streams nor whole answers,
// unless the request says that it may.
func TestHTTP2RepeatsNothing(t *testing.T) {
	type upstream struct {
		*httptest.Server
		seen atomic.Int64
	}
	begin := func(t *testing.T, c *core.Connection) *upstream {
		up := &upstream{}
		r := record(t, func(w http.ResponseWriter, q *http.Request) {
			if up.seen.Add(1) == 2 {
				panic(http.ErrAbortHandler) // no byte of an answer on a connection that was idle
			}
			ok(w, q)
		})
		start(r, "https", c)
		up.Server = r.Server
		c.BaseURL, c.HTTP2 = parse(t, r.URL), true
		return up
	}
	for _, tt := range []struct {
		name       string
		idempotent bool
		sent       int64
	}{{"GET", false, 2}, {"GET that may be repeated", true, 3}} {
		for _, live := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				var c core.Connection
				up := begin(t, &c)
				u := open(t, newEgress(t, egress.Options{}), c)
				var err error
				for range 2 {
					r := &core.Request{Method: "GET", Path: "/", Idempotent: tt.idempotent}
					if !live {
						_, err = u.Do(t.Context(), r)
						continue
					}
					var s *core.Stream
					if s, err = u.(core.Streamer).Stream(t.Context(), r); err == nil {
						over(t, s.Body, "ok")
					}
				}
				if n := up.seen.Load(); n != tt.sent {
					t.Errorf("the upstream saw %d requests, want %d", n, tt.sent)
				}
				if tt.idempotent != (err == nil) {
					t.Errorf("the second: %v", err)
				}
			})
		}
	}
	t.Run("net/http repeats it", func(t *testing.T) {
		var c core.Connection
		up := begin(t, &c)
		plain := &http.Transport{TLSClientConfig: up.Client().Transport.(*http.Transport).TLSClientConfig.Clone()}
		plain.TLSClientConfig.MinVersion = tls.VersionTLS12
		defer plain.CloseIdleConnections()
		for range 2 {
			q, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, up.URL, http.NoBody)
			answer, err := plain.RoundTrip(q)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
		}
		if n := up.seen.Load(); n != 3 {
			t.Errorf("%d requests, want 3: the tests above prove nothing", n)
		}
	})
}

// Events that wait in the socket are read in few steps, however small the buffer of a
// stream that was quiet is: it grows back.
func TestStreamAfterQuiet(t *testing.T) {
	burst := make(chan struct{})
	const events = 2000
	s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
		for s.readRequest(r) != nil {
			_, _ = io.WriteString(c, head("Transfer-Encoding: chunked")+"1\r\nx\r\n")
			<-burst
			_, _ = io.WriteString(c, strings.Repeat("64\r\n"+strings.Repeat("e", 100)+"\r\n", events)+"0\r\n\r\n")
		}
	})
	u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: s.url})
	for range 3 {
		one := stream(t, u, get("/"))
		event(t, one.Body, "x")
		burst <- struct{}{}
		over(t, one.Body, strings.Repeat("e", 100*events))
	}
}
