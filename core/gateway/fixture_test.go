package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// at is the core.Source of a document in a test directory.
type source struct{ root string }

func (s source) Name() string { return "test.yaml" }
func (s source) Root() string { return s.root }
func (s source) Position(path string) (line, column int, found bool) {
	return strings.Count(path, "/") + 1, 1, path == "" || strings.HasPrefix(path, "/")
}

// invoker is a fake with function fields.
type invoker struct {
	invoke func(ctx context.Context, call *core.Call) (*core.Result, error)
	close  func() error
}

func (i *invoker) Invoke(ctx context.Context, call *core.Call) (*core.Result, error) {
	return i.invoke(ctx, call)
}

func (i *invoker) Close() error {
	if i.close == nil {
		return nil
	}
	return i.close()
}

type transformer func(ctx context.Context, call *core.Call, in *core.Result) (*core.Result, error)

func (t transformer) Transform(ctx context.Context, call *core.Call, in *core.Result) (*core.Result, error) {
	return t(ctx, call, in)
}

// echoKind answers with what its config says.
var echoKind = core.Kind[core.Invoker]{
	Name: "echo",
	Schema: json.RawMessage(`{"type":"object","properties":{
		"connection":{"type":"string"},"text":{"type":"string"},"structured":{},"fail":{"enum":["go","tool","panic","nil","wait","hang"]},
		"problem":{"type":"string"},"limit":{"type":"integer","minimum":1,"maximum":10},"body":{"type":"object"}},"additionalProperties":false}`),
	New: func(_ context.Context, config json.RawMessage, env core.Env) (core.Invoker, error) {
		var c struct {
			Connection, Text, Fail, Problem string
			Structured                      json.RawMessage
		}
		if err := json.Unmarshal(config, &c); err != nil {
			return nil, err
		}
		switch c.Problem {
		case "panic":
			panic("a secret in a panic")
		case "plain":
			return nil, errors.New("plain error of a kind")
		case "error":
			return nil, &core.Error{Message: "error with a fix", Fix: "do this"}
		case "place":
			return nil, core.Problems{{Path: "/body/title", Message: "is no good", Fix: "do better"}, {Path: "/text", Message: "hm", Warning: true}}
		case "warning":
			return core.Func(func(context.Context, *core.Call) (*core.Result, error) { return core.TextResult("ok"), nil }),
				core.Problems{{Path: "/text", Message: "works, but", Warning: true}}
		case "nothing":
			return nil, nil
		case "connection":
			if env.Connections[c.Connection] == nil {
				return nil, errors.New("connection not given")
			}
		}
		return core.Func(func(ctx context.Context, call *core.Call) (*core.Result, error) {
			switch c.Fail {
			case "go":
				return nil, errors.New("broken inside")
			case "tool":
				return core.ErrorResult("it said no"), nil
			case "panic":
				panic("a secret in a panic")
			case "nil":
				return nil, nil
			case "wait":
				<-ctx.Done()
				return nil, ctx.Err()
			}
			r := core.TextResult(c.Text)
			r.Structured = c.Structured
			return r, nil
		}), nil
	},
}

// kindOf makes a kind whose invokers run f.
func kindOf(name string, f func(ctx context.Context, call *core.Call) (*core.Result, error)) core.Kind[core.Invoker] {
	return core.Kind[core.Invoker]{Name: name, New: func(context.Context, json.RawMessage, core.Env) (core.Invoker, error) {
		return core.Func(f), nil
	}}
}

func text(s string) *string { return &s }

func raw(s string) json.RawMessage { return json.RawMessage(s) }

// echoes is the KindConfig of an echo.
func echoes(config string) core.KindConfig { return core.KindConfig{Kind: "echo", Config: raw(config)} }

func testOptions() Options {
	k := plugKinds()
	k.Invokers = append([]core.Kind[core.Invoker]{echoKind}, k.Invokers...)
	return Options{Kinds: k, Plugins: &plugins{set: standardSet}}
}

// publish builds and publishes a config, and closes the gateway after the test.
func publish(t testing.TB, o Options, config core.Config) *Gateway {
	t.Helper()
	g := New(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	republish(t, g, config)
	return g
}

func republish(t testing.TB, g *Gateway, config core.Config) {
	t.Helper()
	c, problems := g.Build(context.Background(), config)
	if c == nil {
		t.Fatalf("build: %v", problems)
	}
	g.Publish(c)
}

// find returns the handler of a prefix, released after the test.
func find(t testing.TB, g *Gateway, prefix string) core.Handler {
	t.Helper()
	h := g.Find(prefix)
	if h == nil {
		t.Fatalf("no server at %q", prefix)
	}
	t.Cleanup(h.Release)
	return h
}

func oneTool(tool core.ToolConfig) core.Config {
	return core.Config{Servers: []core.ServerConfig{{Name: "shop", Tools: []core.ToolConfig{tool}}}}
}

// callTool calls a tool with arguments and expects no Go error.
func callTool(t testing.TB, h core.Handler, name, arguments string) *core.Result {
	t.Helper()
	r, err := h.CallTool(context.Background(), &core.Call{Tool: name, Arguments: raw(arguments)})
	if err != nil {
		t.Fatalf("call %s: %v", name, err)
	}
	return r
}

func textOf(r *core.Result) string {
	if r == nil || len(r.Content) == 0 {
		return ""
	}
	return r.Content[0].Text
}

// observer keeps the events.
type observer struct {
	core.NoObserver
	called func(core.CallEvent)
}

func (o observer) Called(e core.CallEvent) { o.called(e) }

// authorizer decides by a function.
type authorizer func(who core.Identity, do core.Action, on core.Object) bool

func (a authorizer) Authorize(_ context.Context, who core.Identity, do core.Action, on core.Object) error {
	if a(who, do, on) {
		return nil
	}
	return &core.Error{Code: core.CodeDenied, Message: "denied"}
}

// counter counts how often each of its closers was closed.
type counter struct{ opened, closed, twice atomic.Int64 }

func (c *counter) kind(name string, f func(ctx context.Context, call *core.Call) (*core.Result, error)) core.Kind[core.Invoker] {
	return core.Kind[core.Invoker]{Name: name, New: func(context.Context, json.RawMessage, core.Env) (core.Invoker, error) {
		c.opened.Add(1)
		var shut atomic.Bool
		return &invoker{
			invoke: func(ctx context.Context, call *core.Call) (*core.Result, error) {
				if shut.Load() {
					return nil, errors.New("used after close")
				}
				r, err := f(ctx, call)
				if shut.Load() {
					return nil, errors.New("closed during a call")
				}
				return r, err
			},
			close: func() error {
				if shut.Swap(true) {
					c.twice.Add(1)
				}
				c.closed.Add(1)
				return nil
			},
		}, nil
	}}
}
