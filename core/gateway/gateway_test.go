package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// versioned is a Config whose every part says the same version: the tool's
// description, the invoker's answer, and the server's.
func versioned(n int) core.Config {
	v := fmt.Sprintf("v%d", n)
	return core.Config{Servers: []core.ServerConfig{{
		Name: "shop", Version: v,
		Tools:     []core.ToolConfig{{Name: "t", Description: v, Invoker: core.KindConfig{Kind: "version", Config: raw(`{"v":"` + v + `"}`)}}},
		Resources: []core.ResourceConfig{{URI: "v://now", Name: "now", Text: &v}},
	}}}
}

// Publishing drops nothing: calls go on, none sees two Catalogs, and each invoker
// is closed once, after its last call (security.md R1).
func TestPublishUnderLoad(t *testing.T) {
	var opened, closed, twice atomic.Int64
	kind := core.Kind[core.Invoker]{Name: "version", New: func(_ context.Context, config json.RawMessage, _ core.Env) (core.Invoker, error) {
		var c struct{ V string }
		if err := json.Unmarshal(config, &c); err != nil {
			return nil, err
		}
		opened.Add(1)
		var shut atomic.Bool
		return &invoker{
			invoke: func(context.Context, *core.Call) (*core.Result, error) {
				for range 3 {
					if shut.Load() {
						return nil, errors.New("called after close")
					}
					runtime.Gosched()
				}
				return core.TextResult(c.V), nil
			},
			close: func() error {
				if shut.Swap(true) {
					twice.Add(1)
				}
				closed.Add(1)
				return nil
			},
		}, nil
	}}
	g := New(Options{Kinds: Kinds{Invokers: []core.Kind[core.Invoker]{kind}}})
	republish(t, g, versioned(0))
	stop := make(chan struct{})
	var work sync.WaitGroup
	var calls atomic.Int64
	ctx := context.Background()
	for range 4 {
		work.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				h := g.Find("shop")
				if h == nil {
					t.Error("the server is gone")
					return
				}
				v := h.Server().Version
				page, err := h.ListTools(ctx, core.Identity{}, nil)
				if err != nil || page.Items[0].Description != v {
					t.Errorf("list says %v, server says %s: %v", page, v, err)
				}
				r, err := h.CallTool(ctx, &core.Call{Tool: "t"})
				if err != nil || textOf(r) != v {
					t.Errorf("call says %v, server says %s: %v", r, v, err)
				}
				content, err := h.ReadResource(ctx, &core.Call{Tool: "v://now"})
				if err != nil || content.Contents[0].Text != v {
					t.Errorf("resource says %v, server says %s: %v", content, v, err)
				}
				h.Release()
				calls.Add(1)
			}
		})
	}
	const publishes = 1000
	for i := 1; i <= publishes; i++ {
		republish(t, g, versioned(i))
		runtime.Gosched()
	}
	close(stop)
	work.Wait()
	if g.Revision() == "" || calls.Load() == 0 {
		t.Errorf("revision %q, %d calls", g.Revision(), calls.Load())
	}
	if err := g.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if opened.Load() != publishes+1 || closed.Load() != opened.Load() || twice.Load() != 0 {
		t.Errorf("opened %d, closed %d, twice %d", opened.Load(), closed.Load(), twice.Load())
	}
	if len(g.retired) != 0 {
		t.Errorf("%d catalogs are kept", len(g.retired))
	}
	t.Logf("%d rounds during %d publishes", calls.Load(), publishes)
}

