package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/sallyport/sallyport/core"
)

// capture keeps the spans that it is given.
type capture struct {
	mu    sync.Mutex
	spans []sdktrace.ReadOnlySpan
}

func (c *capture) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans = append(c.spans, spans...)
	return nil
}

func (c *capture) Shutdown(context.Context) error { return nil }

func (c *capture) byName(t *testing.T, tel *Telemetry) map[string]sdktrace.ReadOnlySpan {
	t.Helper()
	if err := tel.traces.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string]sdktrace.ReadOnlySpan{}
	for _, span := range c.spans {
		found[span.Name()] = span
	}
	return found
}

// closing is an invoker and a transformer that counts Close.
type closing struct {
	invoke func(ctx context.Context, call *core.Call) (*core.Result, error)
	closed *int
}

func (c closing) Invoke(ctx context.Context, call *core.Call) (*core.Result, error) {
	return c.invoke(ctx, call)
}

func (c closing) Transform(context.Context, *core.Call, *core.Result) (*core.Result, error) {
	return core.ErrorResult("bad"), nil
}

func (c closing) Close() error { *c.closed++; return nil }

func kindsOf(c closing) ([]core.Kind[core.Invoker], []core.Kind[core.Transformer]) {
	test := core.Kind[core.Invoker]{
		Name: "test", Summary: "s", Schema: json.RawMessage(`{}`),
		New: func(context.Context, json.RawMessage, core.Env) (core.Invoker, error) { return c, nil },
	}
	broken := core.Kind[core.Invoker]{
		Name: "broken",
		New: func(context.Context, json.RawMessage, core.Env) (core.Invoker, error) {
			return nil, errors.New("no")
		},
	}
	turn := core.Kind[core.Transformer]{
		Name: "turn",
		New:  func(context.Context, json.RawMessage, core.Env) (core.Transformer, error) { return c, nil },
	}
	return []core.Kind[core.Invoker]{test, broken}, []core.Kind[core.Transformer]{turn}
}

// handler is a core.Handler of one tool; it runs what the kinds made.
type handler struct {
	core.Handler
	invoker     core.Invoker
	transformer core.Transformer
}

func (h handler) Server() *core.Server { return &core.Server{Name: "bookshop"} }

func (h handler) Tool(_ context.Context, _ core.Identity, name string) *core.Tool {
	if name == "search" {
		return &core.Tool{Name: name}
	}
	return nil
}

func (h handler) CallTool(ctx context.Context, call *core.Call) (*core.Result, error) {
	result, err := h.invoker.Invoke(ctx, call)
	if err != nil {
		return nil, err
	}
	return h.transformer.Transform(ctx, call, result)
}

func (h handler) GetPrompt(context.Context, *core.Call) (*core.Result, error) {
	return core.TextResult("prompt"), nil
}

func (h handler) ReadResource(context.Context, *core.Call) (*core.Result, error) {
	return nil, &core.Error{Code: core.CodeResource, Message: "CANARY"}
}

type finder struct{ core.Handler }

func (f finder) Find(prefix string) core.Handler {
	if prefix == "bookshop" {
		return f.Handler
	}
	return nil
}

func build(t *testing.T, tel *Telemetry, c closing) Finder {
	t.Helper()
	invokers, transformers := kindsOf(c)
	invokers, transformers = tel.Invokers(invokers), tel.Transformers(transformers)
	if invokers[0].Name != "test" || invokers[0].Summary != "s" || string(invokers[0].Schema) != `{}` {
		t.Errorf("the kind changed: %+v", invokers[0])
	}
	if one, err := invokers[1].New(t.Context(), nil, core.Env{}); err == nil || one != nil {
		t.Errorf("the error of New got lost: %v, %v", one, err)
	}
	invoker, err := invokers[0].New(t.Context(), nil, core.Env{})
	if err != nil {
		t.Fatal(err)
	}
	transformer, err := transformers[0].New(t.Context(), nil, core.Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(invoker.(core.Closer).Close(), transformer.(core.Closer).Close()); err != nil || *c.closed != 2 {
			t.Errorf("closed %d of 2, %v", *c.closed, err)
		}
	})
	return tel.Traced(finder{handler{invoker: invoker, transformer: transformer}})
}

