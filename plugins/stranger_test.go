package plugins

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
	"github.com/sallyport/sallyport/plugins/hostcall"
	"github.com/sallyport/sallyport/plugins/manifest"
)

// What strangers say, do and break.

// A guest that is granted a secret repeats it wherever it may speak: the operator's log
// and the problems of documents have none of it.
func TestSecretsInWhatGuestsSay(t *testing.T) {
	const secret = "topsecretvalue"
	var log record
	logs := func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	grants := func(c *core.PluginConfig) {
		c.Secrets = map[string]core.Secret{"key": secret}
		c.Grants = &core.GrantsConfig{Secrets: []string{"key"}}
		c.Match = &core.MatchConfig{}
	}
	const asks = "capabilities: {secrets: [key]}"
	text := "GET /?key=" + secret
	invoker := invokerOf(t, single(t, newHost(t, logs), says(t, core.PluginInvoker, abi.Internal, text, asks), grants), "echo")
	if _, err := invoker.Invoke(t.Context(), call("{}")); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("internal: %v", err)
	}
	skips, err := single(t, newHost(t, logs), says(t, core.PluginResponseTransformer, abi.Unavailable, text, asks, "on_error: skip"), grants).Transformer()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := skips.Transform(t.Context(), call("{}"), core.TextResult("a")); err != nil {
		t.Errorf("skip: %v", err)
	}
	asked, err := single(t, newHost(t, logs), says(t, core.PluginAuthorizer, abi.Unavailable, text, asks), grants).CallAuthorizer()
	if err != nil {
		t.Fatal(err)
	}
	if err := asked.AuthorizeCall(t.Context(), call("{}")); err == nil || core.AsError(err).Code != core.CodeDenied || strings.Contains(core.AsError(err).Public(), secret) {
		t.Errorf("authorize: %v", err)
	}
	saying := func(export string, status abi.Status) *guests.Module {
		m := guests.New()
		m.Data(64, text)
		size := int32(len(text))
		m.Export(export, m.Func("ii", "l", "i", guests.Said(status, 64, size), guests.Const(8+size), guests.Answer(2)))
		return m.Export(abi.ToolCall, m.Func("ii", "l", "", guests.Fine()))
	}
	list, err := single(t, newHost(t, logs), carrying(t, saying(abi.ToolsList, abi.Unavailable).Bytes(), yaml("invoker, tool_catalogue", asks)), grants).Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := list.Tools(t.Context()); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("list: %v", err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.wasm"), carrying(t, saying(abi.Configure, abi.Denied).Bytes(), yaml("invoker", oneTool, asks)))
	c := core.PluginConfig{At: at(dir), Name: "p", Source: "p.wasm"}
	grants(&c)
	s, problems := newHost(t, logs).Open(t.Context(), []core.PluginConfig{c})
	defer s.Close()
	if got := strings.Join(words(problems), "\n"); !strings.Contains(got, "refuses its configuration: GET /?key=***") {
		t.Errorf("configure: %s", got)
	}
	if got := log.String(); strings.Contains(got, secret) || strings.Count(got, "key=***") < 4 {
		t.Errorf("the log:\n%s", got)
	}
}

type panics struct{}

func (panics) RoundTrip(*http.Request) (*http.Response, error) { panic("a secret of his") }

// A panic over what a stranger made ends the loading of that plugin, and not the gateway.
func TestPanicWhileLoading(t *testing.T) {
	var log record
	h := newHost(t, func(o *Options) {
		o.Registry.Transport, o.Log = panics{}, slog.New(slog.NewTextHandler(&log, nil))
	})
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.wasm"), echo(t))
	s, problems := h.Open(t.Context(), []core.PluginConfig{
		{At: at(dir), Name: "bad", Source: "oci://registry.example.com/a/b:1"}, {At: at(dir), Name: "p", Source: "p.wasm"},
	})
	defer s.Close()
	if got := words(problems); len(got) != 1 || !strings.HasPrefix(got[0], "error /plugins/0/source: the plugin made the gateway stumble") {
		t.Errorf("got %v", got)
	}
	if p, err := s.Plugin("p"); err != nil || !p.Has(core.PluginInvoker) {
		t.Errorf("the other one: %v", err)
	}
	if strings.Contains(log.String(), "a secret") || !strings.Contains(log.String(), "a value of type string") {
		t.Errorf("the log: %s", log.String())
	}
	h.mu.Lock()
	h.tags["oci://registry.example.com/a/b:1"] = "sha256:0"
	h.mu.Unlock()
	if h.poll(t.Context()) {
		t.Error("a tag moved")
	}
}

