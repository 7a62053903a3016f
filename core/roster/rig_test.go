package roster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/child"
	"github.com/sallyport/sallyport/core/egress"
)

// role makes the test binary a server of the official SDK on standard input and output.
const role = "ROSTER_ROLE"

// about names a file with what it says of the tool echo.
const about = "ROSTER_ABOUT"

func TestMain(m *testing.M) {
	if os.Getenv(role) != "" {
		s := newPeer().server
		_ = s.Run(context.Background(), &mcp.StdioTransport{})
		os.Exit(0)
	}
	if err := os.Chmod(self(), 0o755); err != nil { // with an umask of 002 the group could write it, which is refused
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func self() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

// peer is a server of the official SDK.
type peer struct {
	server *mcp.Server
	http   *httptest.Server
}

func newPeer() *peer {
	p := &peer{server: mcp.NewServer(&mcp.Implementation{Name: "peer", Version: "1"}, &mcp.ServerOptions{
		Instructions:       "read\u200b this",
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	})}
	type text struct {
		Text string `json:"text"`
	}
	says := "says it again"
	if text, err := os.ReadFile(os.Getenv(about)); err == nil {
		says = string(text)
	}
	mcp.AddTool(p.server, &mcp.Tool{Name: "echo", Description: says}, func(_ context.Context, _ *mcp.CallToolRequest, in text) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: in.Text}}}, nil, nil
	})
	mcp.AddTool(p.server, &mcp.Tool{Name: "pid"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprint(os.Getpid())}}}, nil, nil
	})
	mcp.AddTool(p.server, &mcp.Tool{Name: "hang"}, func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	})
	p.server.AddResource(&mcp.Resource{Name: "one", URI: "book://one"}, func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: "once"}}}, nil
	})
	return p
}

// describe says a tool anew.
func (p *peer) describe(tool, description string) {
	mcp.AddTool(p.server, &mcp.Tool{Name: tool, Description: description}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{}, nil, nil
	})
}

// open serves over HTTP, on an address that was free, or on a given one.
func (p *peer) open(t *testing.T) *peer {
	t.Helper()
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return p.server }, nil)
	p.http = httptest.NewServer(handler)
	t.Cleanup(func() {
		p.leave()
		p.http.CloseClientConnections()
		p.http.Close()
	})
	return p
}

// leave ends the sessions that the SDK keeps.
func (p *peer) leave() {
	for s := range p.server.Sessions() {
		_ = s.Close()
	}
}

// rig is a Roster on the real door, and what it tells.
type rig struct {
	t       *testing.T
	r       *Roster
	dial    *egress.Egress
	changed chan struct{}
	updated chan string
}

func newRig(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	g := &rig{t: t, changed: make(chan struct{}, 100), updated: make(chan string, 100)}
	g.dial = egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	o := Options{
		Allow: child.Allow{Commands: [][]string{{self()}}}, Wait: 20 * time.Second,
		Changed: func() { g.changed <- struct{}{} }, Updated: func(upstream, uri string) { g.updated <- upstream + " " + uri },
	}
	if change != nil {
		change(&o)
	}
	g.r = New(o)
	t.Cleanup(func() {
		if err := g.r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := g.dial.Close(); err != nil {
			t.Errorf("close egress: %v", err)
		}
	})
	return g
}

// open opens a set, without mistakes.
func (g *rig) open(configs ...core.UpstreamConfig) core.RemoteSet {
	g.t.Helper()
	set, problems := g.try(configs...)
	if len(problems) > 0 {
		g.t.Fatalf("problems: %+v", problems)
	}
	return set
}

func (g *rig) try(configs ...core.UpstreamConfig) (core.RemoteSet, []core.Problem) {
	g.t.Helper()
	set, problems := g.r.Open(context.Background(), configs, core.RemoteEnv{Dial: g.dial, Connection: func(c *core.UpstreamConfig) *core.Connection {
		u, err := url.Parse(c.URL)
		if err != nil {
			g.t.Fatal(err)
		}
		header := []core.Field{}
		for name, value := range c.Headers {
			header = append(header, core.Field{Name: name, Value: value})
		}
		return &core.Connection{Name: "upstream " + c.Name, BaseURL: u, Header: header, FirstByte: time.Minute, InFlight: 256, Queue: 256, AllowCIDRs: []string{"127.0.0.0/8"}}
	}})
	g.t.Cleanup(func() {
		if err := set.Close(); err != nil {
			g.t.Errorf("close a set: %v", err)
		}
	})
	return set, problems
}

// wait waits until something was told, and until then fails after a while.
func wait[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("nothing told of %s", what)
	}
	panic("unreachable")
}

func (p *peer) config(name string) core.UpstreamConfig {
	return core.UpstreamConfig{Name: name, URL: p.http.URL + "/mcp"}
}

// program is the peer as a process.
func program(name string) core.UpstreamConfig {
	return core.UpstreamConfig{Name: name, Command: []string{self(), "serve"}, Env: map[string]string{role: "peer"}}
}

// names lists what is offered of one kind.
func names(list []json.RawMessage) string {
	var all []string
	for _, raw := range list {
		var one struct{ Name string }
		_ = json.Unmarshal(raw, &one)
		all = append(all, one.Name)
	}
	return strings.Join(all, " ")
}

func call(tool, arguments string) *core.Call {
	return &core.Call{
		Tool: tool, Arguments: json.RawMessage(arguments), Checked: true, Client: core.Client{Capabilities: json.RawMessage("{}")},
		Notify: func(core.Notification) {}, Detach: func(time.Duration) bool { return false },
	}
}

// say calls a tool and returns the text of its answer.
func say(t *testing.T, r core.Remote, tool, arguments string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	result, err := r.CallTool(ctx, call(tool, arguments))
	if err != nil {
		return "", err
	}
	var block struct{ Text string }
	if len(result.Content) > 0 {
		_ = json.Unmarshal(result.Content[0].Raw, &block)
	}
	return block.Text, nil
}

// look opens the same again and again until the offer is as want says.
func (g *rig) look(what string, want func(*core.Offer) bool, configs ...core.UpstreamConfig) core.RemoteSet {
	g.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		set := g.open(configs...)
		if o := set.Remote(configs[0].Name).Offer(); o != nil && want(o) {
			return set
		}
		select {
		case <-g.changed:
		case <-time.After(50 * time.Millisecond):
		}
	}
	g.t.Fatalf("%s never came", what)
	return nil
}
