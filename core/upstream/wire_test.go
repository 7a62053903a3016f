package upstream_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/upstream"
)

// turnstile counts what comes to a server, and lets somebody else look first.
type turnstile struct {
	http.Handler
	posts, others atomic.Int64
	connections   atomic.Int64
	look          func(w http.ResponseWriter, body []byte) (answered bool)
}

func (s *turnstile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		s.others.Add(1)
		s.Handler.ServeHTTP(w, r)
		return
	}
	s.posts.Add(1)
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if s.look == nil || !s.look(w, body) {
		s.Handler.ServeHTTP(w, r)
	}
}

// openBehind opens a client of a server behind a turnstile, through core/egress.
func openBehind(t testing.TB, s *turnstile) *upstream.Client {
	t.Helper()
	server := httptest.NewUnstartedServer(s)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	u, _ := url.Parse(server.URL + "/mcp")
	c, err := upstream.Open(upstream.Options{Name: "shelf", URL: u, HTTP: way(t, u, core.Connection{InFlight: 256, Queue: 256, Retries: 5})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Each call is one request to the upstream, and no more connections are made than calls
// are under way.
func TestOneRequestForOneCall(t *testing.T) {
	const callers, each = 16, 20
	for _, m := range modes() {
		if m.door != "" || m.stdio || m.options.Transport == upstream.SSE || strings.HasPrefix(m.name, "sse") {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			s := newShelf()
			gate := &turnstile{Handler: m.handler(s.server)}
			c := openBehind(t, gate)
			r, err := c.CallTool(within(t), request("tool", "echo", `{"nonce":"warm"}`))
			wantText(t, r, err, "warm")
			posts, others := gate.posts.Load(), gate.others.Load()
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for range each {
						r, err := c.CallTool(t.Context(), request("tool", "echo", `{"nonce":"n"}`))
						if err != nil || len(r.Content) != 1 {
							t.Errorf("%v %v", r, err)
						}
					}
				})
			}
			all.Wait()
			if n := gate.posts.Load() - posts; n != callers*each {
				t.Errorf("%d requests for %d calls", n, callers*each)
			}
			if n := gate.others.Load() - others; n != 0 {
				t.Errorf("%d requests of other methods", n)
			}
			if n := gate.connections.Load(); n > 2*callers+2 { // a stream may end just behind its answer
				t.Errorf("%d connections for %d callers", n, callers)
			}
		})
	}
}

// A call whose connection breaks before the answer may have run: it is never sent again,
// whatever the connection says of retries.
func TestBrokenCallsAreNotRepeated(t *testing.T) {
	for _, m := range modes() {
		if m.name != "stateless" && m.name != "stateful" {
			continue
		}
		for _, how := range []string{"closes", "half a head", "503", "a stream without an answer"} {
			t.Run(m.name+" "+how, func(t *testing.T) {
				var runs atomic.Int64
				var breaks atomic.Bool
				gate := &turnstile{Handler: m.handler(newShelf().server)}
				gate.look = func(w http.ResponseWriter, body []byte) bool {
					if !bytes.Contains(body, []byte("tools/call")) {
						return false
					}
					runs.Add(1)
					if !breaks.Load() {
						return false
					}
					switch how {
					case "503":
						w.WriteHeader(http.StatusServiceUnavailable)
						return true
					case "a stream without an answer":
						w.Header().Set("Content-Type", "text/event-stream")
						_, _ = io.WriteString(w, ": hm\n\n")
						return true
					}
					conn, _, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Error(err)
						return true
					}
					if how == "half a head" {
						_, _ = io.WriteString(conn, "HTTP/1.1 200 O")
					}
					_ = conn.Close()
					return true
				}
				c := openBehind(t, gate)
				r, err := c.CallTool(within(t), request("tool", "echo", `{"nonce":"fine"}`))
				wantText(t, r, err, "fine")
				breaks.Store(true)
				_, err = c.CallTool(within(t), request("tool", "echo", `{"nonce":"n"}`))
				if core.AsError(err).Code != core.CodeUnavailable {
					t.Errorf("got %v", err)
				}
				if n := runs.Load(); n != 2 {
					t.Errorf("the upstream saw %d calls of 2", n)
				}
				breaks.Store(false)
				r, err = c.CallTool(within(t), request("tool", "echo", `{"nonce":"again"}`))
				wantText(t, r, err, "again")
			})
		}
	}
}

// Streams that stay open take no place of a call: with one place there are calls beside
// the stream of changes, one after the other.
func TestCallsBesideStreams(t *testing.T) {
	for _, m := range modes() {
		if m.name != "stateless" && m.name != "stateful" {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			s := newShelf()
			server := httptest.NewServer(m.handler(s.server))
			t.Cleanup(server.Close)
			u, _ := url.Parse(server.URL + "/mcp")
			c, err := upstream.Open(upstream.Options{Name: "shelf", URL: u, HTTP: way(t, u, core.Connection{InFlight: 1, Queue: 4, Retries: 5})})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			defer c.Changes(func(core.Change) {})()
			if err := c.Subscribe(within(t), "book://one"); err != nil {
				t.Fatal(err)
			}
			for range 50 {
				r, err := c.CallTool(within(t), request("tool", "echo", `{"nonce":"n"}`))
				wantText(t, r, err, "n")
			}
		})
	}
}

// Clients of sessions have a log level that they did not ask for: no session is set apart
// for that, as it is for one that they did.
func TestUsualLogLevelNeedsNoSession(t *testing.T) {
	for _, m := range modes() {
		if m.name != "stateful" {
			continue
		}
		c := m.open(t, newShelf())
		for _, tt := range []struct {
			usual    bool
			sessions int
		}{{true, 1}, {false, 2}} {
			call := request("tool", "echo", `{"nonce":"n"}`)
			call.LogLevel, call.LogUsual = "info", tt.usual
			r, err := c.CallTool(within(t), call)
			wantText(t, r, err, "n")
			if n := c.State().Sessions; n != tt.sessions {
				t.Errorf("usual %v: %d sessions, want %d", tt.usual, n, tt.sessions)
			}
		}
	}
}
