package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// front is a Discloser of one tool, which calls the tool that its argument names.
type front struct{ of []*core.Tool }

func (f *front) Tools() []*core.Tool {
	return []*core.Tool{{Name: "through", InputSchema: raw(`{"type":"object"}`)}}
}

func (f *front) Answer(ctx context.Context, _ string, arguments json.RawMessage, by core.ToolCaller) (*core.Result, error) {
	var asked struct{ Name string }
	if err := json.Unmarshal(arguments, &asked); err != nil {
		return nil, err
	}
	if by.Tool(asked.Name) == nil {
		return core.ErrorResult("none of " + string(rune('0'+len(f.of)))), nil
	}
	return by.Call(ctx, asked.Name, raw(`{}`))
}

// gauge counts who is inside.
type gauge struct {
	inside, most int
	entered      []string
}

func (g *gauge) Admit(_ core.Identity, on core.Object, _ int) (func(), error) {
	g.inside++
	g.most = max(g.most, g.inside)
	g.entered = append(g.entered, on.Name)
	return func() { g.inside-- }, nil
}

func discloseOptions() Options {
	o := testOptions()
	o.Disclose = func(tools []*core.Tool) core.Discloser { return &front{of: tools} }
	return o
}

func disclosed(disclosure string, names ...string) core.Config {
	s := core.ServerConfig{Name: "shop", Disclosure: disclosure}
	for _, name := range names {
		s.Tools = append(s.Tools, core.ToolConfig{Name: name, Invoker: echoes(`{"text":"ran"}`)})
	}
	return core.Config{Servers: []core.ServerConfig{s}}
}

func TestDisclosure(t *testing.T) {
	o, g := discloseOptions(), &gauge{}
	o.Limiter = g
	h := find(t, publish(t, o, disclosed("progressive", "a", "b")), "shop")
	page, err := h.ListTools(t.Context(), core.Identity{}, nil)
	if err != nil || len(page.Items) != 1 || page.Items[0].Name != "through" || page.Next != nil {
		t.Fatalf("%+v, %v", page, err)
	}
	if h.Tool(t.Context(), core.Identity{}, "through") != page.Items[0] || h.Tool(t.Context(), core.Identity{}, "a") == nil {
		t.Error("a tool is not there by its name")
	}
	if got := textOf(callTool(t, h, "through", `{"name":"a"}`)); got != "ran" {
		t.Errorf("through: %q", got)
	}
	if got := textOf(callTool(t, h, "through", `{"name":"c"}`)); got != "none of 2" {
		t.Errorf("missing: %q", got)
	}
	// One call at a time counts once.
	if g.inside != 0 || g.most != 1 || !slices.Equal(g.entered, []string{"through", "a", "through"}) {
		t.Errorf("%+v", g)
	}
	full := find(t, publish(t, discloseOptions(), disclosed("full", "a", "b")), "shop")
	if page, err := full.ListTools(t.Context(), core.Identity{}, nil); err != nil || len(page.Items) != 2 || full.Tool(t.Context(), core.Identity{}, "through") != nil {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestDisclosureMistakes(t *testing.T) {
	without := discloseOptions()
	without.Disclose = nil
	for _, tt := range []struct {
		name   string
		o      Options
		config core.Config
		want   string
	}{
		{"another word", discloseOptions(), disclosed("progresive", "a"), `there is no disclosure "progresive"`},
		{"a name that is taken", discloseOptions(), disclosed("progressive", "a", "through"), `there is a tool "through"`},
		{"nobody to do it", without, disclosed("progressive", "a"), "tools cannot be found by searching here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			catalog, problems := Build(t.Context(), tt.config, tt.o)
			if catalog != nil {
				catalog.Close()
			}
			if len(problems) != 1 || !strings.Contains(problems[0].Message, tt.want) || problems[0].Fix == "" || problems[0].Warning {
				t.Errorf("%+v", problems)
			}
		})
	}
}
