package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/core"
)

// lists is a plugin that lists these tools.
func lists(name string, tools ...core.ToolConfig) *plugin {
	return &plugin{name: name, list: func(context.Context) ([]core.ToolConfig, error) { return tools, nil }}
}

func catalogueOf(plugin, prefix string) core.CatalogueConfig {
	return core.CatalogueConfig{Kind: "plug", Config: raw(`{"plugin":"` + plugin + `"}`), Prefix: prefix}
}

func toolNames(t *testing.T, h core.Handler) (names []string) {
	t.Helper()
	page, err := h.ListTools(context.Background(), core.Identity{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range page.Items {
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	return names
}

// The tools of a catalogue are tools of the server: checked, authorized, transformed.
func TestCatalogue(t *testing.T) {
	var r trail
	o := testOptions()
	listing := lists("weather",
		core.ToolConfig{
			Name: "now", Title: "Now", Description: "The weather.", InputSchema: raw(`{"type": "object", "required": ["city"]}`),
			OutputSchema: raw(`{"type":"object"}`), Annotations: raw(`{"readOnlyHint":true}`),
			Meta: raw(`{"example.com/x":1}`), Icons: raw(`[{"src":"https://evil.example/i.png"}]`), Timeout: "5m", Invoker: echoes(`{}`),
		},
		core.ToolConfig{Name: "later"},
	)
	listing.invoke = func(ctx context.Context, call *core.Call) (*core.Result, error) {
		deadline, _ := ctx.Deadline()
		r.steps = append(r.steps, "invoke "+call.Tool+" "+time.Until(deadline).Round(time.Second).String())
		result := core.TextResult("sun")
		result.Structured = raw(`{}`)
		return result, nil
	}
	o.Plugins = setOf(listing, r.plugin("around", &core.MatchConfig{Tools: []string{"weather.*"}}))
	c := catalogueOf("weather", "weather.")
	c.Timeout = "3s"
	h := find(t, publish(t, o, core.Config{Servers: []core.ServerConfig{{Name: "shop", Tools: []core.ToolConfig{{Name: "own", Invoker: echoes(`{}`)}}, Catalogues: []core.CatalogueConfig{c}}}}), "shop")
	if got := toolNames(t, h); !slices.Equal(got, []string{"own", "weather.later", "weather.now"}) {
		t.Errorf("tools %v", got)
	}
	tool := h.Tool(context.Background(), core.Identity{}, "weather.now")
	if tool.Title != "Now" || tool.Description != "The weather." || string(tool.InputSchema) != `{"type":"object","required":["city"]}` || string(tool.OutputSchema) != `{"type":"object"}` ||
		string(tool.Annotations) != `{"readOnlyHint":true}` || tool.Meta != nil || tool.Icons != nil {
		t.Errorf("tool %+v", tool)
	}
	if got := callTool(t, h, "weather.now", `{}`); !got.Mismatch || len(r.steps) != 0 {
		t.Errorf("the schema does not count: %+v %v", got, r.steps)
	}
	if got := callTool(t, h, "weather.now", `{"city":"Oslo"}`); textOf(got) != "sun" {
		t.Errorf("got %+v", got)
	}
	if got, want := strings.Join(r.steps, ", "), "ask around, before around, invoke weather.now 3s, after around"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	callTool(t, h, "own", `{}`)
	if len(r.steps) != 4 {
		t.Errorf("what matches other tools is asked: %v", r.steps)
	}
}

// What is wrong with tools that a catalogue lists is a warning at the catalogue, and
// takes no other tool with it.
func TestCatalogueWarnings(t *testing.T) {
	const path = "warning: /servers/0/catalogues/0: "
	many := make([]core.ToolConfig, 8)
	for i := range many {
		many[i].Name = fmt.Sprintf("m%d", i)
	}
	for _, row := range []struct {
		name  string
		tools []core.ToolConfig
		err   error
		want  string
		there []string
	}{
		{"good", []core.ToolConfig{{Name: "a"}}, nil, "", []string{"a", "own"}},
		{"none", nil, nil, "", []string{"own"}},
		{"own wins", []core.ToolConfig{{Name: "own", Description: "other"}, {Name: "a"}}, nil, path + `tool "own" of the catalogue is left out: there is one of the document; give the catalogue a prefix`, []string{"a", "own"}},
		{"twice", []core.ToolConfig{{Name: "a"}, {Name: "a"}}, nil, path + `tool "a" of the catalogue is left out: there is one of the same name before it; give the catalogue a prefix`, []string{"a", "own"}},
		{"no name", []core.ToolConfig{{}, {Name: "a"}}, nil, path + `tool "" of the catalogue is left out: name: name is required; give the tool a name`, []string{"a", "own"}},
		{"name", []core.ToolConfig{{Name: "a b"}, {Name: "a"}}, nil, path + `tool "a b" of the catalogue is left out: name: "a b" is not the name of a tool; use 1 to 128 letters, digits, _, . and -`, []string{"a", "own"}},
		{"schema", []core.ToolConfig{{Name: "b", InputSchema: raw(`{"type":"array"}`)}, {Name: "a"}}, nil, path + `tool "b" of the catalogue is left out: inputSchema/type: an input schema describes an object; write "type": "object"`, []string{"a", "own"}},
		{"no JSON", []core.ToolConfig{{Name: "b", OutputSchema: raw(`{"type":`)}}, nil, path + `tool "b" of the catalogue is left out: outputSchema: is not JSON`, []string{"own"}},
		{"annotations", []core.ToolConfig{{Name: "b", Annotations: raw(`{"readOnlyHint":1}`)}}, nil, path + `tool "b" of the catalogue is left out: annotations/readOnlyHint: must be true or false, not a number`, []string{"own"}},
		{"lost", []core.ToolConfig{{Name: "lost"}, {Name: "a"}}, nil, path + `tool "lost" of the catalogue is left out: it cannot be run: it is gone`, []string{"a", "own"}},
		{"panics", []core.ToolConfig{{Name: "panic"}, {Name: "a"}}, nil, path + `tool "panic" of the catalogue is left out: it cannot be run: panic; the log has its stack`, []string{"a", "own"}},
		{"too many", many, nil, path + `3 tools of the catalogue are left out; a server has at most 6 tools`, []string{"m0", "m1", "m2", "m3", "m4", "own"}},
		{"error", []core.ToolConfig{{Name: "a"}}, &core.Error{Code: core.CodeUnavailable, Message: "the upstream is away", Fix: "wait"}, path + "the catalogue does not list its tools: the upstream is away; wait; none of them is there until it does", []string{"own"}},
		{"plain error", nil, errors.New("plain"), path + "the catalogue does not list its tools: plain; none of them is there until it does", []string{"own"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := testOptions()
			o.Limits.Items = 6
			p := lists("list", row.tools...)
			if row.err != nil {
				p.list = func(context.Context) ([]core.ToolConfig, error) { return row.tools, row.err }
			}
			o.Plugins = setOf(p)
			config := core.Config{Servers: []core.ServerConfig{{Name: "shop", Tools: []core.ToolConfig{{Name: "own", Description: "mine", Invoker: echoes(`{"text":"own"}`)}}, Catalogues: []core.CatalogueConfig{catalogueOf("list", "")}}}}
			g := New(o)
			c, problems := g.Build(context.Background(), config)
			if c == nil {
				t.Fatal(messagesOf(problems))
			}
			defer func() {
				if err := g.Close(context.Background()); err != nil {
					t.Error(err)
				}
			}()
			if got := messagesOf(problems); !strings.HasPrefix(got, row.want) || row.want == "" && got != "" || strings.Count(got, "\n") > 0 {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
			g.Publish(c)
			h := g.Find("shop")
			defer h.Release()
			if got := toolNames(t, h); !slices.Equal(got, row.there) {
				t.Errorf("tools %v, want %v", got, row.there)
			}
			if got := textOf(callTool(t, h, "own", `{}`)); got != "own" {
				t.Errorf("the tool of the document answers %q", got)
			}
		})
	}
}

// A name must not come of a prefix alone.
func TestCataloguePrefixIsNoName(t *testing.T) {
	o := testOptions()
	o.Plugins = setOf(lists("list", core.ToolConfig{}))
	ok, problems := built(t, o, core.Config{Servers: []core.ServerConfig{{Name: "shop", Catalogues: []core.CatalogueConfig{catalogueOf("list", "weather")}}}})
	if !ok || !strings.Contains(messagesOf(problems), `tool "weather" of the catalogue is left out: name: name is required; the catalogue gives it none`) {
		t.Error(ok, messagesOf(problems))
	}
}

// A catalogue that does not answer holds a Build up for ten seconds, and one that
// panics not at all.
func TestCatalogueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions()
		slow := &plugin{name: "list", list: func(ctx context.Context) ([]core.ToolConfig, error) { <-ctx.Done(); return nil, ctx.Err() }}
		o.Plugins = setOf(slow)
		config := core.Config{Servers: []core.ServerConfig{{Name: "shop", Catalogues: []core.CatalogueConfig{catalogueOf("list", "")}}}}
		began := time.Now()
		ok, problems := built(t, o, config)
		if took := time.Since(began); !ok || took != listingTime || !strings.Contains(messagesOf(problems), "deadline exceeded") {
			t.Error(ok, took, messagesOf(problems))
		}
		slow.list = func(context.Context) ([]core.ToolConfig, error) { panic("a secret in a panic") }
		ok, problems = built(t, o, config)
		if got := messagesOf(problems); !ok || !strings.Contains(got, "panic; the log has its stack") || strings.Contains(got, "secret") {
			t.Error(ok, got)
		}
	})
}

// A server that has only catalogues offers tools, also while they list none; clients
// are told when that changes.
func TestCatalogueChanges(t *testing.T) {
	var tools []core.ToolConfig
	o := testOptions()
	o.Plugins = setOf(&plugin{name: "list", list: func(context.Context) ([]core.ToolConfig, error) { return tools, nil }})
	config := core.Config{Servers: []core.ServerConfig{{Name: "shop", Catalogues: []core.CatalogueConfig{catalogueOf("list", "")}}}}
	ok, problems := built(t, o, config)
	if !ok || len(problems) > 0 {
		t.Error(ok, messagesOf(problems))
	}
	g := publish(t, o, config)
	h := find(t, g, "shop")
	if offers := h.Server().Offers; !offers.Tools || !offers.Logging {
		t.Errorf("offers %+v", offers)
	}
	var changes []core.Change
	defer h.Changes(core.Identity{}, func(c core.Change) { changes = append(changes, c) })()
	republish(t, g, config)
	if len(changes) != 0 {
		t.Errorf("told of nothing: %v", changes)
	}
	tools = []core.ToolConfig{{Name: "new"}}
	republish(t, g, config)
	if !slices.Equal(changes, []core.Change{{Kind: core.ToolsChanged}}) {
		t.Errorf("told %v", changes)
	}
	if got := toolNames(t, find(t, g, "shop")); !slices.Equal(got, []string{"new"}) {
		t.Errorf("tools %v", got)
	}
}

// A catalogue that begins to list the name of another's tool does not get its calls: what
// is listed comes from outside, and nobody reviewed it. Neither has the name then.
func TestCataloguesContest(t *testing.T) {
	o := testOptions()
	o.Plugins = setOf(
		lists("first", core.ToolConfig{Name: "pay"}, core.ToolConfig{Name: "own"}, core.ToolConfig{Name: "a"}),
		lists("second", core.ToolConfig{Name: "pay"}, core.ToolConfig{Name: "b"}),
		lists("third", core.ToolConfig{Name: "pay"}, core.ToolConfig{Name: "b.c"}),
	)
	config := core.Config{Servers: []core.ServerConfig{{
		Name: "shop", Tools: []core.ToolConfig{{Name: "own", Invoker: echoes(`{"text":"own"}`)}},
		Catalogues: []core.CatalogueConfig{catalogueOf("first", ""), catalogueOf("second", ""), catalogueOf("third", "")},
	}}}
	g := publish(t, o, config)
	h := find(t, g, "shop")
	if got := toolNames(t, h); !slices.Equal(got, []string{"a", "b", "b.c", "own"}) {
		t.Errorf("tools %v", got)
	}
	if _, err := h.CallTool(context.Background(), &core.Call{Tool: "pay", Arguments: raw(`{}`)}); err == nil || core.AsError(err).Code != core.CodeNotFound {
		t.Errorf("it is called: %v", err)
	}
	if got := callTool(t, h, "own", `{}`); textOf(got) != "own" {
		t.Errorf("got %+v", got)
	}
	c, problems := g.Build(context.Background(), config)
	defer c.Close()
	got := messagesOf(problems)
	for _, want := range []string{"/catalogues/0: tool \"own\" of the catalogue is left out: there is one of the document", "/catalogues/1: tool \"pay\" of the catalogue is left out: there is one of another catalogue, which is left out too; give", "/catalogues/2: tool \"pay\""} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	config.Servers[0].Catalogues[1].Prefix, config.Servers[0].Catalogues[2].Prefix = "x.", "y."
	republish(t, g, config)
	if got := toolNames(t, find(t, g, "shop")); !slices.Equal(got, []string{"a", "own", "pay", "x.b", "x.pay", "y.b.c", "y.pay"}) {
		t.Errorf("with prefixes: %v", got)
	}
}
