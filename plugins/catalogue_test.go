package plugins

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
	"github.com/sallyport/sallyport/plugins/hostcall"
)

// lister lists what stands in the store under "tools"; when nothing does, it is not there.
func lister(t testing.TB) []byte {
	t.Helper()
	const below = 0x48 // i32.lt_s
	var get uint32
	m := guests.New(func(m *guests.Module) { get = m.Import(abi.Module, abi.KVGet, "iiii", "l") })
	m.Data(64, "tools")
	m.Export(abi.ToolsList, m.Func("ii", "l", "i",
		guests.Const(64), guests.Const(5), guests.GlobalGet(guests.Out), guests.Const(60000), guests.Call(get), guests.Op(guests.Wrap), guests.Set(2),
		guests.Get(2), guests.Const(0), guests.Op(below), guests.If(
			guests.GlobalGet(guests.Out), guests.Const64(int64(abi.Unavailable)), guests.Store64(0), guests.Const(8), guests.Answer(2), guests.Op(guests.Return),
		),
		guests.GlobalGet(guests.Out), guests.Const64(0), guests.Store64(0), guests.Get(2), guests.Answer(2)))
	m.Export(abi.ToolCall, m.Func("ii", "l", "", guests.Fine()))
	return carrying(t, m.Bytes(), yaml("invoker, tool_catalogue", "capabilities: {kv: {namespace: list}}"))
}

// listStore is a store whose "tools" the test sets.
type listStore struct {
	*hostcall.Memory
	t testing.TB
}

func (s listStore) set(text string) {
	s.t.Helper()
	if text == "" {
		_ = s.Delete(context.Background(), "list", "tools", -1)
		return
	}
	if _, err := s.Set(context.Background(), "list", "tools", []byte(text), 0, -1, 1<<20); err != nil {
		s.t.Fatal(err)
	}
}

func toolsNamed(names ...string) string {
	var tools []string
	for _, n := range names {
		tools = append(tools, fmt.Sprintf(`{"name":%q}`, n))
	}
	return `{"tools":[` + strings.Join(tools, ",") + `]}`
}

func namesOf(tools []core.ToolConfig) (names []string) {
	for _, t := range tools {
		names = append(names, t.Name)
	}
	return names
}

func grantsKV(c *core.PluginConfig) {
	c.Grants = &core.GrantsConfig{KV: &core.KVGrantConfig{}}
}

func TestCatalogue(t *testing.T) {
	var log record
	var changed atomic.Int64
	var clock atomic.Int64
	store := listStore{hostcall.NewMemory(time.Now), t}
	h := newHost(t, func(o *Options) {
		o.KV, o.Log = store, slog.New(slog.NewTextHandler(&log, nil))
		o.Changed = func() { changed.Add(1) }
		o.Now = func() time.Time { return time.Now().Add(time.Duration(clock.Load())) }
	})
	p := single(t, h, lister(t), grantsKV)
	c, err := p.Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	if tools, err := c.Tools(t.Context()); err == nil {
		t.Errorf("a list that was never there: %v", tools)
	}
	list := func(want ...string) {
		t.Helper()
		tools, err := c.Tools(t.Context())
		if err != nil || !slices.Equal(namesOf(tools), want) {
			t.Errorf("got %v, %v, want %v", namesOf(tools), err, want)
		}
	}
	later := func() {
		clock.Add(int64(2 * time.Minute))
		h.awake()
	}
	store.set(toolsNamed("a", "b"))
	list("a", "b")
	store.set(toolsNamed("a"))
	list("a", "b") // not asked again so soon

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	defer func() { cancel(); <-done }()
	later()
	until(t, "the change is seen", func() bool { return changed.Load() == 1 })
	list("a")
	store.set("")
	for range 3 {
		later()
		until(t, "the fault is logged", func() bool { return strings.Contains(log.String(), "does not list its tools") })
		list("a")
	}
	time.Sleep(50 * time.Millisecond)
	if n := strings.Count(log.String(), "does not list its tools"); n != 2 { // before the first list, and now
		t.Errorf("the fault is logged %d times:\n%s", n, log.String())
	}
	if changed.Load() != 1 {
		t.Errorf("a fault is told as a change: %d", changed.Load())
	}
	store.set(toolsNamed("a", "c"))
	later()
	until(t, "the change is seen", func() bool { return changed.Load() == 2 })
	if !strings.Contains(log.String(), "lists its tools again") {
		t.Error("that it works again is not logged")
	}
	list("a", "c")
	if i, err := c.Invoker("c"); err != nil {
		t.Errorf("a tool of the list: %v, %v", i, err)
	}
}

