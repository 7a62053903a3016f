package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/upstream"
)

// shelf is a real server of the official SDK, reached in one of its modes.
type shelf struct {
	server    *mcp.Server
	cancelled atomic.Int64
	calls     atomic.Int64
}

func newShelf() *shelf {
	s := &shelf{}
	s.server = mcp.NewServer(&mcp.Implementation{Name: "shelf", Version: "1"}, &mcp.ServerOptions{
		Instructions:       "read more",
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
		CompletionHandler: func(_ context.Context, r *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{r.Params.Argument.Value + "x"}, Total: 1}}, nil
		},
		PageSize: 3,
	})
	type nonce struct {
		Nonce string `json:"nonce"`
	}
	mcp.AddTool(s.server, &mcp.Tool{Name: "echo"}, func(_ context.Context, _ *mcp.CallToolRequest, in nonce) (*mcp.CallToolResult, any, error) {
		s.calls.Add(1)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: in.Nonce}}}, map[string]any{"nonce": in.Nonce}, nil
	})
	mcp.AddTool(s.server, &mcp.Tool{Name: "fail"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return nil, nil, errors.New("the book is lost")
	})
	mcp.AddTool(s.server, &mcp.Tool{Name: "slow"}, func(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		for i := range 3 {
			if token := r.Params.GetProgressToken(); token != nil {
				_ = r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: token, Progress: float64(i + 1), Total: 3, Message: "page"})
			}
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
	})
	mcp.AddTool(s.server, &mcp.Tool{Name: "hang"}, func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		<-ctx.Done()
		s.cancelled.Add(1)
		return nil, nil, ctx.Err()
	})
	mcp.AddTool(s.server, &mcp.Tool{Name: "log"}, func(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		_ = r.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "warning", Data: "dust", Logger: "shelf"}) //nolint:staticcheck // upstreams have it for years
		_ = r.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "debug", Data: "no"})                      //nolint:staticcheck // upstreams have it for years
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "logged"}}}, nil, nil
	})
	s.addAsking()
	s.server.AddPrompt(&mcp.Prompt{Name: "greet", Arguments: []*mcp.PromptArgument{{Name: "who"}}}, func(_ context.Context, r *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{Description: "a greeting", Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: "hello " + r.Params.Arguments["who"]}}}}, nil
	})
	s.server.AddResource(&mcp.Resource{Name: "one", URI: "book://one"}, func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: "once"}}}, nil
	})
	s.server.AddResourceTemplate(&mcp.ResourceTemplate{Name: "any", URITemplate: "book://any/{id}"}, func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		if strings.HasSuffix(r.Params.URI, "/gone") {
			return nil, mcp.ResourceNotFoundError(r.Params.URI)
		}
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Blob: []byte{1, 2}}}}, nil
	})
	return s
}

// addAsking adds tools that need something of the client. With sessions they ask for it
// themselves; without, they return the question.
func (s *shelf) addAsking() {
	schema := map[string]any{"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}}}
	s.server.AddTool(&mcp.Tool{Name: "elicit", InputSchema: map[string]any{"type": "object"}}, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if r.Params.InputResponses != nil || stateless(r) {
			answer, ok := r.Params.InputResponses["who"].(*mcp.ElicitResult)
			if !ok {
				return &mcp.CallToolResult{
					InputRequests: mcp.InputRequestMap{"who": &mcp.ElicitParams{Message: "who?", RequestedSchema: schema}},
					RequestState:  "state-1",
				}, nil
			}
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprint(answer.Action, " ", answer.Content["name"], " ", r.Params.RequestState)}}}, nil
		}
		answer, err := r.Session.Elicit(ctx, &mcp.ElicitParams{Message: "who?", RequestedSchema: schema})
		if err != nil {
			return nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprint(answer.Action, " ", answer.Content["name"])}}}, nil
	})
	s.server.AddTool(&mcp.Tool{Name: "sample", InputSchema: map[string]any{"type": "object"}}, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		answer, err := r.Session.CreateMessage(ctx, &mcp.CreateMessageParams{MaxTokens: 5, Messages: []*mcp.SamplingMessage{{Role: "user", Content: &mcp.TextContent{Text: "hi"}}}}) //nolint:staticcheck // the same
		if err != nil {
			return nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{answer.Content}}, nil
	})
	s.server.AddTool(&mcp.Tool{Name: "roots", InputSchema: map[string]any{"type": "object"}}, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		answer, err := r.Session.ListRoots(ctx, nil) //nolint:staticcheck // the same
		if err != nil {
			return nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: answer.Roots[0].URI}}}, nil
	})
}