// A call keeps its Catalog: what it uses is closed only when it has ended.
func TestCatalogOutlivesItsCalls(t *testing.T) {
	var n counter
	entered, leave := make(chan struct{}), make(chan struct{})
	o := Options{Kinds: Kinds{Invokers: []core.Kind[core.Invoker]{n.kind("slow", func(context.Context, *core.Call) (*core.Result, error) {
		close(entered)
		<-leave
		return core.TextResult("done"), nil
	})}}}
	g := New(o)
	republish(t, g, oneTool(core.ToolConfig{Name: "t", Invoker: core.KindConfig{Kind: "slow"}}))
	h := g.Find("shop")
	done := make(chan error, 1)
	go func() {
		_, err := h.CallTool(context.Background(), &core.Call{Tool: "t"})
		h.Release()
		done <- err
	}()
	<-entered
	g.Publish(nil)
	if g.Find("shop") != nil || g.Revision() != "" {
		t.Error("still served")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := g.Close(ctx); core.AsError(err).Code != core.CodeTimeout {
		t.Errorf("close did not wait: %v", err)
	}
	if n.closed.Load() != 0 {
		t.Error("closed during a call")
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := g.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if n.closed.Load() != 1 || n.twice.Load() != 0 {
		t.Errorf("closed %d times", n.closed.Load())
	}
}

func TestReleaseTwice(t *testing.T) {
	var n counter
	g := publish(t, Options{Kinds: Kinds{Invokers: []core.Kind[core.Invoker]{n.kind("k", nil)}}}, oneTool(core.ToolConfig{Name: "t", Invoker: core.KindConfig{Kind: "k"}}))
	h := g.Find("shop")
	h.Release()
	h.Release()
	if n.closed.Load() != 0 || g.Find("shop") == nil {
		t.Error("a second release closed the catalog")
	}
	g.current.Load().release() // the one that Find above took
}

func TestPublishOnce(t *testing.T) {
	var log bytes.Buffer
	o := testOptions()
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	g := New(o)
	build := func(n int) *Catalog {
		config := oneTool(core.ToolConfig{Name: fmt.Sprintf("t%d", n), Invoker: echoes(`{}`)})
		c, problems := g.Build(context.Background(), config)
		if c == nil {
			t.Fatal(problems)
		}
		return c
	}
	a, b := build(1), build(2)
	g.Publish(a)
	g.Publish(a) // nothing happens
	g.Publish(b)
	<-a.closed
	g.Publish(a)
	if g.Revision() != b.Revision() || !strings.Contains(log.String(), "build it again") {
		t.Errorf("a closed catalog was published; log %s", log.String())
	}
	a.Close()
	b.Close() // published: not ours to close
	if h := g.Find("shop"); h == nil {
		t.Error("Close of a published catalog closed it")
	} else {
		h.Release()
	}
	if err := g.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	late := build(3)
	g.Publish(late)
	<-late.closed
	if g.Find("shop") != nil {
		t.Error("a closed gateway serves")
	}
}

func TestCloserThatPanics(t *testing.T) {
	var log bytes.Buffer
	var n counter
	bad := core.Kind[core.Invoker]{Name: "bad", New: func(context.Context, json.RawMessage, core.Env) (core.Invoker, error) {
		return &invoker{close: func() error { panic("secret") }}, nil
	}}
	fails := core.Kind[core.Invoker]{Name: "fails", New: func(context.Context, json.RawMessage, core.Env) (core.Invoker, error) {
		return &invoker{close: func() error { return errors.New("does not close") }}, nil
	}}
	o := Options{Kinds: Kinds{Invokers: []core.Kind[core.Invoker]{bad, fails, n.kind("k", nil)}}, Log: slog.New(slog.NewTextHandler(&log, nil))}
	config := core.Config{Servers: []core.ServerConfig{{Name: "shop", Tools: []core.ToolConfig{
		{Name: "a", Invoker: core.KindConfig{Kind: "k"}}, {Name: "b", Invoker: core.KindConfig{Kind: "bad"}}, {Name: "c", Invoker: core.KindConfig{Kind: "fails"}},
	}}}}
	c, problems := Build(context.Background(), config, o)
	if c == nil {
		t.Fatal(problems)
	}
	c.Close()
	if n.closed.Load() != 1 {
		t.Error("a closer that panics kept another from closing")
	}
	if s := log.String(); !strings.Contains(s, "panic while closing") || !strings.Contains(s, "does not close") || strings.Contains(s, "secret") {
		t.Errorf("log %s", s)
	}
}

func TestChanges(t *testing.T) {
	config := func(change func(*core.ServerConfig)) core.Config {
		c := good(t)
		c.Sources = nil
		change(&c.Servers[0])
		return c
	}
	g := New(testOptions())
	republish(t, g, config(func(*core.ServerConfig) {}))
	h := g.Find("bookshop")
	var mu sync.Mutex
	var got []core.Change
	stop := h.Changes(core.Identity{}, func(c core.Change) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, c)
	})
	h.Release() // the subscription lives on
	took := func() []core.ChangeKind {
		mu.Lock()
		defer mu.Unlock()
		var kinds []core.ChangeKind
		for _, c := range got {
			kinds = append(kinds, c.Kind)
		}
		got = nil
		return kinds
	}
	all := []core.ChangeKind{core.ToolsChanged, core.PromptsChanged, core.ResourcesChanged}
	steps := []struct {
		name   string
		change func(*core.ServerConfig)
		want   []core.ChangeKind
	}{
		{"the same again", func(*core.ServerConfig) {}, nil},
		{"an invoker that clients do not see", func(s *core.ServerConfig) { s.Tools[0].Invoker = echoes(`{"connection":"shop"}`) }, nil},
		{"blanks in a schema", func(s *core.ServerConfig) { s.Tools[0].OutputSchema = raw(`{ "type" : "object" }`) }, nil},
		{"a text of the same length", func(s *core.ServerConfig) { s.Resources[1].Text = text("olleh") }, []core.ChangeKind{core.ResourceUpdated}},
		{"a longer text", func(s *core.ServerConfig) { s.Resources[1].Text = text("hello, you") }, []core.ChangeKind{core.ResourcesChanged, core.ResourceUpdated}},
		{"text back, other bytes", func(s *core.ServerConfig) { s.Resources[2].Base64 = "b2xsZWg=" }, []core.ChangeKind{core.ResourcesChanged, core.ResourceUpdated, core.ResourceUpdated}},
		{"bytes back", func(*core.ServerConfig) {}, []core.ChangeKind{core.ResourceUpdated}},
		{"a description", func(s *core.ServerConfig) { s.Tools[0].Description = "new" }, []core.ChangeKind{core.ToolsChanged}},
		{"back", func(*core.ServerConfig) {}, []core.ChangeKind{core.ToolsChanged}},
		{"a prompt", func(s *core.ServerConfig) { s.Prompts[0].Arguments[0].Required = false }, []core.ChangeKind{core.PromptsChanged}},
		{"a template less", func(s *core.ServerConfig) { s.Templates = s.Templates[:1]; s.Prompts[0].Arguments[0].Required = false }, []core.ChangeKind{core.ResourcesChanged}},
		{"all gone", func(s *core.ServerConfig) { s.Name = "other" }, all},
		{"still gone", func(s *core.ServerConfig) { s.Name = "other" }, nil},
		{"here again", func(*core.ServerConfig) {}, all},
		{"elsewhere", func(s *core.ServerConfig) { s.Prefix = text("somewhere/else") }, nil},
	}
	for _, step := range steps {
		republish(t, g, config(step.change))
		if kinds := took(); !slices.Equal(kinds, step.want) {
			t.Errorf("%s: %v, want %v", step.name, kinds, step.want)
		}
	}
	g.Changed("bookshop", core.Change{Kind: core.ResourceUpdated, URI: "docs://readme"})
	g.Changed("other", core.Change{Kind: core.ResourceUpdated})
	mu.Lock()
	if len(got) != 1 || got[0].URI != "docs://readme" {
		t.Errorf("changes %v", got)
	}
	got = nil
	mu.Unlock()
	stop()
	stop()
	g.Changed("bookshop", core.Change{Kind: core.ToolsChanged})
	if kinds := took(); kinds != nil {
		t.Errorf("told after stop: %v", kinds)
	}
	if len(g.listeners.of) != 0 {
		t.Error("a stopped listener is kept")
	}
	if err := g.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// Listeners may subscribe and stop from within a change.
func TestChangesFromWithin(t *testing.T) {
	g := publish(t, testOptions(), oneTool(core.ToolConfig{Name: "t", Invoker: echoes(`{}`)}))
	h := find(t, g, "shop")
	var stop func()
	inner := 0
	stop = h.Changes(core.Identity{}, func(core.Change) {
		stop()
		h.Changes(core.Identity{}, func(core.Change) { inner++ })
	})
	g.Changed("shop", core.Change{Kind: core.ToolsChanged})
	g.Changed("shop", core.Change{Kind: core.ToolsChanged})
	if inner != 1 {
		t.Errorf("told %d times", inner)
	}
}

// An invoker says through Env.Changes what it changed.
func TestChangesOfInvokers(t *testing.T) {
	kind := core.Kind[core.Invoker]{Name: "changes", New: func(_ context.Context, _ json.RawMessage, env core.Env) (core.Invoker, error) {
		return core.Func(func(context.Context, *core.Call) (*core.Result, error) {
			env.Changes.Changed(env.Server, core.Change{Kind: core.ToolsChanged})
			return core.TextResult("ok"), nil
		}), nil
	}}
	h := find(t, publish(t, Options{Kinds: Kinds{Invokers: []core.Kind[core.Invoker]{kind}}}, oneTool(core.ToolConfig{Name: "t", Invoker: core.KindConfig{Kind: "changes"}})), "shop")
	told := 0
	defer h.Changes(core.Identity{}, func(core.Change) { told++ })()
	callTool(t, h, "t", "")
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}

func TestFindPrefixes(t *testing.T) {
	empty := ""
	config := core.Config{Servers: []core.ServerConfig{
		{Name: "root", Prefix: &empty, Tools: []core.ToolConfig{{Name: "t", Invoker: echoes(`{}`)}}},
		{Name: "deep", Prefix: text("a/b"), Tools: []core.ToolConfig{{Name: "t", Invoker: echoes(`{}`)}}},
		{Name: "named", Tools: []core.ToolConfig{{Name: "t", Invoker: echoes(`{}`)}}},
	}}
	g := publish(t, testOptions(), config)
	for prefix, name := range map[string]string{"": "root", "a/b": "deep", "named": "named"} {
		if h := find(t, g, prefix); h.Server().Name != name || h.Server().Prefix != prefix {
			t.Errorf("%q: %+v", prefix, h.Server())
		}
	}
	for _, prefix := range []string{"a", "deep", "A/b", "a/b/", "Named", "x"} {
		if h := g.Find(prefix); h != nil {
			t.Errorf("%q found %s", prefix, h.Server().Name)
		}
	}
}

// The way to a no-op invoker stays short: this fails when something expensive
// gets onto it.
func TestCallToolAllocations(t *testing.T) {
	o := testOptions()
	o.Kinds.Invokers = append(o.Kinds.Invokers, noop)
	h := find(t, publish(t, o, oneTool(core.ToolConfig{Name: "t", InputSchema: raw(bookSchema), Invoker: core.KindConfig{Kind: "noop"}})), "shop")
	arguments, ctx := raw(`{"id":12,"title":"hello"}`), context.Background()
	n := testing.AllocsPerRun(200, func() {
		if _, err := h.CallTool(ctx, &core.Call{Tool: "t", Arguments: arguments}); err != nil {
			t.Fatal(err)
		}
	})
	if n > 20 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(200, func() { _, _ = h.ListTools(ctx, core.Identity{}, nil) }); n > 0 {
		t.Errorf("a list takes %v allocations", n)
	}
}
