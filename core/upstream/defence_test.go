package upstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/upstream"
)

// peer is an upstream made of one function per method; what is not there is answered
// with an empty result.
type peer struct {
	mu      sync.Mutex
	by      map[string]func(w http.ResponseWriter, r *http.Request, m *rpc)
	legacy  bool
	session atomic.Int64
}

type rpc struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name string `json:"name"`
	} `json:"params"`
	Result json.RawMessage `json:"result"`
}

func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var m rpc
	_ = json.Unmarshal(body, &m)
	key := m.Method
	if key == "" {
		key = r.Method
	}
	p.mu.Lock()
	f, legacy := p.by[key], p.legacy
	p.mu.Unlock()
	switch {
	case f != nil:
		f(w, r, &m)
	case key == "server/discover" && !legacy:
		say(w, `{"jsonrpc":"2.0","id":%s,"result":{"supportedVersions":["2026-07-28"],"capabilities":{"prompts":{}}}}`, m.ID)
	case key == "server/discover":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(400)
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no session"}}`)
	case key == "initialize":
		w.Header().Set("Mcp-Session-Id", fmt.Sprint("s", p.session.Add(1)))
		say(w, `{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"prompts":{},"logging":{}},"serverInfo":{"name":"p","version":"1"}}}`, m.ID)
	case m.ID == nil || m.Result != nil:
		w.WriteHeader(202)
	case m.Method == "prompts/get":
		say(w, `{"jsonrpc":"2.0","id":%s,"result":{"messages":[],"description":"%s"}}`, m.ID, m.Params.Name)
	default:
		w.WriteHeader(405)
	}
}

func say(w http.ResponseWriter, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, format, args...)
}

func event(w http.ResponseWriter, format string, args ...any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	fmt.Fprintf(w, "data: "+format+"\n\n", args...)
	_ = http.NewResponseController(w).Flush()
}

