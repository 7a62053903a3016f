package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

func messagesOf(problems []core.Problem) string {
	lines := make([]string, len(problems))
	for i, p := range problems {
		if p.Warning {
			lines[i] = "warning: "
		}
		lines[i] += p.Path + ": " + p.Message
		if p.Fix != "" {
			lines[i] += "; " + p.Fix
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// built builds a Config, and closes what came of it.
func built(t *testing.T, o Options, config core.Config) (ok bool, problems []core.Problem) {
	t.Helper()
	c, problems := Build(context.Background(), config, o)
	if c != nil {
		c.Close()
	}
	return c != nil, problems
}

// What Open says stands among the problems, and is not said again by whatever names a
// plugin that did not load.
func TestProblemsOfPlugins(t *testing.T) {
	config := oneTool(core.ToolConfig{Name: "t", Invoker: plugs(`{"plugin":"bad"}`), Authorizers: []core.KindConfig{plugs(`{"plugin":"bad"}`)}})
	config.Plugins = []core.PluginConfig{{Name: "bad", Source: "bad.wasm"}, {Name: "idle", Source: "idle.wasm"}, {Name: "asleep", Disabled: true}, {Name: "wide", Match: &core.MatchConfig{}}}
	mistake := core.Problem{Path: "/plugins/0/source", Message: "is no module", Fix: "build it"}
	warning := core.Problem{Path: "/plugins/1", Message: "is not signed", Warning: true}
	open := func(problems ...core.Problem) *plugins {
		return &plugins{set: func(context.Context, []core.PluginConfig) (core.PluginSet, []core.Problem) {
			return &pluginSet{broken: map[string]error{"bad": fmt.Errorf("open: %w", core.ErrReported)}}, problems
		}}
	}
	const idle = "\nwarning: /plugins/1/name: plugin \"idle\" is not used; remove it, name it in a tool, or say by match which tools it stands before and behind"
	o := testOptions()
	o.Plugins = open(mistake, warning)
	ok, problems := built(t, o, config)
	if got, want := messagesOf(problems), "/plugins/0/source: is no module; build it"+idle+"\nwarning: /plugins/1: is not signed"; ok || got != want {
		t.Errorf("accepted: %v\ngot\n%s\nwant\n%s", ok, got, want)
	}
	// Nobody can be left without what runs or guards a tool, even if Open is silent.
	o.Plugins = open(warning)
	ok, problems = built(t, o, config)
	if got := messagesOf(problems); ok || !strings.Contains(got, "/servers/0/tools/0/authorizers/0/config: what this names cannot be used; see the warnings") {
		t.Errorf("accepted: %v\n%s", ok, got)
	}
	o.Plugins = nil
	ok, problems = built(t, o, config)
	if got := messagesOf(problems); ok || !strings.Contains(got, "/plugins/0: this gateway has no plugins; remove the plugin, and what names it") {
		t.Errorf("accepted: %v\n%s", ok, got)
	}
	o.Plugins = &plugins{set: func(context.Context, []core.PluginConfig) (core.PluginSet, []core.Problem) { return nil, nil }}
	if ok, problems = built(t, o, core.Config{Plugins: config.Plugins}); ok || len(problems) == 0 {
		t.Errorf("no set and no problem: accepted: %v %v", ok, problems)
	}
	o.Plugins = &plugins{set: func(context.Context, []core.PluginConfig) (core.PluginSet, []core.Problem) {
		panic("a secret in a panic")
	}}
	if ok, problems = built(t, o, core.Config{Plugins: config.Plugins}); ok || !strings.Contains(messagesOf(problems), "stumble") || strings.Contains(messagesOf(problems), "secret") {
		t.Errorf("a panic: accepted: %v %v", ok, problems)
	}
	config.Plugins = make([]core.PluginConfig, 257)
	if ok, problems = built(t, testOptions(), config); ok || messagesOf(problems) != "/plugins: there are 257 plugins; at most 256" {
		t.Errorf("too many: %v %v", ok, problems)
	}
}

// Open is asked once, with each plugin once and with its place; documents without
// plugins get an empty set.
func TestOpenIsAsked(t *testing.T) {
	p := &plugins{set: standardSet}
	o := testOptions()
	o.Plugins = p
	if ok, problems := built(t, o, good(t)); !ok || len(problems) > 0 {
		t.Fatal(problems)
	}
	seen := *p.lastSeen.Load()
	if p.opened.Load() != 1 || len(seen) != 2 || seen[0].Name != "guard" || seen[1].Path != "/plugins/1" {
		t.Errorf("opened %d times with %+v", p.opened.Load(), seen)
	}
	config := good(t)
	config.Plugins = append(config.Plugins, config.Plugins[0])
	if ok, _ := built(t, o, config); ok || len(*p.lastSeen.Load()) != 2 {
		t.Errorf("twice the same: accepted %v, opened %+v", ok, *p.lastSeen.Load())
	}
	if ok, problems := built(t, o, core.Config{}); !ok || len(*p.lastSeen.Load()) != 0 {
		t.Errorf("no plugins: %v %v", ok, problems)
	}
}

// A plugin that matches a tool and cannot stand there is a mistake: without it, what it
// guards would be open. That holds for the tools of catalogues too.
func TestMatchingPluginThatFails(t *testing.T) {
	broken := func(err error) *plugins {
		return setOf(
			&plugin{name: "guard", match: &core.MatchConfig{}, cannotBe: map[core.PluginKind]error{core.PluginAuthorizer: err}},
			&plugin{name: "list", list: func(context.Context) ([]core.ToolConfig, error) {
				return []core.ToolConfig{{Name: "a"}, {Name: "b"}}, nil
			}},
		)
	}
	catalogue := core.Config{Servers: []core.ServerConfig{{Name: "shop", Catalogues: []core.CatalogueConfig{{Kind: "plug", Config: raw(`{"plugin":"list"}`)}}}}}
	tools := core.Config{Servers: []core.ServerConfig{{Name: "shop", Tools: []core.ToolConfig{{Name: "a", Invoker: echoes(`{}`)}, {Name: "b", Invoker: echoes(`{}`)}}}}}
	for name, config := range map[string]core.Config{"tools": tools, "catalogue": catalogue} {
		config.Plugins = []core.PluginConfig{{Name: "guard", Source: "x", Match: &core.MatchConfig{}}, {Name: "list", Source: "y", Match: &core.MatchConfig{}}}
		for _, err := range []error{&core.Error{Message: "it has no such export", Fix: "add it"}, errors.New("plain"), core.ErrReported} {
			o := testOptions()
			o.Plugins = broken(err)
			ok, problems := built(t, o, config)
			want := `/plugins/0/match: plugin "guard" cannot be used as authorizer: ` + because(err)[2:] + "; mend it, or remove match"
			if ok || messagesOf(problems) != want {
				t.Errorf("%s, %v: accepted: %v\n%s\nwant\n%s", name, err, ok, messagesOf(problems), want)
			}
		}
	}
}

// The set is closed after everything that uses it, and after the last call of its
// Catalog; also when no Catalog came to be.
func TestSetIsClosedLast(t *testing.T) {
	var order []string
	o := testOptions()
	o.Plugins = &plugins{set: func(context.Context, []core.PluginConfig) (core.PluginSet, []core.Problem) {
		return &pluginSet{close: func() error { order = append(order, "set"); return nil }}, nil
	}}
	hold, held := make(chan struct{}), make(chan struct{})
	o.Kinds.Invokers = append(o.Kinds.Invokers, core.Kind[core.Invoker]{Name: "closing", New: func(context.Context, json.RawMessage, core.Env) (core.Invoker, error) {
		return &invoker{
			invoke: func(context.Context, *core.Call) (*core.Result, error) {
				close(held)
				<-hold
				return core.TextResult("ok"), nil
			},
			close: func() error { order = append(order, "invoker"); return nil },
		}, nil
	}})
	g := New(o)
	republish(t, g, oneTool(core.ToolConfig{Name: "t", Invoker: core.KindConfig{Kind: "closing"}}))
	first := g.current.Load()
	h := g.Find("shop")
	done := make(chan struct{})
	go func() {
		defer close(done)
		callTool(t, h, "t", `{}`)
		h.Release()
	}()
	<-held
	republish(t, g, core.Config{})
	select {
	case <-first.closed:
		t.Error("closed during a call")
	case <-time.After(20 * time.Millisecond):
	}
	close(hold)
	<-done
	<-first.closed
	if strings.Join(order, " ") != "invoker set" {
		t.Errorf("closed in the order %v", order)
	}
	if c, _ := g.Build(context.Background(), oneTool(core.ToolConfig{})); c != nil || len(order) != 3 {
		t.Errorf("refused: closed %v", order)
	}
	if err := g.Close(context.Background()); err != nil || len(order) != 4 {
		t.Errorf("%v, closed %v", err, order)
	}
}

// The files of plugins are known also of a Build that was refused: mending one is what
// the next Build waits for.
func TestPluginFiles(t *testing.T) {
	var files atomic.Pointer[[]string]
	fail := false
	o := testOptions()
	o.Plugins = &plugins{set: func(context.Context, []core.PluginConfig) (core.PluginSet, []core.Problem) {
		set := &pluginSet{files: *files.Load()}
		if fail {
			return set, []core.Problem{{Message: "no good"}}
		}
		return set, nil
	}}
	g := New(o)
	if got := g.PluginFiles(); got != nil {
		t.Errorf("before any build: %v", got)
	}
	files.Store(&[]string{"/a.wasm", "/a.yaml"})
	c, problems := g.Build(context.Background(), core.Config{})
	if c == nil || !slices.Equal(c.PluginFiles(), *files.Load()) || !slices.Equal(g.PluginFiles(), *files.Load()) {
		t.Fatal(problems, g.PluginFiles())
	}
	c.PluginFiles()[0] = "changed"
	if c.PluginFiles()[0] != "/a.wasm" {
		t.Error("the list is shared")
	}
	c.Close()
	fail = true
	files.Store(&[]string{"/b.wasm"})
	if c, _ := g.Build(context.Background(), core.Config{}); c != nil || !slices.Equal(g.PluginFiles(), []string{"/b.wasm"}) {
		t.Error(c, g.PluginFiles())
	}
}

// What the kind of an invoker knows of a tool fills in what the document leaves out,
// and is checked like it.
func TestKindKnowsTheTool(t *testing.T) {
	known := core.ToolConfig{
		Name: "weather.lookup", Title: "Weather", Description: "Looks up the weather.",
		InputSchema:  raw(`{"type": "object", "required": ["city"]}`),
		OutputSchema: raw(`{"type": "object", "required": ["temp"]}`),
		Annotations:  raw(`{"readOnlyHint": true}`), Meta: raw(`{"example.com/x":1}`), Timeout: "1s",
	}
	var declared core.Declares
	weather := &plugin{
		name: "weather", tools: []core.ToolConfig{known},
		invoke: func(context.Context, *core.Call) (*core.Result, error) { return core.TextResult("ok"), nil },
	}
	o := testOptions()
	o.Plugins = setOf(weather)
	for i := range o.Kinds.Invokers {
		inner := o.Kinds.Invokers[i].New
		o.Kinds.Invokers[i].New = func(ctx context.Context, config json.RawMessage, env core.Env) (core.Invoker, error) {
			declared = env.Declares
			return inner(ctx, config, env)
		}
	}
	invoker := plugs(`{"plugin":"weather"}`)
	h := find(t, publish(t, o, core.Config{Servers: []core.ServerConfig{{Name: "shop", Tools: []core.ToolConfig{
		{Name: "own", Title: "T", Description: "D", InputSchema: raw(`{"type":"object"}`), OutputSchema: raw(`{"type":"array"}`), Annotations: raw(`{"idempotentHint":true}`), Invoker: invoker},
		{Name: "all", Invoker: invoker},
	}}}}), "shop")
	got := h.Tool(context.Background(), core.Identity{}, "all")
	if got.Name != "all" || got.Title != "Weather" || got.Description != known.Description || string(got.InputSchema) != `{"type":"object","required":["city"]}` ||
		string(got.OutputSchema) != `{"type":"object","required":["temp"]}` || string(got.Annotations) != `{"readOnlyHint":true}` || got.Meta != nil {
		t.Errorf("got %+v", got)
	}
	if !declared.ReadOnly || string(declared.InputSchema) != string(got.InputSchema) {
		t.Errorf("the kind is told %+v", declared)
	}
	if r := callTool(t, h, "all", `{}`); !r.Mismatch {
		t.Errorf("the schema of the plugin does not count: %+v", r)
	}
	own := h.Tool(context.Background(), core.Identity{}, "own")
	if own.Title != "T" || own.Description != "D" || string(own.InputSchema) != `{"type":"object"}` || string(own.OutputSchema) != `{"type":"array"}` || string(own.Annotations) != `{"idempotentHint":true}` {
		t.Errorf("the document does not win: %+v", own)
	}

	weather.tools[0].InputSchema = raw(`{"type":"strng"}`)
	if ok, problems := built(t, o, oneTool(core.ToolConfig{Name: "t", Invoker: invoker})); ok || !strings.Contains(messagesOf(problems), `/servers/0/tools/0/inputSchema/type: "strng"`) {
		t.Errorf("accepted: %v %s", ok, messagesOf(problems))
	}
	o.Kinds.Invokers = []core.Kind[core.Invoker]{{Name: "plug", New: noop.New, Tool: func(json.RawMessage, core.Env) *core.ToolConfig { panic("a secret in a panic") }}}
	if ok, problems := built(t, o, oneTool(core.ToolConfig{Name: "t", Invoker: invoker})); ok || messagesOf(problems) != "/servers/0/tools/0/invoker/config: kind plug stumbled over this config: a value of type string" {
		t.Errorf("accepted: %v %s", ok, messagesOf(problems))
	}
}

// The revision changes with everything that plugins are told, but with no secret.
func TestRevisionOfPlugins(t *testing.T) {
	revision := func(change func(*core.PluginConfig)) string {
		config := good(t)
		change(&config.Plugins[0])
		return revisionOf(&config, nil, nil)
	}
	same := revision(func(*core.PluginConfig) {})
	if revision(func(p *core.PluginConfig) { p.Secrets = map[string]core.Secret{"key": "another"} }) != same {
		t.Error("the revision helps to guess a secret")
	}
	for name, change := range map[string]func(*core.PluginConfig){
		"config": func(p *core.PluginConfig) { p.Config = raw(`{"level":2}`) }, "source": func(p *core.PluginConfig) { p.Source = "y" },
		"grants": func(p *core.PluginConfig) { p.Grants = nil }, "priority": func(p *core.PluginConfig) { p.Priority = 4 }, "match": func(p *core.PluginConfig) { p.Match = nil },
	} {
		if revision(change) == same {
			t.Errorf("the revision is the same with another %s", name)
		}
	}
	config := good(t)
	if a, b := revisionOf(&config, &pluginSet{revision: "a"}, nil), revisionOf(&config, &pluginSet{revision: "b"}, nil); a == b || a == same {
		t.Error("the revision is the same with another version of a plugin")
	}
	before := sizeOf(&config)
	config.Plugins[0].Config = raw(`"` + strings.Repeat("x", 1000) + `"`)
	config.Plugins[0].Secrets["key"] = core.Secret(strings.Repeat("x", 1000))
	toolIn(&config).Authorizers[0].Config = raw(`"` + strings.Repeat("x", 1000) + `"`)
	toolIn(&config).Requests[0].Config = raw(`"` + strings.Repeat("x", 1000) + `"`)
	config.Servers[0].Catalogues[0].Config = raw(`"` + strings.Repeat("x", 1000) + `"`)
	if got := sizeOf(&config); got < before+4900 {
		t.Errorf("%d bytes, then %d", before, got)
	}
}

// Secrets of plugins are in no log and no problem.
func TestSecretsOfPluginsStayHidden(t *testing.T) {
	var log bytes.Buffer
	o := testOptions()
	o.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	config := good(t)
	toolIn(&config).Invoker = plugs(`{"plugin":"nobody"}`)
	_, problems := built(t, o, config)
	if text := messagesOf(problems) + log.String(); strings.Contains(text, "canary") || !strings.Contains(text, "nobody") {
		t.Error(text)
	}
}

// A plugin that matches no tool guards none: a letter that is missing in match must not
// pass in silence. Neither must one that is disabled.
func TestMatchesNothing(t *testing.T) {
	guard := &plugin{name: "guard", match: &core.MatchConfig{Tools: []string{"delte_*"}}, ask: func(context.Context, *core.Call) error { return nil }}
	o := testOptions()
	o.Plugins = &plugins{set: func(context.Context, []core.PluginConfig) (core.PluginSet, []core.Problem) {
		return &pluginSet{all: []*plugin{guard}}, nil
	}}
	config := oneTool(core.ToolConfig{Name: "delete_all", Invoker: echoes(`{}`)})
	config.Plugins = []core.PluginConfig{{Name: "guard", Match: guard.match}}
	ok, problems := built(t, o, config)
	if got := messagesOf(problems); !ok || !strings.HasPrefix(got, `warning: /plugins/0/match: plugin "guard" matches no tool, and stands nowhere; compare`) {
		t.Errorf("accepted: %v\n%s", ok, got)
	}
	// Being named elsewhere does not make the match right.
	config.Servers[0].Tools[0].Authorizers = []core.KindConfig{plugs(`{"plugin":"guard"}`)}
	if _, problems = built(t, o, config); !strings.Contains(messagesOf(problems), "matches no tool") {
		t.Errorf("named too: %s", messagesOf(problems))
	}
	guard.match.Tools[0] = "delete_*"
	if ok, problems = built(t, o, config); !ok || len(problems) > 0 {
		t.Errorf("it matches: %v %s", ok, messagesOf(problems))
	}
	guard.match = nil // as plugins does with one that is disabled
	config.Servers[0].Tools[0].Authorizers = nil
	config.Plugins[0].Disabled = true
	ok, problems = built(t, o, config)
	if got := messagesOf(problems); !ok || !strings.HasPrefix(got, `warning: /plugins/0/disabled: plugin "guard" is disabled: the tools that it matches are called without it; remove disabled`) {
		t.Errorf("accepted: %v\n%s", ok, got)
	}
}