func stateless(r *mcp.CallToolRequest) bool {
	p := r.Session.InitializeParams()
	return p == nil || p.ProtocolVersion >= "2026-07-28"
}

// mode is a way to reach the shelf.
type mode struct {
	name     string
	revision string // expected
	options  upstream.Options
	handler  func(*mcp.Server) http.Handler
	stdio    bool
	door     string // http, https or h2 through core/egress; "" = net/http
}

func modes() []mode {
	streamable := func(o *mcp.StreamableHTTPOptions) func(*mcp.Server) http.Handler {
		return func(s *mcp.Server) http.Handler {
			return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, o)
		}
	}
	sse := func(s *mcp.Server) http.Handler {
		return mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return s }, nil)
	}
	all := []mode{
		{name: "stateless", revision: "2026-07-28", handler: streamable(&mcp.StreamableHTTPOptions{Stateless: true, PropagateRequestCancellation: true})},
		{name: "stateless json", revision: "2026-07-28", handler: streamable(&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true, PropagateRequestCancellation: true})},
		{name: "stateful", revision: "2025-11-25", handler: streamable(nil)},
		{name: "sse", revision: "2025-11-25", handler: sse},
		{name: "sse only", revision: "2024-11-05", handler: sse, options: upstream.Options{Transport: upstream.SSE, Revision: "2024-11-05"}},
		{name: "stdio", revision: "2026-07-28", stdio: true, options: upstream.Options{Transport: upstream.Stdio}},
	}
	for _, rev := range []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"} {
		all = append(all,
			mode{name: "stateful " + rev, revision: rev, handler: streamable(&mcp.StreamableHTTPOptions{EventStore: mcp.NewMemoryEventStore(nil)}), options: upstream.Options{Revision: rev}},
			mode{name: "stdio " + rev, revision: rev, stdio: true, options: upstream.Options{Transport: upstream.Stdio, Revision: rev}},
		)
	}
	for _, m := range all[:5] { // those over HTTP
		for _, door := range []string{"http", "https", "h2"} {
			m := m
			m.name += " by " + door
			m.door = door
			all = append(all, m)
		}
	}
	return all
}

// quiet tells whether the mode has no stream on which notifications come.
func (m *mode) quiet() bool { return strings.HasPrefix(m.name, "stateless json") }

// sessions tells whether the mode's revision has them.
func (m *mode) sessions() bool { return m.revision != "2026-07-28" }

func (m *mode) elicits() bool { return m.revision >= "2025-06-18" }