// A Catalog that was built while there was no list is built again when there is one.
func TestCatalogueThatBeginsWithoutAList(t *testing.T) {
	var changed, clock atomic.Int64
	store := listStore{hostcall.NewMemory(time.Now), t}
	h := newHost(t, func(o *Options) {
		o.KV = store
		o.Changed = func() { changed.Add(1) }
		o.Now = func() time.Time { return time.Now().Add(time.Duration(clock.Load())) }
	})
	c, err := single(t, h, lister(t), grantsKV).Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	if tools, err := c.Tools(t.Context()); err == nil {
		t.Errorf("a list that was never there: %v", tools)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	defer func() { cancel(); <-done }()
	store.set(toolsNamed("a"))
	clock.Add(int64(2 * time.Minute))
	h.awake()
	until(t, "the first list is told", func() bool { return changed.Load() == 1 })
	if tools, err := c.Tools(t.Context()); err != nil || !slices.Equal(namesOf(tools), []string{"a"}) {
		t.Errorf("%v, %v", namesOf(tools), err)
	}
}

func TestCatalogueLeavesOutBadTools(t *testing.T) {
	var log record
	store := listStore{hostcall.NewMemory(time.Now), t}
	h := newHost(t, func(o *Options) { o.KV, o.Log = store, slog.New(slog.NewTextHandler(&log, nil)) })
	store.set(`{"next":1,"tools":[
		{"name":"good","title":"T","description":"D","inputSchema":{"type":"object","properties":{"a":{"type":"integer"}}},"outputSchema":{"type":"object"},"annotations":{"readOnlyHint":true},"extra":1},
		{}, {"name":""}, {"name":7}, 5, {"name":"a b"}, {"name":"good"},
		{"name":"list","inputSchema":[]}, {"name":"string","inputSchema":{"type":"string"}}, {"name":"bad","inputSchema":{"type":"object","properties":{"a":{"type":"strange"}}}},
		{"name":"reads","inputSchema":{"type":"object","$ref":"file:///etc/passwd"}}, {"name":"out","outputSchema":{"type":"array"}}, {"name":"notes","annotations":[]},
		{"name":"plain"}]}`)
	c, err := single(t, h, lister(t), grantsKV).Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	tools, err := c.Tools(t.Context())
	if err != nil || !slices.Equal(namesOf(tools), []string{"good", "plain"}) {
		t.Fatalf("got %v, %v", namesOf(tools), err)
	}
	if g := tools[0]; g.Title != "T" || g.Description != "D" || string(g.OutputSchema) != `{"type":"object"}` || string(g.Annotations) != `{"readOnlyHint":true}` || !strings.Contains(string(g.InputSchema), "integer") {
		t.Errorf("got %+v", g)
	}
	if string(tools[1].InputSchema) != `{"type":"object"}` {
		t.Errorf("got %s", tools[1].InputSchema)
	}
	if n := strings.Count(log.String(), "left out"); n != 12 {
		t.Errorf("%d are logged:\n%s", n, log.String())
	}
	for _, bad := range []string{`[]`, `{}`, `{"tools":{}}`, `{"tools":[]} x`, `{"tools":[],"tools":[]}`, `nonsense`} {
		store.set(bad)
		c, err := single(t, newHost(t, func(o *Options) { o.KV = store }), lister(t), grantsKV).Catalogue()
		if err != nil {
			t.Fatal(err)
		}
		if tools, err := c.Tools(t.Context()); err == nil {
			t.Errorf("%s: got %v", bad, tools)
		}
	}
}

// Without the kind tool_catalogue the manifest's tools are the list.
func TestCatalogueOfTheManifest(t *testing.T) {
	h := newHost(t, nil)
	c, err := single(t, h, echo(t), nil).Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	if tools, err := c.Tools(t.Context()); err != nil || !slices.Equal(namesOf(tools), []string{"echo"}) {
		t.Errorf("got %v, %v", tools, err)
	}
	if _, err := c.Invoker("other"); err == nil || !strings.Contains(err.Error(), `has no tool "other"; its tools: echo`) {
		t.Errorf("got %v", err)
	}
	z := single(t, newHost(t, nil), says(t, core.PluginAuthorizer, abi.OK, ""), nil)
	if _, err := z.Catalogue(); err == nil || !strings.Contains(err.Error(), "is no tool_catalogue; its kinds: authorizer") {
		t.Errorf("got %v", err)
	}
}