func (p *peer) open(t testing.TB, o upstream.Options) *upstream.Client {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	u, _ := url.Parse(server.URL + "/mcp")
	o.Name, o.URL, o.HTTP = "p", u, doorTo(t, u)
	c, err := upstream.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// An answer to another call, on the stream of this one, reaches neither. Without the
// defence it would reach the other.
func TestAnswersStayOnTheirStream(t *testing.T) {
	for _, lax := range []bool{false, true} {
		t.Run(fmt.Sprint("lax ", lax), func(t *testing.T) {
			victim := make(chan string, 1)
			p := &peer{}
			p.by = map[string]func(http.ResponseWriter, *http.Request, *rpc){"prompts/get": func(w http.ResponseWriter, r *http.Request, m *rpc) {
				if m.Params.Name == "victim" {
					victim <- string(m.ID)
					<-r.Context().Done()
					return
				}
				event(w, `{"jsonrpc":"2.0","id":%s,"result":{"messages":[],"description":"not yours"}}`, <-victim)
				event(w, `{"jsonrpc":"2.0","id":%s,"result":{"messages":[],"description":"mine"}}`, m.ID)
			}}
			c := p.open(t, upstream.Options{})
			c.Lax(lax, false, false, false)
			got := make(chan string, 1)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			go func() {
				r, err := c.GetPrompt(ctx, request("prompt", "victim", "{}"))
				if err != nil {
					got <- string(core.AsError(err).Code)
					return
				}
				got <- r.Description
			}()
			r, err := c.GetPrompt(within(t), request("prompt", "attacker", "{}"))
			if err != nil || r.Description != "mine" {
				t.Errorf("%v %+v", err, r)
			}
			if reached := <-got == "not yours"; reached != lax {
				t.Errorf("the answer reached the other call: %v", reached)
			}
		})
	}
}

// asking is a peer with sessions whose prompt asks something and says what was answered.
func asking() *peer {
	p := &peer{legacy: true}
	answers := make(chan string, 10)
	p.by = map[string]func(http.ResponseWriter, *http.Request, *rpc){
		"prompts/get": func(w http.ResponseWriter, r *http.Request, m *rpc) {
			event(w, `{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"m"}}`)
			select {
			case a := <-answers:
				event(w, `{"jsonrpc":"2.0","id":%s,"result":{"messages":[],"description":%q}}`, m.ID, a)
			case <-r.Context().Done():
			}
		},
		"POST": func(w http.ResponseWriter, _ *http.Request, m *rpc) {
			if m.Result != nil {
				answers <- string(m.Result)
			}
			w.WriteHeader(202)
		},
	}
	return p
}

func asks(name, subject string) *core.Call {
	call := request("prompt", name, "{}")
	call.Who.Subject = subject
	call.Client.Capabilities = json.RawMessage(everything)
	return call
}

func TestHandlesBelongToTheirCallers(t *testing.T) {
	for _, lax := range []bool{false, true} {
		t.Run(fmt.Sprint("lax ", lax), func(t *testing.T) {
			c := asking().open(t, upstream.Options{})
			c.Lax(false, lax, false, false)
			r, err := c.GetPrompt(within(t), asks("p", "ann"))
			if err != nil || len(r.InputRequests) != 1 {
				t.Fatal(err)
			}
			eve := asks("p", "eve")
			eve.RequestState = r.RequestState
			eve.InputResponses = map[string]json.RawMessage{"elicitation-1": json.RawMessage(`{"action":"accept"}`)}
			_, err = c.GetPrompt(within(t), eve)
			if (err == nil) != lax {
				t.Errorf("another caller's answer: %v", err)
			}
		})
	}
}

func TestEndpointsStayOnTheirOrigin(t *testing.T) {
	for _, lax := range []bool{false, true} {
		t.Run(fmt.Sprint("lax ", lax), func(t *testing.T) {
			posted := make(chan struct{}, 1)
			p := &peer{by: map[string]func(http.ResponseWriter, *http.Request, *rpc){
				"GET": func(w http.ResponseWriter, r *http.Request, _ *rpc) {
					w.Header().Set("Content-Type", "text/event-stream")
					fmt.Fprint(w, "event: endpoint\ndata: http://elsewhere.example/take\n\n")
					_ = http.NewResponseController(w).Flush()
					<-r.Context().Done()
				},
				"initialize": func(w http.ResponseWriter, _ *http.Request, _ *rpc) {
					posted <- struct{}{}
					w.WriteHeader(404)
				},
			}}
			c := p.open(t, upstream.Options{Transport: upstream.SSE})
			c.Lax(false, false, lax, false)
			_, err := c.GetPrompt(within(t), request("prompt", "p", "{}"))
			if err == nil {
				t.Error("no error")
			}
			if (len(posted) == 1) != lax {
				t.Errorf("something was posted: %v", len(posted) == 1)
			}
		})
	}
}

// A session whose call was given up is not used again: what the upstream still asks must
// not reach the next call.
func TestGivenUpSessionsAreClosed(t *testing.T) {
	for _, lax := range []bool{false, true} {
		t.Run(fmt.Sprint("lax ", lax), func(t *testing.T) {
			p := &peer{legacy: true}
			p.by = map[string]func(http.ResponseWriter, *http.Request, *rpc){"prompts/get": func(w http.ResponseWriter, r *http.Request, m *rpc) {
				if m.Params.Name == "hang" {
					<-r.Context().Done()
					return
				}
				say(w, `{"jsonrpc":"2.0","id":%s,"result":{"messages":[],"description":%q}}`, m.ID, r.Header.Get("Mcp-Session-Id"))
			}}
			c := p.open(t, upstream.Options{})
			c.Lax(false, false, false, lax)
			r, err := c.GetPrompt(within(t), asks("p", "ann"))
			if err != nil {
				t.Fatal(err)
			}
			first := r.Description
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := c.GetPrompt(ctx, asks("hang", "ann")); core.AsError(err).Code != core.CodeTimeout {
				t.Errorf("got %v", err)
			}
			if r, err = c.GetPrompt(within(t), asks("p", "ann")); err != nil {
				t.Fatal(err)
			}
			if (r.Description == first) != lax {
				t.Errorf("session %s after %s", r.Description, first)
			}
		})
	}
}

// Sessions are bounded and not shared between callers; who waits is served in turn, and
// too many are refused.
func TestSessionsAreBounded(t *testing.T) {
	p := &peer{legacy: true}
	release := make(chan struct{})
	var most, now atomic.Int64
	owners := sync.Map{}
	p.by = map[string]func(http.ResponseWriter, *http.Request, *rpc){"prompts/get": func(w http.ResponseWriter, r *http.Request, m *rpc) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		subject, _, _ := strings.Cut(m.Params.Name, "/")
		if other, had := owners.LoadOrStore(r.Header.Get("Mcp-Session-Id"), subject); had && other != subject {
			t.Errorf("a session of %v serves %s", other, subject)
		}
		<-release
		say(w, `{"jsonrpc":"2.0","id":%s,"result":{"messages":[]}}`, m.ID)
	}}
	c := p.open(t, upstream.Options{Limits: upstream.Limits{Sessions: 3, Waiting: 5}})
	var all sync.WaitGroup
	var good, limited atomic.Int64
	for i := range 20 {
		all.Go(func() {
			subject := []string{"ann", "bob"}[i%2]
			_, err := c.GetPrompt(within(t), asks(subject+"/p", subject))
			switch {
			case err == nil:
				good.Add(1)
			case core.AsError(err).Code == core.CodeLimited:
				limited.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	until(t, "the rest is refused", func() bool { return limited.Load() == 12 && now.Load() == 3 })
	close(release)
	all.Wait()
	if good.Load() != 8 || most.Load() != 3 {
		t.Errorf("%d went well, at most %d at once", good.Load(), most.Load())
	}
}

func TestIdleSessionsAreClosed(t *testing.T) {
	p := &peer{legacy: true}
	var deleted atomic.Int64
	p.by = map[string]func(http.ResponseWriter, *http.Request, *rpc){"DELETE": func(http.ResponseWriter, *http.Request, *rpc) { deleted.Add(1) }}
	c := p.open(t, upstream.Options{Limits: upstream.Limits{Idle: 20 * time.Millisecond}})
	if _, err := c.GetPrompt(within(t), asks("p", "ann")); err != nil {
		t.Fatal(err)
	}
	until(t, "the session is deleted", func() bool { return deleted.Load() == 1 })
	until(t, "one session is left", func() bool { return c.State().Sessions == 1 })
	c.Close()
	if deleted.Load() != 2 {
		t.Errorf("%d sessions were deleted", deleted.Load())
	}
	if _, err := c.GetPrompt(within(t), asks("p", "ann")); core.AsError(err).Code != core.CodeUnavailable {
		t.Errorf("after Close: %v", err)
	}
}

// What runs while the upstream turns into another revision is answered all the same.
func TestCallsSurviveAnotherProbe(t *testing.T) {
	p := &peer{}
	running, release := make(chan struct{}), make(chan struct{})
	p.by = map[string]func(http.ResponseWriter, *http.Request, *rpc){"prompts/get": func(w http.ResponseWriter, r *http.Request, m *rpc) {
		p.mu.Lock()
		legacy := p.legacy
		p.mu.Unlock()
		switch {
		case m.Params.Name == "slow":
			close(running)
			<-release
		case legacy && r.Header.Get("Mcp-Session-Id") == "":
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(400)
			fmt.Fprint(w, `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no session"}}`)
			return
		}
		say(w, `{"jsonrpc":"2.0","id":%s,"result":{"messages":[],"description":%q}}`, m.ID, m.Params.Name)
	}}
	c := p.open(t, upstream.Options{})
	got := make(chan error, 1)
	go func() {
		r, err := c.GetPrompt(within(t), request("prompt", "slow", "{}"))
		if err == nil && r.Description != "slow" {
			err = fmt.Errorf("got %q", r.Description)
		}
		got <- err
	}()
	<-running
	p.mu.Lock()
	p.legacy = true
	p.mu.Unlock()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := c.GetPrompt(within(t), request("prompt", "quick", "{}")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s := c.State(); s.Revision != "2025-11-25" {
		t.Errorf("state %+v", s)
	}
	close(release)
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// A flood of notifications is dropped, and the call still has its answer.
func TestFloodsAreDropped(t *testing.T) {
	p := &peer{}
	p.by = map[string]func(http.ResponseWriter, *http.Request, *rpc){"prompts/get": func(w http.ResponseWriter, _ *http.Request, m *rpc) {
		for range 500 {
			event(w, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":1}}`, m.ID)
		}
		event(w, `{"jsonrpc":"2.0","id":%s,"result":{"messages":[]}}`, m.ID)
	}}
	at := time.Now()
	c := p.open(t, upstream.Options{Limits: upstream.Limits{Events: 50}, Now: func() time.Time { return at }})
	var heard atomic.Int64
	call := request("prompt", "p", "{}")
	call.Progress = true
	call.Notify = func(core.Notification) { heard.Add(1) }
	if _, err := c.GetPrompt(within(t), call); err != nil {
		t.Fatal(err)
	}
	if heard.Load() != 50 || c.State().Dropped != 450 {
		t.Errorf("%d were heard, %d dropped", heard.Load(), c.State().Dropped)
	}
}

// A thousand calls at once on a process that does not run yet are all answered.
func TestManyCallsStartOneProcess(t *testing.T) {
	s := newShelf()
	var started atomic.Int64
	c, err := upstream.Open(upstream.Options{Name: "shelf", Transport: upstream.Stdio, Spawn: func(ctx context.Context) (upstream.Pipe, error) {
		started.Add(1)
		return s.spawn(ctx)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			nonce := fmt.Sprint("n", i)
			r, err := c.CallTool(within(t), request("tool", "echo", `{"nonce":"`+nonce+`"}`))
			if err != nil || string(r.Structured) != `{"nonce":"`+nonce+`"}` {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
	if started.Load() != 1 {
		t.Errorf("%d processes were started", started.Load())
	}
}

func TestOptions(t *testing.T) {
	u, _ := url.Parse("https://host/mcp")
	for _, tt := range []struct {
		name string
		o    upstream.Options
		want string
	}{
		{"no streamer", upstream.Options{URL: u}, "cannot stream"},
		{"no URL", upstream.Options{HTTP: &door{}}, "no URL"},
		{"no process", upstream.Options{Transport: upstream.Stdio}, "starts its process"},
		{"revision", upstream.Options{URL: u, HTTP: &door{}, Revision: "2020-01-01"}, "unknown"},
		{"revision of SSE", upstream.Options{URL: u, HTTP: &door{}, Transport: upstream.SSE, Revision: "2026-07-28"}, "no HTTP+SSE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := upstream.Open(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