// open starts the shelf and a client of it.
func (m *mode) open(t testing.TB, s *shelf) *upstream.Client {
	t.Helper()
	o := m.options
	o.Name = "shelf"
	if m.stdio {
		o.Spawn = s.spawn
	} else {
		server := httptest.NewUnstartedServer(m.handler(s.server))
		var secured *httptest.Server
		if m.door == "https" || m.door == "h2" {
			server.EnableHTTP2 = m.door == "h2"
			server.StartTLS()
			secured = server
		} else {
			server.Start()
		}
		t.Cleanup(server.Close)
		u, _ := url.Parse(server.URL + "/mcp")
		o.URL = u
		if o.HTTP = doorTo(t, u); m.door != "" {
			o.HTTP = through(t, u, secured, m.door == "h2")
		}
	}
	c, err := upstream.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// spawn runs the shelf behind a pair of pipes, as a process would be.
func (s *shelf) spawn(context.Context) (upstream.Pipe, error) {
	in, toServer := io.Pipe()
	fromServer, out := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	p := &pipe{to: toServer, cancel: cancel, lines: make(chan []byte, 16), over: make(chan struct{})}
	go func() {
		_ = s.server.Run(ctx, &mcp.IOTransport{Reader: in, Writer: out})
		out.Close()
		in.Close()
	}()
	go p.read(fromServer)
	return p, nil
}

// pipe is an upstream.Pipe on two streams.
type pipe struct {
	mu     sync.Mutex
	to     io.WriteCloser
	cancel context.CancelFunc
	lines  chan []byte
	over   chan struct{}
	once   sync.Once
}

func (p *pipe) read(from io.ReadCloser) {
	defer close(p.lines)
	defer from.Close()
	d := json.NewDecoder(from)
	for {
		var line json.RawMessage
		if err := d.Decode(&line); err != nil {
			return
		}
		select {
		case p.lines <- line:
		case <-p.over:
			return
		}
	}
}

func (p *pipe) Send(_ context.Context, line []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.to.Write(append(slices.Clone(line), '\n'))
	return err
}

func (p *pipe) Next(ctx context.Context) ([]byte, error) {
	select {
	case line, ok := <-p.lines:
		if !ok {
			return nil, io.EOF
		}
		return line, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipe) Close() error {
	p.once.Do(func() {
		close(p.over)
		p.to.Close()
		p.cancel()
	})
	return nil
}

// request makes a call of a client that can do everything, or nothing.
func request(of, name, arguments string) *core.Call {
	return &core.Call{
		Tool: name, For: core.Object{Kind: of}, Arguments: json.RawMessage(arguments),
		Who:    core.Identity{Tenant: "default", Subject: "ann"},
		Client: core.Client{Name: "test", Revision: "2025-11-25", Capabilities: json.RawMessage("{}")},
		Notify: func(core.Notification) {},
	}
}

const everything = `{"roots":{},"sampling":{},"elicitation":{"form":{},"url":{}}}`

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func wantText(t testing.TB, r *core.Result, err error, text string) {
	t.Helper()
	if err != nil {
		t.Fatalf("error: %v", err)
	}
	if len(r.Content) == 0 || !strings.Contains(string(r.Content[0].Raw), text) {
		t.Fatalf("got %s, want %q in it", show(r), text)
	}
}

func show(r *core.Result) string {
	b, _ := json.Marshal(r)
	for _, c := range r.Content {
		b = append(b, c.Raw...)
	}
	return string(b)
}

func TestOfferOfSDK(t *testing.T) {
	t.Parallel()
	for _, m := range modes() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			c := m.open(t, newShelf())
			o, err := c.Offer(within(t))
			if err != nil {
				t.Fatal(err)
			}
			if o.Revision != m.revision {
				t.Errorf("revision %s, want %s", o.Revision, m.revision)
			}
			if len(o.Tools) != 8 || len(o.Prompts) != 1 || len(o.Resources) != 1 || len(o.Templates) != 1 {
				t.Errorf("%d tools, %d prompts, %d resources, %d templates", len(o.Tools), len(o.Prompts), len(o.Resources), len(o.Templates))
			}
			if o.Instructions != "read more" || !strings.Contains(string(o.Server), "shelf") {
				t.Errorf("instructions %q, server %s", o.Instructions, o.Server)
			}
			if s := c.State(); !s.Up || s.Revision != m.revision || s.Sessions != 1 || s.LastError != "" {
				t.Errorf("state %+v", s)
			}
		})
	}
}

func TestCallsOfSDK(t *testing.T) {
	t.Parallel()
	for _, m := range modes() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := newShelf()
			c := m.open(t, s)
			ctx := within(t)
			r, err := c.CallTool(ctx, request("tool", "echo", `{"nonce":"n1"}`))
			wantText(t, r, err, "n1")
			if string(r.Structured) != `{"nonce":"n1"}` {
				t.Errorf("structured %s", r.Structured)
			}
			r, err = c.CallTool(ctx, request("tool", "fail", `{}`))
			wantText(t, r, err, "the book is lost")
			if !r.IsError {
				t.Error("isError is lost")
			}
			_, err = c.CallTool(ctx, request("tool", "none", `{}`))
			if e := core.AsError(err); e.Code != core.CodeInvalid {
				t.Errorf("unknown tool: %v", err)
			}
			r, err = c.GetPrompt(ctx, request("prompt", "greet", `{"who":"bob"}`))
			if err != nil || len(r.Messages) != 1 || !strings.Contains(string(r.Messages[0].Content.Raw), "hello bob") || r.Description != "a greeting" {
				t.Errorf("prompt: %v %+v", err, r)
			}
			r, err = c.ReadResource(ctx, request("resource", "book://one", `{}`))
			if err != nil || len(r.Contents) != 1 || r.Contents[0].Text != "once" {
				t.Errorf("resource: %v %+v", err, r)
			}
			r, err = c.ReadResource(ctx, request("resource", "book://any/2", `{}`))
			if err != nil || len(r.Contents) != 1 || !r.Contents[0].Binary || string(r.Contents[0].Blob) != "\x01\x02" {
				t.Errorf("blob: %v %+v", err, r)
			}
			_, err = c.ReadResource(ctx, request("resource", "book://any/gone", `{}`))
			if e := core.AsError(err); e.Code != core.CodeResource || !strings.Contains(string(e.Details), "book://any/gone") {
				t.Errorf("unknown resource: %v %s", err, e.Details)
			}
			done, err := c.Complete(ctx, request("prompt", "greet", `{}`), &core.CompleteRequest{RefType: "ref/prompt", Ref: "greet", Argument: "who", Value: "a"})
			if err != nil || !slices.Equal(done.Values, []string{"ax"}) {
				t.Errorf("completion: %v %+v", err, done)
			}
		})
	}
}