// People decide about a tool by its texts, so nothing may stand there that they do not see.
func TestTextsAreVisible(t *testing.T) {
	store := listStore{hostcall.NewMemory(time.Now), t}
	h := newHost(t, func(o *Options) { o.KV = store })
	store.set("{\"tools\":[{\"name\":\"a\",\"title\":\"ti\u202etle\\u001b[31m\",\"description\":\"a\u200bb\U000e0041\U000e0042c\\nd\u2028e\ufeff \u00e9\u200d\u0661\",\"annotations\":{\"title\":\"x\u2066y\"}," +
		"\"inputSchema\":{\"type\":\"object\",\"properties\":{\"description\":{\"description\":\"e\u00ad\u3164f\",\"const\":\"v\u200b\"}}},\"outputSchema\":{\"type\":\"object\",\"x\": 1.50}}]}")
	c, err := single(t, h, lister(t), grantsKV).Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	tools, err := c.Tools(t.Context())
	if err != nil || len(tools) != 1 {
		t.Fatal(tools, err)
	}
	got := tools[0]
	if got.Title != "title[31m" || got.Description != "abc\nd\ne \u00e9\u200d\u0661" || string(got.Annotations) != `{"title":"xy"}` {
		t.Errorf("%+q", got)
	}
	if want := "{\"properties\":{\"description\":{\"const\":\"v\u200b\",\"description\":\"ef\"}},\"type\":\"object\"}"; string(got.InputSchema) != want {
		t.Errorf("%s, want %s", got.InputSchema, want)
	}
	if string(got.OutputSchema) != `{"type":"object","x": 1.50}` {
		t.Errorf("what has nothing to hide changed: %s", got.OutputSchema)
	}
}

// looped answers calls of tools with the plugin itself.
type looped struct {
	core.Handler
	invoker core.Invoker
	calls   atomic.Int64
}

func (l *looped) CallTool(ctx context.Context, c *core.Call) (*core.Result, error) {
	l.calls.Add(1)
	c.Inside = l
	return l.invoker.Invoke(ctx, c)
}

// A plugin that calls itself 64 times, three deep, is stopped long before a quarter of a
// million calls.
func TestPluginThatCallsItself(t *testing.T) {
	var tool uint32
	m := guests.New(func(m *guests.Module) { tool = m.Import(abi.Module, abi.CallTool, "ii", "l") })
	ask := string(abi.AppendIn(nil, []abi.Pair{{Key: abi.CallToolTool, Value: "echo"}}, []byte("{}")))
	m.Data(64, ask)
	m.Data(512, `{"content":[]}`)
	m.Export(manifest.Invoker.Export(), m.Func("ii", "l", "ii",
		guests.Loop(
			guests.Const(64), guests.Const(int32(len(ask))), guests.Call(tool), guests.Op(guests.Drop),
			guests.Get(3), guests.Const(1), guests.Op(guests.Add), guests.Tee(3), guests.Const(64), guests.Op(guests.Sub), guests.BranchIf(0),
		),
		guests.Said(abi.OK, 512, 14), guests.Const(22), guests.Answer(2)))
	p := single(t, newHost(t, nil), carrying(t, m.Bytes(), yaml("invoker", oneTool, "capabilities: {call_tool: [echo]}")), func(c *core.PluginConfig) {
		c.Grants = &core.GrantsConfig{CallTool: []string{"*"}}
		c.Limits = &core.PluginLimitsConfig{Instances: 8}
	})
	l := &looped{invoker: invokerOf(t, p, "echo")}
	for range 2 {
		l.calls.Store(0)
		c := call("{}")
		c.Inside = l
		if _, err := l.invoker.Invoke(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if n := l.calls.Load(); n < 64 || n > 600 {
			t.Errorf("%d calls", n)
		}
	}
}