func TestSpans(t *testing.T) {
	spans := &capture{}
	tel, _ := start(t, Options{exporter: spans, Version: "1"})
	var fields []core.Field
	servers := build(t, tel, closing{closed: new(int), invoke: func(ctx context.Context, _ *core.Call) (*core.Result, error) {
		fields = tel.Propagate(ctx)
		return core.TextResult("fine CANARY"), nil
	}})
	if servers.Find("other") != nil {
		t.Error("a handler out of nothing")
	}
	h := servers.Find("bookshop")
	call := &core.Call{
		Server: "bookshop", Tool: "search", For: core.Object{Kind: "tool", Server: "bookshop", Name: "search"}, Arguments: json.RawMessage(`{"q":"CANARY"}`), Client: core.Client{Revision: "2026-07-28"},
		Meta: json.RawMessage(`{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=b"}`),
	}
	if _, err := h.CallTool(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	_, span := traceOf{tel.tracer, "invoke resource"}.start(t.Context(), &core.Call{Tool: "test://CANARY", For: core.Object{Kind: "resource"}})
	span.End()
	if _, err := h.ReadResource(t.Context(), &core.Call{Tool: "test://CANARY"}); err == nil {
		t.Error("the error got lost")
	}
	if _, err := h.GetPrompt(t.Context(), &core.Call{Tool: "p"}); err != nil {
		t.Error(err)
	}

	found := spans.byName(t, tel)
	if len(found) != 6 {
		t.Fatalf("%d spans: %v", len(found), found)
	}
	root, invoke, transform, read := found["tools/call search"], found["invoke test"], found["transform turn"], found["resources/read"]
	if root == nil || invoke == nil || transform == nil || read == nil {
		t.Fatalf("spans %v", found)
	}
	if got := root.SpanContext().TraceID().String(); got != "0af7651916cd43dd8448eb211c80319c" || root.Parent().SpanID().String() != "b7ad6b7169203331" || !root.Parent().IsRemote() {
		t.Errorf("the client's trace is not the parent: %s under %s", got, root.Parent().SpanID())
	}
	for _, child := range []sdktrace.ReadOnlySpan{invoke, transform} {
		if child.Parent().SpanID() != root.SpanContext().SpanID() {
			t.Errorf("%s is not below the call", child.Name())
		}
	}
	if invoke.Status().Code.String() != "Unset" || transform.Status().Description != "tool_error" || root.Status().Description != "tool_error" || read.Status().Description != "no_resource" {
		t.Errorf("outcomes: %v %v %v %v", invoke.Status(), transform.Status(), root.Status(), read.Status())
	}
	want := "00-0af7651916cd43dd8448eb211c80319c-" + invoke.SpanContext().SpanID().String() + "-01"
	if len(fields) != 2 || fields[0] != (core.Field{Name: "traceparent", Value: want}) || fields[1] != (core.Field{Name: "tracestate", Value: "a=b"}) {
		t.Errorf("what goes upstream: %v, want %s", fields, want)
	}
	for _, span := range found {
		if strings.Contains(fmt.Sprint(span.Attributes(), span.Events(), span.Status(), span.Name()), "CANARY") {
			t.Errorf("%s holds what the client sent", span.Name())
		}
	}
}

// Without a Finder around, each span finds its parent itself; and bad contexts
// are ignored.
func TestParent(t *testing.T) {
	good := `"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"`
	for meta, valid := range map[string]bool{
		`{"traceparent":` + good + `}`:                          true,
		`{"traceparent":` + good + `,"tracestate":7}`:           true,
		`{"traceparent":"00-nonsense"}`:                         false,
		`{"traceparent":7}`:                                     false,
		`{"Traceparent":` + good + `}`:                          false,
		`{"x":{"traceparent":` + good + `}}`:                    false,
		`{"traceparent":"` + strings.Repeat("0", 10_000) + `"}`: false,
		``:   false,
		`[]`: false,
	} {
		ctx := parent(t.Context(), json.RawMessage(meta))
		spans := &capture{}
		tel, _ := start(t, Options{exporter: spans})
		_, span := traceOf{tel.tracer, "x"}.start(ctx, &core.Call{})
		span.End()
		got := spans.byName(t, tel)["x"].SpanContext().TraceID().String() == "0af7651916cd43dd8448eb211c80319c"
		if got != valid {
			t.Errorf("%s: parent taken: %t", meta, got)
		}
	}
}

func TestNoTracesCostNothing(t *testing.T) {
	tel, _ := start(t, Options{})
	c := closing{closed: new(int)}
	invokers, transformers := kindsOf(c)
	if got := tel.Invokers(invokers); &got[0] != &invokers[0] {
		t.Error("the kinds were wrapped")
	}
	if got := tel.Transformers(transformers); &got[0] != &transformers[0] {
		t.Error("the kinds were wrapped")
	}
	f := finder{}
	if got := tel.Traced(f); got != Finder(f) {
		t.Error("the finder was wrapped")
	}
	if got := tel.Propagate(t.Context()); got != nil {
		t.Errorf("propagates %v", got)
	}
}

func TestOTLP(t *testing.T) {
	type seen struct {
		path string
		body []byte
	}
	got := make(chan seen, 4)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- seen{r.URL.Path, body}
	}))
	defer collector.Close()
	tel, _ := start(t, Options{Endpoint: collector.URL + "/"})
	servers := build(t, tel, closing{closed: new(int), invoke: func(context.Context, *core.Call) (*core.Result, error) {
		return core.TextResult("CANARY"), nil
	}})
	if _, err := servers.Find("bookshop").CallTool(t.Context(), &core.Call{Tool: "search", Arguments: json.RawMessage(`"CANARY"`)}); err != nil {
		t.Fatal(err)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	one := <-got
	if one.path != "/v1/traces" || !strings.Contains(string(one.body), "tools/call search") || strings.Contains(string(one.body), "CANARY") {
		t.Errorf("to %s came %q", one.path, one.body)
	}
	http.DefaultClient.CloseIdleConnections()
}

type frugal struct{ closing }

func (frugal) NeedsValues() bool { return false }

// A trace around an invoker or transformer changes nothing of what it needs.
func TestNeedsArePassedOn(t *testing.T) {
	for _, row := range []struct {
		name  string
		inner interface {
			core.Invoker
			core.Transformer
		}
		needs bool
	}{
		{"says nothing", closing{}, true},
		{"needs none", frugal{}, false},
	} {
		if got := (tracedInvoker{Invoker: row.inner}).NeedsValues(); got != row.needs {
			t.Errorf("invoker that %s: %v", row.name, got)
		}
		if got := (tracedTransformer{Transformer: row.inner}).NeedsValues(); got != row.needs {
			t.Errorf("transformer that %s: %v", row.name, got)
		}
	}
}