func TestProgressOfSDK(t *testing.T) {
	t.Parallel()
	for _, m := range modes() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			if m.quiet() {
				t.Log("no stream, no progress")
			}
			c := m.open(t, newShelf())
			var mu sync.Mutex
			var got []string
			call := request("tool", "slow", `{}`)
			call.Progress = true
			call.Notify = func(n core.Notification) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, n.Method+string(n.Params))
			}
			r, err := c.CallTool(within(t), call)
			wantText(t, r, err, "done")
			mu.Lock()
			defer mu.Unlock()
			if !m.quiet() && len(got) != 3 {
				t.Errorf("progress: %q", got)
			}
			for _, n := range got {
				if strings.Contains(n, "progressToken") || !strings.Contains(n, `"total":3`) {
					t.Errorf("progress: %s", n)
				}
			}
		})
	}
}

func TestCancelOfSDK(t *testing.T) {
	t.Parallel()
	for _, m := range modes() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := newShelf()
			c := m.open(t, s)
			if _, err := c.Offer(within(t)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, err := c.CallTool(ctx, request("tool", "hang", `{}`))
			if core.AsError(err).Code != core.CodeTimeout {
				t.Errorf("got %v", err)
			}
			until(t, "the upstream is told", func() bool { return s.cancelled.Load() == 1 })
			r, err := c.CallTool(within(t), request("tool", "echo", `{"nonce":"after"}`))
			wantText(t, r, err, "after")
		})
	}
}

func TestLogOfSDK(t *testing.T) {
	t.Parallel()
	for _, m := range modes() {
		if m.quiet() {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			c := m.open(t, newShelf())
			var mu sync.Mutex
			var got []string
			call := request("tool", "log", `{}`)
			call.LogLevel = "info"
			call.Notify = func(n core.Notification) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, string(n.Params))
			}
			r, err := c.CallTool(within(t), call)
			wantText(t, r, err, "logged")
			mu.Lock()
			defer mu.Unlock()
			if len(got) != 1 || !strings.Contains(got[0], "dust") {
				t.Errorf("messages: %q", got)
			}
		})
	}
}

// until waits for what happens in another goroutine.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for range 1000 {
		if f() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("did not happen: %s", what)
}

func TestAskingOfSDK(t *testing.T) {
	t.Parallel()
	for _, m := range modes() {
		for _, tt := range []struct{ tool, method, answer, want string }{
			{"elicit", "elicitation/create", `{"action":"accept","content":{"name":"bob"}}`, "accept bob"},
			{"sample", "sampling/createMessage", `{"role":"assistant","model":"m","content":{"type":"text","text":"sampled"}}`, "sampled"},
			{"roots", "roots/list", `{"roots":[{"uri":"file:///r"}]}`, "file:///r"},
		} {
			if tt.tool == "elicit" && !m.elicits() || tt.tool != "elicit" && !m.sessions() {
				continue
			}
			t.Run(m.name+" "+tt.tool, func(t *testing.T) {
				t.Parallel()
				c := m.open(t, newShelf())
				ctx := within(t)
				call := request("tool", tt.tool, `{}`)
				call.Client.Capabilities = json.RawMessage(everything)
				r, err := c.CallTool(ctx, call)
				if err != nil || len(r.InputRequests) != 1 || r.InputRequests[0].Method != tt.method || r.RequestState == nil {
					t.Fatalf("got %v %+v", err, r)
				}
				again := request("tool", tt.tool, `{}`)
				again.Client.Capabilities = call.Client.Capabilities
				again.RequestState = r.RequestState
				again.InputResponses = map[string]json.RawMessage{r.InputRequests[0].Key: json.RawMessage(tt.answer)}
				r, err = c.CallTool(ctx, again)
				wantText(t, r, err, tt.want)
				if n := c.State().Parked; n != 0 {
					t.Errorf("%d calls are parked", n)
				}
			})
		}
	}
}

func TestChangesOfSDK(t *testing.T) {
	t.Parallel()
	for _, m := range modes() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := newShelf()
			c := m.open(t, s)
			got := make(chan core.Change, 100)
			stop := c.Changes(func(change core.Change) { got <- change })
			defer stop()
			if m.quiet() {
				return // it has no stream that stays open
			}
			if err := c.Subscribe(within(t), "book://one"); err != nil {
				t.Fatal(err)
			}
			expect := func(want core.Change, make func()) {
				t.Helper()
				timeout := time.After(10 * time.Second)
				for {
					make()
					select {
					case change := <-got:
						if change == want {
							return
						}
					case <-time.After(200 * time.Millisecond): // the stream may not stand yet
					case <-timeout:
						t.Fatalf("no change %+v", want)
					}
				}
			}
			n := 0
			expect(core.Change{Kind: core.ToolsChanged}, func() {
				n++
				mcp.AddTool(s.server, &mcp.Tool{Name: fmt.Sprint("new", n)}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
					return nil, nil, nil
				})
			})
			expect(core.Change{Kind: core.ResourceUpdated, URI: "book://one"}, func() {
				_ = s.server.ResourceUpdated(t.Context(), &mcp.ResourceUpdatedNotificationParams{URI: "book://one"})
			})
			c.Unsubscribe("book://one")
		})
	}
}

// The SDK knows one stream of changes of a session: over stdio the end of an older one ended
// the newer one with it, and nobody was told anything any more.
func TestNextStreamOfSDK(t *testing.T) {
	t.Parallel()
	for _, m := range modes() {
		if m.quiet() {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := newShelf()
			c := m.open(t, s)
			got := make(chan core.Change, 100)
			defer c.Changes(func(change core.Change) { signal(got, change) })()
			for _, uri := range []string{"book://one", "book://any/2", "book://any/3"} {
				if err := c.Subscribe(within(t), uri); err != nil {
					t.Fatal(err)
				}
			}
			c.Unsubscribe("book://one")
			time.Sleep(50 * time.Millisecond) // whatever ends, ends now
			for len(got) > 0 {
				<-got
			}
			_ = s.server.ResourceUpdated(t.Context(), &mcp.ResourceUpdatedNotificationParams{URI: "book://any/3"})
			select {
			case change := <-got:
				if want := (core.Change{Kind: core.ResourceUpdated, URI: "book://any/3"}); change != want {
					t.Errorf("told of %+v", change)
				}
			case <-time.After(10 * time.Second):
				t.Error("nothing was told")
			}
		})
	}
}

func signal[T any](c chan T, v T) {
	select {
	case c <- v:
	default:
	}
}

// 200 callers with the same downstream ids: no answer reaches the wrong one.
func TestNoncesOfSDK(t *testing.T) {
	for _, m := range modes() {
		if strings.Contains(m.name, " 2025") || strings.Contains(m.name, " 2024") {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			s := newShelf()
			c := m.open(t, s)
			each := 5
			if m.name == "stateless" || m.name == "stateful" || m.name == "stateful by http" || m.name == "stateless by http" {
				each = 25 // 10,000 in all
			}
			var all sync.WaitGroup
			var wrong atomic.Int64
			for caller := range 200 {
				all.Go(func() {
					for i := range each {
						nonce := fmt.Sprintf("%d-%d", caller, i)
						call := request("tool", "echo", `{"nonce":"`+nonce+`"}`)
						call.ID = "1"
						r, err := c.CallTool(t.Context(), call)
						if err != nil || string(r.Structured) != `{"nonce":"`+nonce+`"}` {
							if wrong.Add(1) < 5 {
								t.Errorf("caller %d: %v", caller, err)
							}
						}
					}
				})
			}
			all.Wait()
			if got := s.calls.Load(); got != int64(200*each) {
				t.Errorf("the upstream ran %d calls, want %d", got, 200*each)
			}
			if state := c.State(); state.Unknown+state.Malformed != 0 {
				t.Errorf("state %+v", state)
			}
		})
	}
}
